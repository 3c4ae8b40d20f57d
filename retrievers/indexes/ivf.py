"""Search in the nearest clusters."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from rag.candidates import Vectors
from rag.errors import ConfigError
from retrievers.indexes.base import FaissIndex

__all__ = ["IVF"]

POINTS_PER_CLUSTER = 39
"""faiss warns below this: clusters from fewer training vectors are poor."""


class IVF(FaissIndex):
    """Inverted file: k-means clusters, of which the nearest are searched. Quick to build, little memory beyond vectors.

    Args:
        n_clusters: Clusters (faiss: nlist). None takes 4 sqrt(n), but no more than give every cluster 39 vectors.
        n_probe: Clusters searched (faiss: nprobe); more raise recall and latency, all of them is exact.
    """

    type = "ivf"

    def __init__(
        self,
        *,
        n_clusters: Annotated[int, Field(ge=1)] | None = None,
        n_probe: Annotated[int, Field(ge=1)] = 16,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_probe = n_probe

    def make(self, vectors: Vectors) -> Any:
        import faiss

        n, dimension = vectors.shape
        clusters = self.n_clusters or max(1, min(round(4 * math.sqrt(n)), n // POINTS_PER_CLUSTER))
        if clusters > n:
            raise ConfigError(
                f"'ivf': n_clusters must be at most the number of vectors ({n}), got {clusters}", parameter="n_clusters"
            )
        quantizer = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFFlat(quantizer, dimension, clusters, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1  # said in this class's words, not on standard error
        index.train(vectors)
        return index

    def search_parameters(self, k: int) -> Any:
        import faiss

        return faiss.SearchParametersIVF(nprobe=min(self.n_probe, self._fitted().nlist))
