"""Writing generations: what is the same on every server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from rag.candidates import Ints, Vectors
from rag.corpus.passages import Passages
from rag.errors import DataError
from rag.progress import Progress
from rag.retrievers.indexes.remote.fields import Layout
from rag.retrievers.indexes.remote.rows import Change, Held, change_of, empty_rows, extended, findable

__all__ = ["NewRows", "Writer"]

G = TypeVar("G")


@dataclass(frozen=True)
class NewRows:
    """Rows that a generation adds.

    Args:
        layout: Fields and columns of the generation.
        passages: All of the generation.
        positions: Passages that get these rows, int64 [m].
        generation: Number of the generation.
        next_id: The number of the first row; the others follow.
        ids: The row of each passage, int64 [n]; filled in by :meth:`noted`.
        hashes: Hash of each passage's row, uint8 [n, 16]; likewise.
    """

    layout: Layout
    passages: Passages
    positions: Ints
    generation: int
    next_id: int
    ids: Ints
    hashes: Any

    def noted(self, first: int, digests: Sequence[bytes]) -> None:
        """Note that rows were written: these hashes, from the ``first`` on."""
        block = self.positions[first : first + len(digests)]
        self.ids[block] = self.next_id + first + np.arange(len(block))
        self.hashes[block] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 16)

    @property
    def last(self) -> int:
        """The number of the first row of the next generation."""
        return self.next_id + len(self.positions)

    @property
    def total(self) -> int:
        """Number of rows of the generation."""
        return int((self.ids >= 0).sum())


class Writer(ABC, Generic[G]):
    """Writes generations, each so that it is there whole or not at all."""

    label: ClassVar[str]
    """Name of the server in messages."""

    most_columns: ClassVar[int]
    """Columns that a table may have for fields."""

    def build(self, passages: Passages, contents: Any, progress: Progress, opened: Any) -> Held[G]:
        """Write passages to a base of their own.

        Args:
            passages: All.
            contents: Of all passages: vectors, float32 [n, d], or None, for their texts.
            progress: Shows how far it is.
            opened: Called with what is held, before the writer gives it up.

        Raises:
            DataError: Vectors or fields that the server does not take, or no passages.
            ServerError: The server cannot be reached, or refuses.
        """
        dimension = self._check(contents)
        positions = findable(passages)
        if not len(positions):
            raise DataError(f"{self.label}: no passages to index")
        layout = extended(Layout(), passages, positions, self.most_columns)
        rows = NewRows(layout, passages, positions, 1, 0, *empty_rows(len(passages)))
        return self._first(rows, contents, dimension, progress, opened)

    def change(
        self,
        held: Held[G],
        old: Passages,
        new: Passages,
        kept: Ints,
        came: Any,
        *,
        relabeled: bool,
        progress: Progress,
        opened: Any,
    ) -> Held[G] | None:
        """Write the next generation; None when nothing is to be written or known anew. Arguments and errors as of
        :meth:`rag.retrievers.indexes.remote.HoldsRows.change`.
        """
        change = change_of(held, old, new, kept, relabeled=relabeled)
        if not len(change.gone) and not len(change.added):
            same = len(kept) == len(old)
            return None if same else Held(held.generation, held.layout, change.ids, change.hashes)
        if came is not None:
            self._check(came)
            came = came[change.added - len(kept)]
        own: Any = held.generation
        layout = extended(held.layout, new, change.positions, self.most_columns)
        rows = NewRows(layout, new, change.positions, own.generation + 1, own.next_id, change.ids, change.hashes)
        return self._next(held, change, rows, came, progress, opened)

    @abstractmethod
    def keep(self, own: G) -> None:
        """Have a generation stay, whatever becomes of this process: a folder is about to hold it."""

    @abstractmethod
    def give_up(self, generations: Sequence[G]) -> None:
        """Mark generations as given up by their folder: they stay for some hours."""

    # -- hooks --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _check(self, contents: Any) -> int:
        """Refuse what the server does not take; gives the dimension of vectors, 0 for texts.

        Raises:
            DataError: There is such.
        """

    @abstractmethod
    def _first(self, rows: NewRows, contents: Any, dimension: int, progress: Progress, opened: Any) -> Held[G]:
        """Write the first generation of a new base; ``contents`` are those of all passages."""

    @abstractmethod
    def _next(
        self, held: Held[G], change: Change, rows: NewRows, added: Vectors | None, progress: Progress, opened: Any
    ) -> Held[G]:
        """Write the generation after one; ``added`` are the vectors of the passages that came."""
