"""Tables of vectors that do not fit in memory: written to a file without a name, read by blocks."""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rag.candidates import Vectors

__all__ = ["IN_MEMORY", "VectorTable", "blocks", "mapped_rows", "released"]

IN_MEMORY = 1 << 28
"""Bytes of vectors up to which a table is an array: 256 MiB."""

_BLOCK = 1 << 25
"""Bytes of vectors looked at together: 32 MiB."""


class VectorTable:
    """A table that is filled from the first row to the last.

    Args:
        n: Rows.
        dimension: Columns.
    """

    def __init__(self, n: int, dimension: int) -> None:
        self._shape = n, dimension
        self._done = 0
        self._file: Any = tempfile.TemporaryFile(prefix="rag-vectors-") if 4 * n * dimension > IN_MEMORY else None  # noqa: SIM115 - lives on
        self._array = None if self._file else np.empty((n, dimension), dtype=np.float32)

    def append(self, rows: Vectors) -> None:
        """The next rows, float32 [m, dimension]."""
        if self._array is not None:
            self._array[self._done : self._done + len(rows)] = rows
        else:
            self._file.write(np.ascontiguousarray(rows, dtype=np.float32).data)
        self._done += len(rows)

    def vectors(self) -> Vectors:
        """The whole table, float32 [n, dimension]: an array, or a mapped file that goes when nobody has it."""
        assert self._done == self._shape[0], "all rows must be there"
        if self._array is not None:
            return self._array
        self._file.flush()
        table = np.memmap(self._file, dtype=np.float32, mode="r+", shape=self._shape)
        self._file.close()
        return table


def blocks(vectors: Vectors) -> Iterator[tuple[int, Vectors]]:
    """Where each block of rows begins, and the block; what was looked at of a mapped table leaves the memory again."""
    rows = max(1, _BLOCK // (4 * max(vectors.shape[1], 1)))
    for first in range(0, len(vectors), rows):
        yield first, vectors[first : first + rows]
        released(vectors)


def released(vectors: Vectors) -> None:
    """Let go of the pages of a mapped table; they are read again when they are looked at."""
    file = _mapping(vectors)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        with contextlib.suppress(OSError, ValueError):
            file.madvise(mmap.MADV_DONTNEED)


def mapped_rows(vectors: Vectors, change: Callable[[Vectors], Vectors]) -> Vectors:
    """A table of the same shape with every block of rows changed."""
    table = VectorTable(*vectors.shape)
    for _, block in blocks(vectors):
        table.append(change(block))
    return table.vectors()


def _mapping(vectors: Any) -> mmap.mmap | None:
    """The file that an array is mapped from, if it is a table of ours or a view of one."""
    while isinstance(vectors, np.ndarray):
        if isinstance(vectors, np.memmap) and vectors.mode == "r+":
            return vectors._mmap  # type: ignore[attr-defined, no-any-return]
        vectors = vectors.base
    return None
