"""Any index that faiss can name."""

from __future__ import annotations

import re
from typing import Any

from rag.candidates import Vectors
from rag.errors import ConfigError, first_line
from rag.progress import Progress, no_progress
from rag.retrievers.indexes.clusters import repeated
from rag.retrievers.indexes.faiss_index import FaissIndex
from rag.retrievers.indexes.subset import Subset

__all__ = ["Factory"]


class Factory(FaissIndex):
    """An index from a faiss factory string, for those who know exactly which one they want.

    Searched with what faiss takes by default, so ``nprobe`` and ``k_factor`` are 1. Within a subset it is asked for
    more and what is not allowed is dropped; what is short then is compared one by one, by what the codes decode to.

    Args:
        description: Such as ``PCA64,Flat`` or ``IVF256,PQ48x8,RFlat``.
    """

    type = "factory"
    selects = False

    def __init__(self, description: str) -> None:
        self.description = description

    def make(self, vectors: Vectors) -> Any:
        import faiss

        try:
            index = faiss.index_factory(vectors.shape[1], self.description, faiss.METRIC_INNER_PRODUCT)
            # faiss writes beyond its buffers where OPQ has fewer vectors than dimensions.
            index.train(repeated(vectors, vectors.shape[1]) if "OPQ" in self.description else vectors)
        except RuntimeError as error:
            raise self._refused(error) from None
        return index

    def flat(self, index: Any) -> Any:
        import faiss

        index = faiss.downcast_index(index)
        if isinstance(index, faiss.IndexRefine):
            return self.flat(index.refine_index)
        if isinstance(index, (faiss.IndexHNSW, faiss.IndexNSG)):
            return self.flat(index.storage)
        return index if isinstance(index, faiss.IndexFlat) else None

    def cost(self, k: int, subset: Subset) -> float:
        return subset.n / 2  # what it is, is not known: asking for more only pays where most are allowed

    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        try:
            super().build(vectors, progress=progress)
        except RuntimeError as error:
            self._index = None
            raise self._refused(error) from None

    def _refused(self, error: RuntimeError) -> ConfigError:
        reason = re.sub(r"^Error in .* at \S+:\d+: (Error: )?", "", first_line(error))
        return ConfigError(f"'factory': faiss does not accept '{self.description}': {reason}", parameter="description")
