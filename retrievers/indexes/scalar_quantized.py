"""Search among all vectors, with fewer bits a value."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from rag.candidates import Vectors
from rag.retrievers.indexes.refined import RefinedIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["ScalarQuantized"]


class ScalarQuantized(RefinedIndex):
    """Compares with every vector at 4, 6, 8 or 16 bits a value: d bytes a vector in memory at 8. Choose it where
    ``flat`` is fast enough but a quarter of its memory is wanted.

    Args:
        bits: Of each value. ``fp16`` and ``bf16`` are floats of 16 bits; the others are even steps between the least
            and the largest value of each dimension in the training vectors.
        refine: Candidates compared again by full vectors, as a multiple of k. None keeps codes only, which at 8 bits
            and more is nearly as good.
    """

    type = "scalar_quantized"

    def __init__(
        self,
        *,
        bits: Literal["4", "6", "8", "fp16", "bf16"] = "8",
        refine: Annotated[int, Field(ge=1)] | None = 2,
    ) -> None:
        self.bits = bits
        self.refine = refine

    def codes(self, vectors: Vectors) -> Any:
        import faiss

        kind = f"QT_{self.bits}" + ("" if self.bits.endswith("16") else "bit")
        codes = faiss.IndexScalarQuantizer(
            vectors.shape[1], getattr(faiss.ScalarQuantizer, kind), faiss.METRIC_INNER_PRODUCT
        )
        codes.train(vectors)
        return codes

    def code_cost(self, k: int, subset: Subset) -> float:
        return float(subset.n * 0.03 + subset.count)
