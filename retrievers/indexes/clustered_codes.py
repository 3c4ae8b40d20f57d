"""Base of inverted files of product codes."""

from __future__ import annotations

from typing import Any, ClassVar

from rag.retrievers.indexes.clusters import probe_cost, probe_parameters
from rag.retrievers.indexes.refined import RefinedIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["ClusteredCodes"]


class ClusteredCodes(RefinedIndex):
    """Searches the codes of the nearest clusters, behind a change of the dimensions.

    Attributes:
        n_probe: Clusters searched.
    """

    n_probe: int | None

    comparison: ClassVar[float]
    """What comparing a code costs, in comparisons of full vectors."""

    def code_parameters(self, k: int, subset: Subset | None) -> Any:
        import faiss

        inner = probe_parameters(self.n_probe, self._clusters(), subset)
        return faiss.SearchParametersPreTransform(index_params=inner)

    def code_cost(self, k: int, subset: Subset) -> float:
        return probe_cost(self.n_probe, self._clusters(), subset, comparison=self.comparison)

    def _clusters(self) -> int:
        import faiss

        return int(faiss.extract_index_ivf(self.code_index()).nlist)
