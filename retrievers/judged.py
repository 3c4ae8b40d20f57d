"""Judged queries as arrays: their vectors, and their relevant documents as a sparse matrix."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Ints, Vectors
from rag.corpus.corpus import Corpus

if TYPE_CHECKING:
    from rag.learning.training import Training

__all__ = ["Judged", "cells_of", "lookup"]


@dataclass(frozen=True)
class Judged:
    """Judged queries.

    Args:
        ids: Ids of the queries.
        texts: Texts of the queries.
        vectors: Vectors of the queries, scaled to length 1, float32 [n, d].
        documents: Ids of the documents that are relevant to any of them.
        gains: Relevance, CSR array float32 [n, documents]: the grade divided by the highest, above 0.
        highest: The highest grade of the training judgments.
    """

    ids: list[str]
    texts: list[str]
    vectors: Vectors
    documents: list[str]
    gains: Any
    highest: float

    @classmethod
    def of(cls, training: Training, vectors: Vectors) -> Judged:
        """Those training queries that have a relevant document.

        Args:
            training: Queries and judgments.
            vectors: Vectors of all training queries, float32 [n, d].
        """
        import scipy.sparse as sp

        highest = max((g for judged in training.qrels.values() for g in judged.values()), default=1)
        empty = cls([], [], vectors[:0], [], sp.csr_array((0, 0), dtype=np.float32), float(max(highest, 1)))
        return empty.with_more(training, vectors, 1.0)[0]

    def with_more(self, more: Training, vectors: Vectors, weight: float) -> tuple[Judged, int]:
        """These and others, and how many judgments are new or have another weight."""
        import scipy.sparse as sp

        queries, texts = {id: row for row, id in enumerate(self.ids)}, list(self.texts)
        documents = {id: column for column, id in enumerate(self.documents)}
        table = self.gains.todok() if self.gains.nnz else {}
        grades = {(int(row), int(column)): float(value) for (row, column), value in table.items()}
        added: list[int] = []
        changed = 0
        for n, query in enumerate(more.queries):
            relevant = {id: grade for id, grade in more.qrels.get(query.id, {}).items() if grade > 0}
            if not relevant:
                continue
            if query.id not in queries:
                queries[query.id] = len(queries)
                texts.append(query.text)
                added.append(n)
            row = queries[query.id]
            for id, grade in relevant.items():
                cell = row, documents.setdefault(id, len(documents))
                gain = weight * grade / self.highest
                changed += grades.get(cell) != gain
                grades[cell] = gain
        shape = (len(queries), len(documents))
        places = np.array(list(grades), dtype=np.int64).reshape(-1, 2)
        gains = sp.csr_array((np.array(list(grades.values()), dtype=np.float32), places.T), shape=shape)
        vectors = np.concatenate([self.vectors, _unit(vectors[added])]) if added else self.vectors
        return Judged(list(queries), texts, vectors, list(documents), gains, self.highest), changed

    def among(self, corpus: Corpus) -> Any:
        """The gains by position in a corpus, CSR array float32 [n, len(corpus)]; documents that are not there, or no
        more, have none.
        """
        import scipy.sparse as sp

        positions = [corpus.position(id) for id in self.documents]
        there = np.array([column for column, position in enumerate(positions) if position is not None], dtype=np.int64)
        places = np.array([position for position in positions if position is not None], dtype=np.int64)
        moved = sp.csr_array(
            (np.ones(len(there), dtype=np.float32), (there, places)), shape=(len(self.documents), len(corpus))
        )
        table = sp.csr_array(self.gains @ moved)
        table.sort_indices()
        return table

    def save(self, folder: Path) -> None:
        """Write it into a folder: arrays and JSON."""
        state = {"ids": self.ids, "texts": self.texts, "documents": self.documents, "highest": self.highest}
        (folder / "judged.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        np.save(folder / "vectors.npy", self.vectors)
        for name, array in (("data", self.gains.data), ("indices", self.gains.indices), ("indptr", self.gains.indptr)):
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> Judged:
        """Read what :meth:`save` wrote."""
        import scipy.sparse as sp

        state = json.loads((folder / "judged.json").read_text(encoding="utf-8"))
        arrays = tuple(np.load(folder / f"{name}.npy") for name in ("data", "indices", "indptr"))
        gains = sp.csr_array(arrays, shape=(len(state["ids"]), len(state["documents"])))
        vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        return cls(state["ids"], state["texts"], vectors, state["documents"], gains, state["highest"])


def _unit(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def cells_of(table: Any) -> Ints:
    """The cells of a CSR array [n, m] that have values, ``row * m + column``, in the order of its data."""
    n, m = table.shape
    return np.asarray(np.repeat(np.arange(n) * m, np.diff(table.indptr)) + table.indices)


def lookup(table: Any, positions: Ints) -> Vectors:
    """Values of a CSR array [n, m] at columns of each row, float32 [n, k]; 0 for an absent value or column.

    Args:
        table: With sorted indices.
        positions: int64 [n, k]; below 0 for none.
    """
    n, m = table.shape
    keys = cells_of(table)
    cells = np.arange(n)[:, None] * m + positions
    if not len(keys):
        return np.zeros(positions.shape, dtype=np.float32)
    places = np.minimum(np.searchsorted(keys, cells), len(keys) - 1)
    return np.where((keys[places] == cells) & (positions >= 0), table.data[places], 0).astype(np.float32)
