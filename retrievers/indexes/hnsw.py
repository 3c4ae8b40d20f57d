"""Graph search."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from rag.candidates import Vectors
from rag.retrievers.indexes.faiss_index import FaissIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["HNSW"]

_VISITED = 40
"""Vectors compared for each candidate kept, at m = 32; a graph jumps about in memory, which is counted in."""


class HNSW(FaissIndex):
    """Hierarchical navigable small world graph (Malkov and Yashunin 2018): the best speed at high recall when memory
    allows vectors plus links, 4 d + 8 m bytes a vector. Built by several threads, so two builds may differ in a few
    links.

    Args:
        m: Links per vector and layer (twice that on the lowest); more raise recall, memory and build time.
        ef_construction: Candidates kept while inserting; more raise recall and build time.
        ef_search: Candidates kept while searching, at least the k that is asked for; more raise recall and latency.
    """

    type = "hnsw"

    def __init__(
        self,
        *,
        m: Annotated[int, Field(ge=2, le=512)] = 32,
        ef_construction: Annotated[int, Field(ge=1, le=1_000_000)] = 200,
        ef_search: Annotated[int, Field(ge=1, le=1_000_000)] = 128,
    ) -> None:
        self.m = m
        self.ef_construction = ef_construction
        self.ef_search = ef_search

    def make(self, vectors: Vectors) -> Any:
        import faiss

        index = faiss.IndexHNSWFlat(vectors.shape[1], self.m, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.ef_construction
        return index

    def flat(self, index: Any) -> Any:
        import faiss

        return faiss.downcast_index(index.storage)

    def search_parameters(self, k: int, subset: Subset | None) -> Any:
        import faiss

        if subset is None:
            return faiss.SearchParametersHNSW(efSearch=max(self.ef_search, k))
        return faiss.SearchParametersHNSW(efSearch=self._ef(k, subset), sel=subset.selector)

    def cost(self, k: int, subset: Subset) -> float:
        # Links lead past what is not allowed, which is compared too.
        return _VISITED * math.sqrt(self.m / 32) * max(self.ef_search, k) / max(subset.fraction, 1e-9)

    def _ef(self, k: int, subset: Subset) -> int:
        # Among the candidates kept only a share is allowed: without more of them recall falls apart, though not yet
        # with half of them (measured).
        return math.ceil(max(self.ef_search, k) * max(1.0, 0.5 / max(subset.fraction, 1e-9)))
