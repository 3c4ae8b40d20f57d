"""An index with smaller ones over windows of its keys."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Floats, Ints, Vectors
from rag.component import Pattern
from rag.errors import ConfigError, DataError, NotFittedError
from rag.progress import Progress, no_progress
from rag.retrievers.indexes.base import Index
from rag.retrievers.indexes.faiss_index import FaissIndex
from rag.retrievers.indexes.hnsw import HNSW
from rag.retrievers.indexes.subset import Subset

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["WindowTree"]

Bucket = tuple[int, int]
"""First key, and the one after the last."""

_SMALLEST = 4096
"""Keys of the smallest buckets: fewer are compared in some 50 microseconds."""

_GAIN = 2.0
"""How much cheaper a bucket must be: estimates of costs are rough, and a bucket takes memory and time to build."""

_BUILDING = threading.Lock()


class WindowTree(Index):
    """One index of all vectors and, for filters that leave a window of them, such as a range of the field that the
    pipeline is ``sorted_by``, indexes of buckets of 2^i keys that overlap by half (Engels et al. 2024): a window lies
    in a bucket at most four times its length, or of 4,096, in which a graph or clusters need not search past what is
    not allowed. By the families' costs a search takes an exact scan of the window, the index of all, or the bucket,
    whichever is cheapest; buckets at half the cost of the others are built when they have been asked for often enough.

    Every key is in two buckets of each size, with its full vector: each size whose buckets are all built takes twice
    the memory of ``index``. Only buckets in use are built. Answers are exact, or those of ``index``, until a bucket is
    built, and approximate within the bucket afterwards.

    Args:
        index: Family of the index of all and of the buckets: one of faiss that keeps full vectors.
        after: Queries a bucket would have answered at less cost before it is built, within the search that counts the
            last of them; 0 builds all that could be of use along with the index.
    """

    type = "window_tree"
    _libraries = ("faiss-cpu",)

    def __init__(
        self,
        *,
        index: Annotated[Index, Pattern()] = HNSW(),  # noqa: B008 - a default component is cloned for each instance
        after: Annotated[int, Field(ge=0)] = 1000,
    ) -> None:
        if not isinstance(index, FaissIndex):
            raise ConfigError(
                f"{index.spec.label} is no single index of faiss: choose a family such as hnsw, ivf_flat or "
                "ivf_fastscan",
                parameter="index",
            )
        self.index = index
        self.after = after
        self.can_add = index.can_add  # type: ignore[misc]
        self._all: FaissIndex | None = None
        self._n = 0
        self._buckets: dict[Bucket, FaissIndex] = {}
        self._asked: dict[Bucket, int] = {}

    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        start = time.perf_counter()
        whole = self._made()
        whole.build(vectors, progress=progress)
        if whole.reconstruct(np.zeros(1, dtype=np.int64)) is None:
            raise ConfigError(
                f"{whole.spec.label} keeps no full vectors to build buckets from: use hnsw or ivf_flat, or set its "
                "'refine'",
                parameter="index",
            )
        self._all, self._n, self._buckets, self._asked = whole, len(vectors), {}, {}
        if self.after == 0:
            buckets = self._useful(10)
            with progress(f"building the buckets ({self.type})", len(buckets)) as advance:
                for bucket in buckets:
                    self._buckets[bucket] = self._built(whole, bucket)
                    advance(1)
        self.build_seconds = time.perf_counter() - start

    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        whole = self._fitted()
        if allowed is None:
            return whole.search(vectors, k)
        subset = Subset(allowed, self._n)
        bucket = self._around(subset)
        if bucket is None or not len(vectors):
            return whole.search(vectors, k, allowed)
        start, stop = bucket
        within = (
            slice(subset.window.start - start, subset.window.stop - start) if subset.window else subset.keys - start
        )
        inner = Subset(within, stop - start)
        k = min(k, subset.count)
        part = self._buckets.get(bucket)
        cost = (part or whole).cost_within(len(vectors), k, inner)
        if _GAIN * cost > whole.cost_within(len(vectors), k, subset):
            return whole.search(vectors, k, allowed)
        part = part or self._asked_again(whole, bucket, len(vectors))
        if part is None:
            return whole.search(vectors, k, allowed)
        keys, scores = part.search(vectors, k, within)
        return np.where(keys == PADDING, PADDING, keys + start), scores

    def add(self, vectors: Vectors) -> None:
        if not self.can_add:
            raise DataError(f"{self.spec.label} cannot take more vectors: build it again from all of them")
        whole = self._made()  # others may share the old one
        whole.spec.copy_state_from(self._fitted())
        whole.add(vectors)
        n = self._n + len(vectors)
        self._all, self._n, self._asked = whole, n, {}
        # A last bucket that ended with the vectors is another one now.
        self._buckets = {
            bucket: part for bucket, part in self._buckets.items() if bucket in self._of_size(_size(bucket))
        }

    def reconstruct(self, keys: Ints) -> Vectors | None:
        return self._fitted().reconstruct(keys)

    @property
    def bytes(self) -> int:
        return self._fitted().bytes + sum(part.bytes for part in list(self._buckets.values()))

    def notes(self) -> tuple[str, ...]:
        if self._all is None:
            return ()
        own, more = self._all.bytes / 2**20, (self.bytes - self._all.bytes) / 2**20
        return (f"window_tree: {len(self._buckets)} buckets take {more:.1f} MiB beside the {own:.1f} MiB of the index",)

    def save_state(self, folder: Path) -> None:
        parts: dict[str, FaissIndex] = {"all": self._fitted()}
        parts |= {f"{start}-{stop}": part for (start, stop), part in sorted(self._buckets.items())}
        for name, part in parts.items():
            (folder / name).mkdir()
            part.save_state(folder / name)
        state = {"n": self._n, "buckets": sorted(set(parts) - {"all"}), "build_seconds": self.build_seconds}
        (folder / "window_tree.json").write_text(json.dumps(state), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        state = json.loads((folder / "window_tree.json").read_text(encoding="utf-8"))

        def loaded(name: str) -> FaissIndex:
            part = self._made()
            part.load_state(folder / name, context)
            return part

        self._all, self._n, self._asked = loaded("all"), int(state["n"]), {}
        spans = {name: tuple(int(end) for end in name.split("-")) for name in state["buckets"]}
        self._buckets = {(start, stop): loaded(name) for name, (start, stop) in spans.items()}
        self.build_seconds = float(state["build_seconds"])

    # -- within -----------------------------------------------------------------------------------------------------

    def _made(self) -> FaissIndex:
        part = self.index.spec.clone()
        assert isinstance(part, FaissIndex)
        return part

    def _fitted(self) -> FaissIndex:
        if self._all is None:
            raise NotFittedError.of(self)
        return self._all

    def _around(self, subset: Subset) -> Bucket | None:
        """The smallest bucket that holds a subset; None where that is all keys, or the subset is empty."""
        if not subset.count:
            return None
        first, last = (
            (subset.window.start, subset.window.stop - 1)
            if subset.window
            else (int(subset.keys[0]), int(subset.keys[-1]))
        )
        size = max(_SMALLEST, 2 ** (last - first).bit_length())  # at least the length of the span
        while size < self._n:
            half = size // 2
            start = min(first // half, -(-self._n // half) - 2) * half
            if last < start + size:
                return start, min(start + size, self._n)
            size *= 2
        return None

    def _of_size(self, size: int) -> list[Bucket]:
        """The buckets of a size, the last of which may be shorter, as :meth:`_around` names them."""
        half = size // 2
        return [(start, min(start + size, self._n)) for start in range(0, self._n - half, half)]

    def _useful(self, k: int) -> list[Bucket]:
        """Buckets in which a window of half their length is found by the family at less cost than by a scan."""
        whole, buckets, size = self._fitted(), [], _SMALLEST
        while size < self._n:
            half = Subset(slice(0, size // 2), size)
            if _GAIN * whole.cost_within(1, k, half) <= whole.cost_within(1, k, Subset(slice(0, size // 2), self._n)):
                buckets += self._of_size(size)
            size *= 2
        return buckets

    def _asked_again(self, whole: FaissIndex, bucket: Bucket, n_queries: int) -> FaissIndex | None:
        """The bucket's index, if these queries are those after which it is built."""
        with _BUILDING:  # by one search; others wait for it
            self._asked[bucket] = self._asked.get(bucket, 0) + n_queries
            if bucket not in self._buckets and self._asked[bucket] >= self.after:
                self._buckets = self._buckets | {bucket: self._built(whole, bucket)}
            return self._buckets.get(bucket)

    def _built(self, whole: FaissIndex, bucket: Bucket) -> FaissIndex:
        vectors = whole.reconstruct(np.arange(*bucket, dtype=np.int64))
        assert vectors is not None  # looked at when it was built
        part = self._made()
        part.build(vectors)
        return part


def _size(bucket: Bucket) -> int:
    """The power of two that a bucket has, or would have if the keys did not end."""
    return 1 << (bucket[1] - bucket[0] - 1).bit_length()
