"""Base of stages that choose documents one after another, each given those already chosen."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Candidates, Floats, Ints, Vectors
from rag.component import Inherited, Tunable
from rag.component.inheritance import given
from rag.embedders.base import Embedder
from rag.errors import NotFittedError
from rag.stage import Stage

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["Chooser", "Depth", "Embedded", "best_left", "no_padding"]

Embedded = Annotated[Embedder | None, Inherited()]
Depth = Annotated[int, Field(ge=1, le=1000), Tunable(choices=(20, 50, 100), gain=0.001)]

_TOGETHER = 1 << 24
"""Similarities held at a time: 64 MiB of float32."""


class Chooser(Stage):
    """Chooses ``n_chosen`` of the first ``depth`` candidates one after another, each by what it adds to those chosen
    before; the other candidates follow in their old order. Only the order carries a meaning: the list keeps its scores,
    handed out anew from the best down.

    Similarity is the cosine of passages' vectors, which are kept in float16, beside those of a dense retriever.
    """

    embedder: Embedder | None
    depth: int
    n_chosen: int
    _vectors: Vectors | None = None

    needs = frozenset({"corpus"})

    @property
    def ranks_only(self) -> bool:
        return True

    @abstractmethod
    def choose(self, relevance: Floats, similarity: Floats, n: int) -> Ints:
        """Columns in the order in which they are chosen, int64 [q, n], each once in a row.

        Args:
            relevance: Relevance of candidates, float32 [q, k], 1 for the best and 0 for the last; ``-inf`` at padding.
            similarity: Cosines between them, float32 [q, k, k]; 0 at padding.
            n: Number of documents to choose.
        """

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._vectors = _unit(context.embed_passages(given(self.embedder, self)))

    def update(self, context: UpdateContext, kept: Ints) -> None:
        embedder, old = given(self.embedder, self), self._fitted()
        context.fit(embedder)
        new = context.embed_passages(embedder, start=len(kept)) if len(kept) < len(context.passages) else old[:0]
        self._vectors = np.concatenate([old[kept], _unit(new)])
        self._passages = context.passages

    def save_state(self, folder: Path) -> None:
        np.save(folder / "vectors.npy", self._fitted())

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._vectors = np.load(Path(folder) / "vectors.npy", mmap_mode="r")

    def _fitted(self) -> Vectors:
        if self._vectors is None:
            raise NotFittedError.of(self)
        return self._vectors

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        head = candidates.head(self.depth)
        width = head.documents.shape[1]
        if not width:
            return candidates
        order = np.empty(head.documents.shape, dtype=np.int64)
        step = max(1, _TOGETHER // (width * width))
        for first in range(0, len(head), step):
            rows = slice(first, first + step)
            order[rows] = self._order(head.rows(rows))
        tail = np.tile(np.arange(width, candidates.documents.shape[1]), (len(head), 1))
        order = np.concatenate([order, tail], axis=1)
        return Candidates(
            np.take_along_axis(candidates.documents, order, 1),
            candidates.scores,
            np.take_along_axis(candidates.passages, order, 1),
        )

    def _order(self, head: Candidates) -> Ints:
        """All columns of some queries' heads: first the chosen, then the others, then padding."""
        mask, width = head.mask, head.documents.shape[1]
        vectors = self._fitted()[np.where(mask, head.passages, 0)].astype(np.float32)
        vectors *= mask[..., None]
        similarity = vectors @ vectors.transpose(0, 2, 1)
        n = min(self.n_chosen, width)
        chosen = self.choose(_relevance(head), similarity, n)
        # Behind them the others by their old place; what was chosen at padding is none.
        turn = np.where(mask, width + np.arange(width), 2 * width + np.arange(width))
        real = np.take_along_axis(mask, chosen, 1)
        np.put_along_axis(turn, chosen, np.where(real, np.arange(n), 2 * width + chosen), 1)
        return np.asarray(np.argsort(turn, axis=1, kind="stable"), dtype=np.int64)


def _unit(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(norms, 1e-12)).astype(np.float16)
    return unit


def _relevance(head: Candidates) -> Floats:
    """Scores of each row from 1, the best, to 0, the last; ``-inf`` at padding."""
    scores = np.where(head.mask, head.scores, np.nan)
    lowest = np.where(head.mask, head.scores, np.inf).min(axis=1, keepdims=True)
    highest = np.where(head.mask, head.scores, -np.inf).max(axis=1, keepdims=True)
    span = np.where(head.mask.any(axis=1, keepdims=True), highest - lowest, 1.0)
    scaled = np.where(span > 0, (scores - lowest) / np.where(span > 0, span, 1.0), 1.0)
    return np.where(head.mask, scaled, -np.inf).astype(np.float32)


def best_left(gains: Floats, taken: Any) -> Ints:
    """The column of the highest gain that is not taken, the first of equals, int64 [q]; padding comes last."""
    open_gains = np.where(taken, -np.inf, np.maximum(gains, np.finfo(np.float32).min))
    return np.asarray(np.argmax(open_gains, axis=1), dtype=np.int64)


def no_padding(relevance: Floats) -> Floats:
    """Relevance with 0 at padding."""
    return np.where(np.isneginf(relevance), 0.0, relevance).astype(np.float32)
