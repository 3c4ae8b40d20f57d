"""The contract of sparse embedders."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rag.candidates import Ints
from rag.component import Component
from rag.errors import ModelError

if TYPE_CHECKING:
    from rag.fitting import FitContext, UpdateContext

__all__ = ["SparseEmbedder", "strongest_terms"]


class SparseEmbedder(Component):
    """Turns texts into weights of terms, nearly all of them 0. Queries and documents may be treated differently."""

    kind: ClassVar[str] = "sparse_embedder"

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Number of terms; known once fitted."""

    @abstractmethod
    def terms(self, columns: Sequence[int]) -> list[str]:
        """Readable names of the terms in these columns."""

    @abstractmethod
    def embed_queries(self, texts: Sequence[str]) -> Any:
        """Weights of queries, scipy CSR array float32 [n, dimension] without zeros, in the order of ``texts``."""

    @abstractmethod
    def embed_documents(self, texts: Sequence[str]) -> Any:
        """Weights of passages, likewise."""

    def embed_passages(self, context: FitContext, start: int = 0) -> Iterator[Any]:
        """Weights of all passages that something is fitted on, or of those from a position on, a block at a time."""
        with context.progress(f"embedding ({self.type})", len(context.passages) - start) as advance:
            for block in context.passages.iter_texts(start):
                yield self.embed_documents(block)
                advance(len(block))

    def update(self, context: UpdateContext, kept: Ints) -> None:
        """It keeps what it learned: the weights of all passages were made by it."""
        for _, child in self.spec.children():
            context.fit(child)
        context.keep(self)

    def checked(self, weights: Any, n: int) -> Any:
        """Check the result of an embedding method for ``n`` texts; returns it without zeros.

        Raises:
            ModelError: It has another shape than [n, dimension], or weights that are below 0 or not finite, which an
                inverted index cannot hold.
        """
        if weights.shape != (n, self.dimension):
            raise ModelError(
                f"{self.spec.label} returned weights of shape {weights.shape} for {n} texts, expected "
                f"{(n, self.dimension)}"
            )
        if not np.isfinite(weights.data).all():
            raise ModelError(f"{self.spec.label} returned weights that are NaN or infinite")
        if (weights.data < 0).any():
            raise ModelError(f"{self.spec.label} returned weights below 0, which an inverted index cannot hold")
        weights.eliminate_zeros()
        weights.sort_indices()
        return weights


def strongest_terms(weights: Any, k: int | None) -> Any:
    """The ``k`` largest weights of each row of a CSR array, ties by column; all of them for None."""
    import scipy.sparse

    if k is None or not weights.nnz:
        return weights
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    order = np.lexsort((weights.indices, -weights.data, row))
    rank = np.arange(len(row)) - np.repeat(weights.indptr[:-1], np.diff(weights.indptr))
    strongest = np.sort(order[rank < k])
    ends = np.concatenate([[0], np.cumsum(np.bincount(row[strongest], minlength=weights.shape[0]))])
    arrays = (weights.data[strongest], weights.indices[strongest], ends.astype(weights.indptr.dtype))
    return scipy.sparse.csr_array(arrays, shape=weights.shape)
