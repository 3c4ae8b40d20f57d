"""The contract of vector indexes, and what those of faiss share."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rag.candidates import Floats, Ints, Vectors
from rag.component import Component
from rag.context import Progress, no_progress
from rag.errors import ArtifactError, DataError, NotFittedError

if TYPE_CHECKING:
    from rag.context import FitContext

__all__ = ["FaissIndex", "Index"]


class Index(Component):
    """Finds the vectors with the largest inner products."""

    kind: ClassVar[str] = "index"

    @abstractmethod
    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        """Index vectors, float32 [n, d]; keys are row numbers."""

    @abstractmethod
    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        """Nearest keys int64 [q, k'] (-1 padding) and inner products float32 [q, k'], best first, k' <= k."""


class FaissIndex(Index):
    """An index of faiss: subclasses make one and say how it is searched."""

    libraries = ("faiss-cpu",)

    _index: Any = None

    @abstractmethod
    def make(self, vectors: Vectors) -> Any:
        """A trained, empty faiss index for these vectors, metric inner product."""

    def search_parameters(self, k: int) -> Any:
        """What faiss calls ``SearchParameters`` for a search of k, or None."""
        return None

    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self._index = self.make(vectors)
        step = max(1024, len(vectors) // 50)
        with progress(f"building the index ({self.type})", len(vectors)) as advance:
            for first in range(0, len(vectors), step):
                self._index.add(vectors[first : first + step])
                advance(min(step, len(vectors) - first))

    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        index = self._fitted()
        if vectors.shape[1] != index.d:
            raise DataError(f"the queries' vectors have {vectors.shape[1]} dimensions, the index has {index.d}")
        k = min(k, index.ntotal)
        if allowed is not None:
            import faiss

            keys = np.arange(index.ntotal)[allowed] if isinstance(allowed, slice) else allowed
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(keys))
            scores, keys = index.search(np.ascontiguousarray(vectors), min(k, len(keys)), params=parameters)
            return keys, scores
        scores, keys = index.search(np.ascontiguousarray(vectors), k, params=self.search_parameters(k))
        return keys, scores

    def save_state(self, folder: Path) -> None:
        import faiss

        faiss.write_index(self._fitted(), str(folder / "index.faiss"))

    def load_state(self, folder: Path, context: FitContext) -> None:
        import faiss

        try:
            self._index = faiss.read_index(str(folder / "index.faiss"), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise ArtifactError(f"{folder / 'index.faiss'}: cannot be read: {str(error).splitlines()[0]}") from None

    def _fitted(self) -> Any:
        if self._index is None:
            raise NotFittedError(f"the index {self.label()} has not been built: fit the pipeline it is in first")
        return self._index
