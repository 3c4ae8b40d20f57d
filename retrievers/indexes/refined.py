"""Base of indexes of lossy codes: candidates by code are compared again by their full vectors."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from rag.candidates import Vectors
from rag.retrievers.indexes.faiss_index import FaissIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["RefinedIndex"]


class RefinedIndex(FaissIndex):
    """Searches ``refine * k`` candidates by code and ranks them by their full vectors.

    The full vectors are kept behind the codes in the same file. What is loaded is mapped, so only the vectors of
    candidates are read, and memory holds the codes. Without ``refine`` there are none: results are as good as the
    codes, and search within a subset decodes.
    """

    refine: int | None

    @abstractmethod
    def codes(self, vectors: Vectors) -> Any:
        """A trained, empty faiss index of codes."""

    def code_parameters(self, k: int, subset: Subset | None) -> Any:
        """Search parameters for k candidates."""
        return super().search_parameters(k, subset)

    def code_cost(self, k: int, subset: Subset) -> float:
        """Cost of searching the codes for a query, in comparisons of full vectors."""
        return float(subset.n)

    def make(self, vectors: Vectors) -> Any:
        import faiss

        codes = self.codes(vectors)
        if self.refine is None:
            return codes
        codes.metric_type = faiss.METRIC_INNER_PRODUCT  # also of codes that compare bits: the second step counts
        return faiss.IndexRefineFlat(codes)

    def flat(self, index: Any) -> Any:
        import faiss

        return None if self.refine is None else faiss.downcast_index(index.refine_index)

    def search_parameters(self, k: int, subset: Subset | None) -> Any:
        import faiss

        if self.refine is None:
            return self.code_parameters(k, subset)
        inner = self.code_parameters(k * self.refine, subset)
        # Its own default, k_factor = 1, ranks the k best codes again and finds nothing new.
        return faiss.IndexRefineSearchParameters(k_factor=self.refine, base_index_params=inner)

    def cost(self, k: int, subset: Subset) -> float:
        return self.code_cost(k, subset) + 2.0 * k * (self.refine or 0)

    def code_index(self) -> Any:
        """The index of codes, once built."""
        import faiss

        index = self._fitted()
        return index if self.refine is None else faiss.downcast_index(index.base_index)
