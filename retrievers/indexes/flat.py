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

    def grown(self, index: Any, vectors: Vectors) -> Any:
        """Room is made once and all vectors are copied once, as faiss itself does where the old ones may go."""
        import faiss

        n, d = index.ntotal, index.d
        grown = faiss.IndexFlatIP(d)
        grown.codes.resize((n + len(vectors)) * grown.code_size)
        grown.ntotal = n + len(vectors)
        table = faiss.rev_swig_ptr(grown.get_xb(), grown.ntotal * d).reshape(-1, d)
        table[:n] = faiss.rev_swig_ptr(index.get_xb(), n * d).reshape(n, d)
        table[n:] = vectors
        return grown

    def cost(self, k: int, subset: Subset) -> float:
        return subset.n * (1.0 if k <= 2048 else 2.0)
