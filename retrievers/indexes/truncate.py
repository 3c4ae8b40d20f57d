"""Search by the first dimensions or by signs, then by full vectors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from rag.candidates import Vectors
from rag.errors import ConfigError
from rag.retrievers.indexes.refined import RefinedIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["Truncate"]


class Truncate(RefinedIndex):
    """Two steps: all vectors by a short form of them, then the best candidates by full vectors. ``float`` keeps the
    first dimensions, for models trained so that these say most (Matryoshka, Kusupati et al. 2022); ``binary`` keeps
    signs, for any model of some hundred dimensions. No training, little memory: d / 8 bytes a vector for signs.

    Args:
        dimensions: First dimensions that are kept. None takes a quarter of them as floats, or all of them as signs.
        values: Stored form of each value: the number itself, or its sign.
        refine: Candidates compared again by full vectors, as a multiple of k.
    """

    type = "truncate"

    def __init__(
        self,
        *,
        dimensions: Annotated[int, Field(ge=1)] | None = None,
        values: Literal["float", "binary"] = "binary",
        refine: Annotated[int, Field(ge=1)] = 40,
    ) -> None:
        self.dimensions = dimensions
        self.values = values
        self.refine = refine
        self.selects = values == "float"  # type: ignore[misc]

    def codes(self, vectors: Vectors) -> Any:
        import faiss

        whole = vectors.shape[1]
        if self.dimensions is not None and self.dimensions > whole:
            raise ConfigError(
                f"{self.spec.label}: dimensions must be at most that of the vectors ({whole}), got {self.dimensions}",
                parameter="dimensions",
            )
        if self.values == "binary":
            return faiss.IndexLSH(whole, self.dimensions or whole, False, False)
        first = self.dimensions or -(-whole // 4)
        return faiss.IndexPreTransform(faiss.RemapDimensionsTransform(whole, first, False), faiss.IndexFlatIP(first))

    def code_parameters(self, k: int, subset: Subset | None) -> Any:
        import faiss

        if subset is None or self.values == "binary":
            return None
        inner = faiss.SearchParameters(sel=subset.selector)
        return faiss.SearchParametersPreTransform(index_params=inner)

    def code_cost(self, k: int, subset: Subset) -> float:
        if self.values == "binary":
            return subset.n * 0.05
        share = float(self.code_index().index.d) / float(self._fitted().d)
        return subset.n * 0.03 + subset.count * share
