"""Exact search."""

from __future__ import annotations

from typing import Any

from rag.candidates import Vectors
from retrievers.indexes.base import FaissIndex

__all__ = ["Flat"]


class Flat(FaissIndex):
    """Compares with every vector: exact.

    The right choice up to some hundred thousand vectors, and the reference always.
    """

    type = "flat"

    def make(self, vectors: Vectors) -> Any:
        import faiss

        return faiss.IndexFlatIP(vectors.shape[1])
