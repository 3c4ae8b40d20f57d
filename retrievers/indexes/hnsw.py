"""Graph search."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rag.candidates import Vectors
from retrievers.indexes.base import FaissIndex

__all__ = ["HNSW"]


class HNSW(FaissIndex):
    """Hierarchical navigable small world graph (Malkov and Yashunin 2018): the best speed at high recall when memory
    allows vectors plus links. Built by several threads, so two builds may differ in a few links.

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

    def search_parameters(self, k: int) -> Any:
        import faiss

        return faiss.SearchParametersHNSW(efSearch=max(self.ef_search, k))
