"""Search in the nearest clusters by one bit for each dimension."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rag.candidates import Vectors
from rag.retrievers.indexes.clusters import clusters_for, probe_cost, probe_parameters, trained_quietly
from rag.retrievers.indexes.refined import RefinedIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["RaBitQ"]


class RaBitQ(RefinedIndex):
    """Inverted file of RaBitQ codes (Gao and Long 2024): one bit for each dimension of the randomly rotated distance to
    the center, d / 8 + 8 bytes a vector in memory, with an unbiased estimate of the inner product. Nothing is trained
    but the clusters: choose it for little memory and a quick build.

    Args:
        n_clusters: Clusters. None takes 4 sqrt(n), but no more than give every cluster 39 vectors.
        n_probe: Clusters searched; more raise recall and latency. None takes 6 sqrt(n_clusters).
        query_bits: Bits that a query's values are rounded to; 0 takes them as they are, which is slower.
        refine: Candidates compared again by full vectors, as a multiple of k. None keeps codes only.
    """

    type = "rabitq"

    def __init__(
        self,
        *,
        n_clusters: Annotated[int, Field(ge=1)] | None = None,
        n_probe: Annotated[int, Field(ge=1)] | None = None,
        query_bits: Annotated[int, Field(ge=0, le=8)] = 8,
        refine: Annotated[int, Field(ge=1)] | None = 20,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_probe = n_probe
        self.query_bits = query_bits
        self.refine = refine

    def codes(self, vectors: Vectors) -> Any:
        import faiss

        n, dimension = vectors.shape
        clusters = clusters_for(n, self.n_clusters, self.spec.label)
        ivf = faiss.IndexIVFRaBitQ(faiss.IndexFlatIP(dimension), dimension, clusters, faiss.METRIC_INNER_PRODUCT)
        turn = faiss.RandomRotationMatrix(dimension, dimension)
        return trained_quietly(ivf, vectors, faiss.IndexPreTransform(turn, ivf))

    def code_parameters(self, k: int, subset: Subset | None) -> Any:
        import faiss

        clusters = probe_parameters(self.n_probe, self._clusters(), subset)
        inner = faiss.IVFRaBitQSearchParameters(nprobe=clusters.nprobe, sel=clusters.sel, qb=self.query_bits)
        return faiss.SearchParametersPreTransform(index_params=inner)

    def code_cost(self, k: int, subset: Subset) -> float:
        return probe_cost(self.n_probe, self._clusters(), subset, comparison=0.5)

    def _clusters(self) -> int:
        import faiss

        return int(faiss.extract_index_ivf(self.code_index()).nlist)
