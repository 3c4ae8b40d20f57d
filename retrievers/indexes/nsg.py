"""Search in a sparse graph."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.retrievers.indexes.faiss_index import FaissIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["NSG"]

_LEAST = 1000
"""Fewer vectors are compared one by one: no graph is faster, and faiss builds none under a hundred."""

_BRUTE_FORCE = 20_000
"""Below this, comparing all vectors with all takes less time than NN-descent, and the graph is better."""

_VISITED = 30
"""Vectors compared for each candidate kept, with what jumping about in memory costs."""


class NSG(FaissIndex):
    """Navigating spreading-out graph (Fu et al. 2019): about half the links of ``hnsw`` at like recall, 4 d + 4 r bytes
    a vector. It is built at once and cannot grow: for collections that are replaced, not updated.

    Args:
        r: Most links per vector; more raise recall, memory and build time.
        l_search: Candidates kept while searching, at least the k that is asked for; more raise recall and latency.
    """

    type = "nsg"
    can_add = False
    selects = False
    adds_in_parts = False

    def __init__(
        self,
        *,
        r: Annotated[int, Field(ge=4, le=512)] = 32,
        l_search: Annotated[int, Field(ge=1, le=1_000_000)] = 128,
    ) -> None:
        self.r = r
        self.l_search = l_search

    def make(self, vectors: Vectors) -> Any:
        import faiss

        dimension = vectors.shape[1]
        if len(vectors) < _LEAST or _most_alike(vectors) > self.r:
            return faiss.IndexFlatIP(dimension)
        index = faiss.IndexNSGFlat(dimension, self.r, faiss.METRIC_INNER_PRODUCT)
        index.nsg.search_L = self.l_search
        index.build_type = 0 if len(vectors) < _BRUTE_FORCE else 1  # who is near whom: exactly, or by NN-descent
        return index

    def flat(self, index: Any) -> Any:
        import faiss

        return faiss.downcast_index(index.storage) if isinstance(index, faiss.IndexNSG) else index

    def cost(self, k: int, subset: Subset) -> float:
        return min(float(_VISITED * max(self.l_search, k)), float(subset.n))


def _most_alike(vectors: Vectors) -> int:
    """Count of the most frequent vector. More than the links of a vector, and faiss never ends connecting them."""
    direction = np.random.default_rng(0).standard_normal(vectors.shape[1])
    return int(np.unique(vectors @ direction, return_counts=True)[1].max())
