"""Base of the indexes of faiss: building, growing, saving, and searching all keys or a subset."""

from __future__ import annotations

import json
import math
import threading
import time
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rag.candidates import PADDING, Floats, Ints, Vectors
from rag.errors import ArtifactError, DataError, NotFittedError, first_line
from rag.progress import Progress, no_progress
from rag.retrievers.indexes.base import Index
from rag.retrievers.indexes.scan import scan, scan_cost
from rag.retrievers.indexes.subset import Subset, subset_of
from rag.store.spill import blocks, released

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["FaissIndex"]


class FaissIndex(Index):
    """An index of faiss: subclasses make one and say how it is searched."""

    _libraries = ("faiss-cpu",)
    can_add = True

    selects: ClassVar[bool] = True
    """Whether its search takes a selector. One that does not is asked for more and what is not allowed is dropped."""

    keeps_vectors: ClassVar[bool] = False
    """Whether faiss gives back the very vectors it was given where :meth:`flat` has none."""

    adds_in_parts: ClassVar[bool] = True
    """Whether building may add some vectors at a time, which shows how far it is."""

    _index: Any = None
    _flat: Any = None
    """The full vectors as a flat index of faiss, where there are any."""
    _bytes: int | None = None
    _last: tuple[Ints, Subset] | None = None

    # -- what a family says -----------------------------------------------------------------------------------------

    @abstractmethod
    def make(self, vectors: Vectors) -> Any:
        """A trained, empty faiss index for these vectors, metric inner product."""

    def search_parameters(self, k: int, subset: Subset | None) -> Any:
        """What faiss calls ``SearchParameters`` for a search of k keys, of this subset if any; None takes defaults."""
        if subset is None:
            return None
        import faiss

        return faiss.SearchParameters(sel=subset.selector)

    def cost(self, k: int, subset: Subset) -> float:
        """What one query costs that faiss searches within a subset, in comparisons of full vectors one by one.

        When a scan of the subset costs less, that is done. Where no selector is taken, ``k`` is what faiss is asked
        for.
        """
        return float(subset.n)

    def cost_within(self, n_queries: int, k: int, subset: Subset) -> float:
        """The cost of one of some queries that are searched together within a subset, in comparisons of full vectors
        one by one: the lower of a scan's and of :meth:`cost`.
        """
        return min(self._costs(n_queries, k, subset)) if subset.count else 0.0

    def flat(self, index: Any) -> Any:
        """The part of an index that holds full vectors, or None."""
        return None

    def grown(self, index: Any, vectors: Vectors) -> Any:
        """A copy of a faiss index with more vectors: what was loaded is mapped and cannot grow, and whoever shares the
        old one keeps it as it is.
        """
        import faiss

        index = faiss.deserialize_index(faiss.serialize_index(index))
        index.add(vectors)
        return index

    # -- the contract -----------------------------------------------------------------------------------------------

    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        vectors = self._finite(vectors, "vectors")
        if not len(vectors):
            raise DataError(f"{self.spec.label}: no vectors to index")
        start = time.perf_counter()
        index = self.make(vectors)
        step = max(1024, len(vectors) // 50) if self.adds_in_parts else len(vectors)
        with progress(f"building the index ({self.type})", len(vectors)) as advance:
            for first in range(0, len(vectors), step):
                index.add(vectors[first : first + step])
                released(vectors)
                advance(min(step, len(vectors) - first))
        self._set(index)
        self.build_seconds = time.perf_counter() - start

    def add(self, vectors: Vectors) -> None:
        if not self.can_add:
            raise DataError(f"{self.spec.label} cannot take more vectors: build it again from all of them")
        vectors = self._finite(vectors, "vectors")
        self._check_dimension(vectors, "vectors to add")
        self._set(self.grown(self._fitted(), vectors))

    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        index = self._fitted()
        self._check_dimension(vectors, "the queries' vectors")
        vectors = self._finite(vectors, "queries' vectors")
        if allowed is None:
            return self._search(vectors, min(k, index.ntotal), None)
        subset = subset_of(allowed, index.ntotal, self._last)
        if isinstance(allowed, np.ndarray):
            self._last = (allowed, subset)
        return self._search_within(vectors, min(k, subset.count), subset)

    def reconstruct(self, keys: Ints) -> Vectors | None:
        self._fitted()
        if self._flat is not None:
            return np.asarray(self._flat.reconstruct_batch(keys), dtype=np.float32)
        return self._decoded(keys) if self.keeps_vectors else None

    @property
    def bytes(self) -> int:
        if self._bytes is None:
            import faiss

            sizes: list[int] = []
            faiss.write_index(self._fitted(), faiss.PyCallbackIOWriter(lambda part: sizes.append(len(part))))
            self._bytes = sum(sizes)
        return self._bytes

    def save_state(self, folder: Path) -> None:
        import faiss

        path = folder / "index.faiss"
        try:
            faiss.write_index(self._fitted(), str(path))
        except RuntimeError as error:  # the disk is full, for one
            raise OSError(f"{path.name}: {first_line(error)}") from None
        (folder / "index.json").write_text(json.dumps({"build_seconds": self.build_seconds}), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        import faiss

        path = folder / "index.faiss"
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise ArtifactError(f"{path}: cannot be read: {first_line(error)}") from None
        self._set(index)
        self._bytes = path.stat().st_size
        info = folder / "index.json"
        if info.is_file():  # older ones have none
            self.build_seconds = float(json.loads(info.read_text(encoding="utf-8"))["build_seconds"])

    def __getstate__(self) -> dict[str, Any]:
        # faiss pickles an index; its part would be another one afterwards, and the last subset is worth nothing.
        state = super().__getstate__()
        if self._index is not None:
            import faiss

            state["_index"] = faiss.serialize_index(self._index)
        return {name: value for name, value in state.items() if name not in ("_flat", "_last")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._index is not None:
            import faiss

            size = self._bytes
            self._set(faiss.deserialize_index(self._index))
            self._bytes = size

    # -- within -----------------------------------------------------------------------------------------------------

    def _set(self, index: Any) -> None:
        self._index, self._flat = index, self.flat(index)
        self._bytes = self._last = None

    def _fitted(self) -> Any:
        if self._index is None:
            raise NotFittedError.of(self)
        return self._index

    def _search(self, vectors: Vectors, k: int, subset: Subset | None) -> tuple[Ints, Floats]:
        if not k:
            return np.empty((len(vectors), 0), dtype=np.int64), np.empty((len(vectors), 0), dtype=np.float32)
        scores, keys = self._index.search(vectors, k, params=self.search_parameters(k, subset))
        return keys, scores

    def _search_within(self, vectors: Vectors, k: int, subset: Subset) -> tuple[Ints, Floats]:
        if not k:
            return self._search(vectors, 0, None)
        if subset.count == subset.n:
            keys, scores = self._search(vectors, k, None)
        else:
            scanning, searching = self._costs(len(vectors), k, subset)
            if scanning <= searching:
                return self._scan(vectors, k, subset)
            if self.selects:
                keys, scores = self._search(vectors, k, subset)
            else:
                keys, scores = _only(*self._search(vectors, self._wide(k, subset), None), k, subset)
        short = np.flatnonzero((keys == PADDING).any(axis=1)) if keys.shape[1] == k else np.arange(len(vectors))
        if len(short):
            if keys.shape[1] < k:
                return self._scan(vectors, k, subset)
            keys[short], scores[short] = self._scan(vectors[short], k, subset)
        return keys, scores

    def _costs(self, n_queries: int, k: int, subset: Subset) -> tuple[float, float]:
        """Costs of a query by scanning a subset, and by faiss' search, in comparisons of full vectors one by one."""
        cost = self.cost(k if self.selects else self._wide(k, subset), subset)
        return scan_cost(n_queries, subset, in_place=self._flat is not None), cost

    def _wide(self, k: int, subset: Subset) -> int:
        """Number of keys to request so that about k of them are allowed, with a margin of three standard deviations."""
        share = subset.fraction
        return min(subset.n, math.ceil((k + 3 * math.sqrt(k * (1 - share)) + 1) / share))

    def _scan(self, vectors: Vectors, k: int, subset: Subset) -> tuple[Ints, Floats]:
        return scan(vectors, k, subset, self._flat, self._decoded)

    def _decoded(self, keys: Ints) -> Vectors:
        """Vectors by key, decoded from codes where the full vectors are not kept."""
        import faiss

        try:
            if (ivf := faiss.try_extract_index_ivf(self._index)) is not None:
                with _DIRECT_MAP:  # made once
                    _ = self.bytes  # those of the index, whatever was asked of it
                    ivf.make_direct_map()
            return np.asarray(self._index.reconstruct_batch(keys), dtype=np.float32)
        except RuntimeError as error:
            raise DataError(
                f"{self.spec.label} cannot search among some keys only: faiss gives no vectors back: "
                f"{first_line(error)}"
            ) from None

    def _check_dimension(self, vectors: Vectors, subject: str) -> None:
        if vectors.shape[1] != self._fitted().d:
            raise DataError(f"{subject} have {vectors.shape[1]} dimensions, the index has {self._fitted().d}")

    def _finite(self, vectors: Vectors, subject: str) -> Vectors:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        # Arrays of truth values only when needed.
        if not all(np.isfinite(block.sum(dtype=np.float64)) for _, block in blocks(vectors)):
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
            raise DataError(
                f"{self.spec.label}: {len(bad)} of {len(vectors)} {subject} have NaN or infinite values, "
                f"the first is row {bad[0]}"
            )
        return vectors


_DIRECT_MAP = threading.Lock()


def _only(keys: Ints, scores: Floats, k: int, subset: Subset) -> tuple[Ints, Floats]:
    """The best k of each row that are allowed, padded."""
    inside = subset.mask[keys] & (keys >= 0)
    order = np.argsort(~inside, axis=1, kind="stable")[:, :k]
    inside = np.take_along_axis(inside, order, 1)
    keys = np.where(inside, np.take_along_axis(keys, order, 1), PADDING)
    scores = np.where(inside, np.take_along_axis(scores, order, 1), -np.inf).astype(np.float32, copy=False)
    return keys, scores
