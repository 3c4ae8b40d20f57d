"""Search in the nearest clusters by 4-bit codes that fit a processor's registers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rag.candidates import Vectors
from rag.retrievers.indexes.clustered_codes import ClusteredCodes
from rag.retrievers.indexes.clusters import clusters_for, repeated, trained_quietly
from rag.retrievers.indexes.product_codes import parts_for

__all__ = ["IVFFastScan"]


class IVFFastScan(ClusteredCodes):
    """Inverted file of 4-bit product codes compared 32 at a time (Andre et al. 2017): d / 4 bytes a vector in memory,
    and the fastest of the compressed families. The first choice when full vectors do not fit.

    Args:
        n_clusters: Clusters. None takes 4 sqrt(n), but no more than give every cluster 39 vectors.
        n_probe: Clusters searched; more raise recall and latency. None takes 6 sqrt(n_clusters).
        n_parts: Codes of 4 bits for a vector (faiss: M). None takes one for 2 dimensions.
        refine: Candidates compared again by full vectors, as a multiple of k. These codes are never kept alone: once
            loaded, faiss 1.15 cannot decode them, which searching some keys would need.
    """

    type = "ivf_fastscan"
    comparison = 0.1

    def __init__(
        self,
        *,
        n_clusters: Annotated[int, Field(ge=1)] | None = None,
        n_probe: Annotated[int, Field(ge=1)] | None = None,
        n_parts: Annotated[int, Field(ge=1)] | None = None,
        refine: Annotated[int, Field(ge=1)] = 8,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_probe = n_probe
        self.n_parts = n_parts
        self.refine = refine

    def codes(self, vectors: Vectors) -> Any:
        import faiss

        n, dimension = vectors.shape
        clusters = clusters_for(n, self.n_clusters, self.spec.label)
        parts = parts_for(dimension, self.n_parts, 2, self.spec.label)
        even = parts * -(-dimension // parts)
        ivf = faiss.IndexIVFPQFastScan(faiss.IndexFlatIP(even), even, clusters, parts, 4, faiss.METRIC_INNER_PRODUCT)
        ivf.pq.cp.min_points_per_centroid = 1
        turn = faiss.RemapDimensionsTransform(dimension, even, False)  # zeros at the end
        return trained_quietly(ivf, repeated(vectors, 16), faiss.IndexPreTransform(turn, ivf))
