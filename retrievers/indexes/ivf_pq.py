"""Search in the nearest clusters by product codes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rag.candidates import Vectors
from rag.retrievers.indexes.clustered_codes import ClusteredCodes
from rag.retrievers.indexes.clusters import clusters_for, repeated, trained_quietly
from rag.retrievers.indexes.product_codes import parts_for

__all__ = ["IVFPQ"]

_OPQ_ROUNDS = 20
_OPQ_SAMPLE = 32_768
"""faiss takes 50 rounds over 65,536 vectors: four times as long, for less than .01 of recall before refining."""


class IVFPQ(ClusteredCodes):
    """Inverted file of product codes (Jegou et al. 2011), rotated first so that the parts are alike (OPQ, Ge et al.
    2013): d / 8 bytes a vector in memory. Choose it when full vectors do not fit and ``ivf_fastscan``'s codes do not
    either.

    Args:
        n_clusters: Clusters. None takes 4 sqrt(n), but no more than give every cluster 39 vectors.
        n_probe: Clusters searched; more raise recall and latency. None takes 6 sqrt(n_clusters).
        n_parts: Bytes of a code (faiss: M). None takes one for 8 dimensions.
        opq: Rotate before coding. Costs most of the training time; parts of embeddings are seldom alike.
        refine: Candidates compared again by full vectors, as a multiple of k. None keeps codes only.
    """

    type = "ivf_pq"
    comparison = 0.3

    def __init__(
        self,
        *,
        n_clusters: Annotated[int, Field(ge=1)] | None = None,
        n_probe: Annotated[int, Field(ge=1)] | None = None,
        n_parts: Annotated[int, Field(ge=1)] | None = None,
        opq: bool = True,
        refine: Annotated[int, Field(ge=1)] | None = 10,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_probe = n_probe
        self.n_parts = n_parts
        self.opq = opq
        self.refine = refine

    def codes(self, vectors: Vectors) -> Any:
        import faiss

        n, dimension = vectors.shape
        clusters = clusters_for(n, self.n_clusters, self.spec.label)
        parts = parts_for(dimension, self.n_parts, 8, self.spec.label)
        even = parts * (dimension // parts) if self.opq else parts * -(-dimension // parts)
        ivf = faiss.IndexIVFPQ(faiss.IndexFlatIP(even), even, clusters, parts, 8, faiss.METRIC_INNER_PRODUCT)
        ivf.pq.cp.min_points_per_centroid = 1
        if self.opq:
            turn = faiss.OPQMatrix(dimension, parts, even)
            turn.niter, turn.max_train_points = _OPQ_ROUNDS, _OPQ_SAMPLE
            quantizer = faiss.ProductQuantizer(even, parts, 8)
            quantizer.cp.min_points_per_centroid = 1
            turn.pq = quantizer
        else:
            turn = faiss.RemapDimensionsTransform(dimension, even, False)  # zeros at the end
        least = max(256, dimension) if self.opq else 256  # faiss writes beyond its buffers where OPQ has fewer
        return trained_quietly(ivf, repeated(vectors, least), faiss.IndexPreTransform(turn, ivf))
