"""Search by bits of random projections."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from rag.candidates import Vectors
from rag.retrievers.indexes.refined import RefinedIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["LSH"]


class LSH(RefinedIndex):
    """Locality-sensitive hashing: the signs of random projections, compared with all of them bit by bit (Charikar
    2002). Their Hamming distance stands for the angle, whatever the vectors' lengths. Nothing is trained and vectors
    can be added for ever without anything going stale; at the same memory ``rabitq`` finds more.

    Args:
        n_bits: Projections; 8 make a byte. None takes two for each dimension.
        refine: Candidates compared again by full vectors, as a multiple of k.
    """

    type = "lsh"
    selects = False

    def __init__(
        self,
        *,
        n_bits: Annotated[int, Field(ge=1)] | None = None,
        refine: Annotated[int, Field(ge=1)] = 20,
    ) -> None:
        self.n_bits = n_bits
        self.refine = refine

    def codes(self, vectors: Vectors) -> Any:
        import faiss

        dimension = vectors.shape[1]
        codes = faiss.IndexLSH(dimension, self.n_bits or 2 * dimension, True, False)
        codes.train(vectors)
        return codes

    def code_parameters(self, k: int, subset: Subset | None) -> Any:
        return None

    def code_cost(self, k: int, subset: Subset) -> float:
        return subset.n * 0.1
