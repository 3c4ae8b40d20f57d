"""Item vectors, by which the scores of a few items are generalized to the others."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from rag.candidates import Floats, Ints, Vectors
from rag.component import Component, Inherited
from rag.component.inheritance import given
from rag.embedders.base import Embedder
from rag.errors import NotFittedError

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext
    from rag.rerankers.base import Scorer

__all__ = ["EmbeddingFactors", "Factors", "of_length_one"]


class Factors(Component):
    """Vectors ``V`` such that a query's scores are near ``offsets + V w`` for some ``w``."""

    kind: ClassVar[str] = "factors"

    _vectors: Vectors | None = None
    _offsets: Floats | None = None
    _mean_square = 1.0

    @abstractmethod
    def make(self, context: FitContext, scorer: Scorer) -> tuple[Vectors, Floats | None]:
        """Vectors of all passages, float32 [n, d], and an offset for every prediction, float32 [n].

        Args:
            context: The context of fitting.
            scorer: The fitted scorer whose scores are predicted.
        """

    def build(self, context: FitContext, scorer: Scorer) -> None:
        """:meth:`make`, kept."""
        self._keep(*self.make(context, scorer))

    def update(self, context: UpdateContext, kept: Ints) -> None:
        """Have the vectors of the passages that stay. With new ones, :meth:`build` comes after it."""
        for _, child in self.spec.children():
            context.fit(child)
        if len(kept) == len(self.vectors) == len(context.passages):
            context.keep(self)
        elif len(kept) < len(self.vectors):
            self._keep(self.vectors[kept], None if self._offsets is None else self._offsets[kept])

    def query_vectors(self, batch: QueryBatch) -> Vectors | None:
        """The queries' own vectors in the same space, float32 [q, d]; None when they have none."""
        return None

    @property
    def vectors(self) -> Vectors:
        if self._vectors is None:
            raise NotFittedError.of(self)
        return self._vectors

    @property
    def offsets(self) -> Floats | None:
        return self._offsets

    @property
    def mean_square(self) -> float:
        """Mean square of the vectors' lengths."""
        return self._mean_square

    def save_state(self, folder: Path) -> None:
        np.save(folder / "vectors.npy", self.vectors)
        if self._offsets is not None:
            np.save(folder / "offsets.npy", self._offsets)

    def load_state(self, folder: Path, context: FitContext) -> None:
        offsets = folder / "offsets.npy"
        vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        self._keep(vectors, np.load(offsets) if offsets.exists() else None)

    def _keep(self, vectors: Vectors, offsets: Floats | None) -> None:
        self._vectors, self._offsets = vectors, offsets
        squares = np.einsum("ij,ij->i", vectors, vectors) if len(vectors) else np.ones(1)
        self._mean_square = float(squares.mean(dtype=np.float64))


class EmbeddingFactors(Factors):
    """The vectors of an encoder, scaled to length 1 (AXN: Yadav et al., ICLR 2024): no offline scorer call at all.

    Args:
        embedder: Makes the vectors; those of a dense retriever with the same embedder are shared. The retriever's, when
            none is given.
    """

    type = "embeddings"
    needs = frozenset({"corpus"})

    def __init__(self, *, embedder: Annotated[Embedder | None, Inherited()] = None) -> None:
        self.embedder = embedder

    def make(self, context: FitContext, scorer: Scorer) -> tuple[Vectors, Floats | None]:
        context.fit(given(self.embedder, self))
        start = context.n_kept
        new = of_length_one(context.embed_passages(given(self.embedder, self), start=start))
        return np.concatenate([self.vectors, new]) if start else new, None

    def query_vectors(self, batch: QueryBatch) -> Vectors:
        return of_length_one(batch.embeddings(given(self.embedder, self)))


def of_length_one(vectors: Vectors) -> Vectors:
    """Scaled; zero vectors stay zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    norms[norms == 0] = 1.0
    return np.asarray(vectors / norms[:, None], dtype=np.float32)
