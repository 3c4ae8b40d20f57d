"""The keys a search may return: given as a table or a window, used as what faiss calls a selector."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from rag.candidates import Ints
from rag.errors import DataError

__all__ = ["Subset", "subset_of"]


class Subset:
    """Some of the keys ``0 .. n - 1``.

    Args:
        keys: The keys, ascending, int64 [m]; or a window of them as a slice with step 1.
        n: Number of keys there are.

    Raises:
        DataError: A key that is not there, or a slice with another step.
    """

    def __init__(self, keys: Ints | slice, n: int) -> None:
        self.n = n
        self.window: slice | None = None
        """The keys, if they follow each other without a gap: reading those vectors needs no copy."""
        if isinstance(keys, slice):
            start, stop, step = keys.indices(n)
            if step != 1:
                raise DataError(f"a window of allowed keys has step 1, got {keys}")
            self.window = slice(start, max(start, stop))
            self._keys: Ints | None = None
            self.count: int = self.window.stop - self.window.start
            return
        if len(keys) and (keys[0] < 0 or keys[-1] >= n):
            raise DataError(f"allowed keys run from {keys[0]} to {keys[-1]}, the index has 0 to {n - 1}")
        self._keys = keys
        self.count = len(keys)
        if not self.count:
            self.window = slice(0, 0)
        elif keys[-1] - keys[0] + 1 == self.count:
            self.window = slice(int(keys[0]), int(keys[-1]) + 1)

    @property
    def fraction(self) -> float:
        """Share of all keys that are allowed."""
        return self.count / max(self.n, 1)

    @cached_property
    def keys(self) -> Ints:
        """The keys, ascending, int64 [m]."""
        if self._keys is not None:
            return self._keys
        assert self.window is not None
        return np.arange(self.window.start, self.window.stop, dtype=np.int64)

    @cached_property
    def mask(self) -> Any:
        """Which keys are allowed, bool [n]."""
        mask = np.zeros(self.n, dtype=bool)
        mask[self.keys if self.window is None else self.window] = True
        return mask

    @cached_property
    def selector(self) -> Any:
        """For a search that asks about many keys: one bit for each."""
        import faiss

        if self.window is not None:
            return faiss.IDSelectorRange(self.window.start, self.window.stop, True)
        return faiss.IDSelectorBitmap(np.packbits(self.mask, bitorder="little"))

    @cached_property
    def table(self) -> Any:
        """For a search that walks along the allowed keys."""
        import faiss

        if self.window is not None:
            return faiss.IDSelectorRange(self.window.start, self.window.stop, True)
        return faiss.IDSelectorArray(np.ascontiguousarray(self.keys, dtype=np.int64))


def subset_of(keys: Ints | slice, n: int, last: tuple[Ints, Subset] | None) -> Subset:
    """A subset; the last one again when it is asked for with the same array, provided nobody can have written to it."""
    if last is not None and last[0] is keys and last[1].n == n and not keys.flags.writeable:
        return last[1]
    return Subset(keys, n)
