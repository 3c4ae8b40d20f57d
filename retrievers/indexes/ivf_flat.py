"""Search in the nearest clusters."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rag.candidates import Vectors
from rag.retrievers.indexes.clusters import clusters_for, probe_cost, probe_parameters, trained_quietly
from rag.retrievers.indexes.faiss_index import FaissIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["IVFFlat"]


class IVFFlat(FaissIndex):
    """Inverted file of full vectors: k-means clusters, of which the nearest are searched. Quick to build, 4 d + 16
    bytes a vector; choose it over a graph where building time or memory counts, or where k is large.

    Args:
        n_clusters: Clusters (faiss: nlist). None takes 4 sqrt(n), but no more than give every cluster 39 vectors.
        n_probe: Clusters searched (faiss: nprobe); more raise recall and latency, all of them is exact. None takes
            6 sqrt(n_clusters).
    """

    type = "ivf_flat"
    keeps_vectors = True

    def __init__(
        self,
        *,
        n_clusters: Annotated[int, Field(ge=1)] | None = None,
        n_probe: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_probe = n_probe

    def make(self, vectors: Vectors) -> Any:
        import faiss

        n, dimension = vectors.shape
        clusters = clusters_for(n, self.n_clusters, self.spec.label)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, clusters, faiss.METRIC_INNER_PRODUCT)
        index.set_direct_map_type(faiss.DirectMap.Array)  # to find the vectors of some keys
        return trained_quietly(index, vectors)

    def search_parameters(self, k: int, subset: Subset | None) -> Any:
        return probe_parameters(self.n_probe, self._fitted().nlist, subset)

    def cost(self, k: int, subset: Subset) -> float:
        return probe_cost(self.n_probe, self._fitted().nlist, subset)
