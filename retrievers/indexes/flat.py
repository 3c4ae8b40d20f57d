"""Exact search."""

from __future__ import annotations

from typing import Any

from rag.candidates import Vectors
from rag.retrievers.indexes.faiss_index import FaissIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["Flat"]


class Flat(FaissIndex):
    """Compares with every vector: exact.

    The right choice up to some hundred thousand vectors, and the reference always. 4 d bytes a vector.
    """

    type = "flat"
    selects = False  # comparing the allowed ones is always exact; asking for more pays where nearly all are allowed

    def make(self, vectors: Vectors) -> Any:
        import faiss

        return faiss.IndexFlatIP(vectors.shape[1])

    def flat(self, index: Any) -> Any:
        return index

    def cost(self, k: int, subset: Subset) -> float:
        return subset.n * (1.0 if k <= 2048 else 2.0)
