"""An index made of several parts."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Floats, Ints, Vectors
from rag.component import Pattern, Runtime
from rag.errors import ConfigError, DataError, NotFittedError
from rag.progress import Progress, no_progress
from rag.registry import component_class
from rag.retrievers.indexes.base import Index
from rag.retrievers.indexes.flat import Flat
from rag.store.spill import blocks, released

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["Sharded"]

_Searched = tuple[Ints, Floats]


class Sharded(Index):
    """Cuts the vectors into parts, each with an index of its own: built in parallel processes, searched in threads,
    merged. With an exact index the answers are those of one; with another recall is rather higher, since every part is
    searched as deep. Building takes the memory of the parts that are built at a time. What is added goes to the last
    part.

    Args:
        shards: Parts; with fewer vectors there are as many as vectors.
        index: Index of each part.
        processes: Parts that are built at a time, each by a process of its own; 1 builds one after another here, where
            faiss uses all cores for most families anyway.
    """

    type = "sharded"
    _libraries = ("faiss-cpu",)

    def __init__(
        self,
        *,
        shards: Annotated[int, Field(ge=1, le=1024)],
        index: Annotated[Index, Pattern()] = Flat(),  # noqa: B008 - a default component is cloned for each instance
        processes: Annotated[int, Field(ge=1), Runtime()] = 1,
    ) -> None:
        self.shards = shards
        self.index = index
        self.processes = processes
        if index.pushes_down:
            raise ConfigError(f"{index.spec.label} is on a server, which has parts of its own", parameter="index")
        self.can_add = index.can_add  # type: ignore[misc]
        self._parts: list[Index] = []
        self._starts = np.zeros(1, dtype=np.int64)

    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        if not len(vectors):
            raise DataError(f"{self.spec.label}: no vectors to index")
        start = time.perf_counter()
        bounds = np.linspace(0, len(vectors), min(self.shards, len(vectors)) + 1).astype(np.int64)
        spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
        build = self._built_there if self.processes > 1 and len(spans) > 1 else self._built_here
        with progress(f"building the index ({self.type})", len(spans)) as advance:
            self._parts = build(vectors, spans, advance)
        self._starts = bounds
        self.build_seconds = time.perf_counter() - start

    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        if not self._parts:
            raise NotFittedError("the index 'sharded' has not been built: fit the pipeline it is in first")
        within: list[Any] = [None] * len(self._parts) if allowed is None else self._split(allowed)
        asked = [shard for shard, selector in enumerate(within) if selector is None or _size(selector)]
        if not asked:
            return np.empty((len(vectors), 0), dtype=np.int64), np.empty((len(vectors), 0), dtype=np.float32)
        calls = [partial(self._parts[shard].search, vectors, k, within[shard]) for shard in asked]
        return _merged(_together(calls), self._starts[asked].tolist(), k)

    def add(self, vectors: Vectors) -> None:
        if not self.can_add:
            raise DataError(f"{self.spec.label} cannot take more vectors: build it again from all of them")
        grown = self._parts[-1].spec.clone()  # whoever shares the old one keeps it
        grown.spec.copy_state_from(self._parts[-1])
        grown.add(vectors)
        self._parts = [*self._parts[:-1], grown]
        self._starts = np.append(self._starts[:-1], self._starts[-1] + len(vectors))

    def reconstruct(self, keys: Ints) -> Vectors | None:
        table: Vectors | None = None
        owners = np.searchsorted(self._starts, keys, side="right") - 1
        for shard, part in enumerate(self._parts):
            rows = np.flatnonzero(owners == shard)
            vectors = part.reconstruct(keys[rows] - self._starts[shard])
            if vectors is None:
                return None
            if table is None:
                table = np.empty((len(keys), vectors.shape[1]), dtype=np.float32)
            table[rows] = vectors
        return table

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self._parts)

    def save_state(self, folder: Path) -> None:
        for shard, part in enumerate(self._parts):
            (folder / str(shard)).mkdir()
            part.save_state(folder / str(shard))
        state = {"starts": self._starts.tolist(), "build_seconds": self.build_seconds}
        (folder / "sharded.json").write_text(json.dumps(state), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        state = json.loads((folder / "sharded.json").read_text(encoding="utf-8"))
        self._starts = np.asarray(state["starts"], dtype=np.int64)
        self.build_seconds = float(state["build_seconds"])
        self._parts = [self.index.spec.clone() for _ in self._starts[1:]]
        for shard, part in enumerate(self._parts):
            part.load_state(folder / str(shard), context)

    # -- within -----------------------------------------------------------------------------------------------------

    def _built_here(
        self, vectors: Vectors, spans: list[tuple[int, int]], advance: Callable[[int], None]
    ) -> list[Index]:
        parts = []
        for first, last in spans:
            part = self.index.spec.clone()
            part.build(vectors[first:last])
            released(vectors)
            parts.append(part)
            advance(1)
        return parts

    def _built_there(
        self, vectors: Vectors, spans: list[tuple[int, int]], advance: Callable[[int], None]
    ) -> list[Index]:
        with tempfile.TemporaryDirectory(prefix="rag-shards-") as name:
            folder = Path(name)
            with (folder / "vectors").open("wb") as file:
                for _, block in blocks(vectors):
                    file.write(np.ascontiguousarray(block, dtype=np.float32).data)
            make = partial(_build_part, self.index.spec.to_config(), folder, vectors.shape[1])
            # Not forked: threads of faiss, and of others, do not come along.
            with ProcessPoolExecutor(self.processes, mp_context=get_context("spawn")) as pool:
                parts = []
                try:
                    for shard in pool.map(make, range(len(spans)), spans):
                        part = self.index.spec.clone()
                        part.load_state(folder / str(shard), None)  # type: ignore[arg-type]  # faiss needs none
                        parts.append(part)
                        advance(1)
                except BrokenExecutor:
                    raise DataError(
                        f"{self.spec.label}: a process that built a part was killed, perhaps out of memory: lower "
                        "'processes', or raise 'shards'"
                    ) from None
            return parts

    def _split(self, allowed: Ints | slice) -> list[Any]:
        """Allowed keys by part, as keys of the part."""
        spans = zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True)
        if isinstance(allowed, slice):
            first, last, _ = allowed.indices(int(self._starts[-1]))
            return [slice(max(first, a) - a, max(min(last, b), max(first, a)) - a) for a, b in spans]
        cuts = np.searchsorted(allowed, self._starts)
        return [allowed[i:j] - a for (a, _), i, j in zip(spans, cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)]


def _size(keys: Ints | slice) -> int:
    return keys.stop - keys.start if isinstance(keys, slice) else len(keys)


def _together(calls: Sequence[Callable[[], _Searched]]) -> list[_Searched]:
    if len(calls) == 1:
        return [calls[0]()]
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


def _merged(lists: list[_Searched], offsets: list[int], k: int) -> _Searched:
    """The best k of all parts' lists; of equal scores the lower key first."""
    keys = np.concatenate(
        [np.where(keys == PADDING, PADDING, keys + offset) for (keys, _), offset in zip(lists, offsets, strict=True)],
        axis=1,
    )
    scores = np.concatenate([scores for _, scores in lists], axis=1)
    scores = np.where(keys == PADDING, -np.inf, scores).astype(np.float32, copy=False)
    order = np.lexsort((keys, -scores), axis=1)[:, :k]
    return np.take_along_axis(keys, order, 1), np.take_along_axis(scores, order, 1)


def _build_part(config: dict[str, Any], folder: Path, dimension: int, shard: int, span: tuple[int, int]) -> int:
    """Build a part in a process of its own and leave its state in a folder."""
    vectors = np.memmap(folder / "vectors", dtype=np.float32, mode="r").reshape(-1, dimension)
    config = dict(config)
    part = component_class("index", config.pop("type"))(**config)
    part.build(vectors[span[0] : span[1]])  # type: ignore[attr-defined]
    (folder / str(shard)).mkdir()
    part.save_state(folder / str(shard))
    return shard
