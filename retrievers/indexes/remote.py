"""The contract of indexes whose vectors lie on a server, with the documents' fields beside them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from rag.candidates import PADDING, Floats, Ints, Vectors
from rag.component import HoldsElsewhere
from rag.conditions import Condition
from rag.corpus.passages import Passages
from rag.errors import ArtifactError
from rag.progress import Progress, no_progress
from rag.retrievers.indexes.base import Index

__all__ = ["Lists", "RemoteIndex", "RowMap", "checked_lists"]

Lists = list[tuple[Ints, Floats]]
"""By query, ids of rows and scores, in any order."""


class RemoteIndex(Index, HoldsElsewhere):
    """An index that is told conditions instead of positions, and holds only what may be found: passages with a text,
    of documents that were not deleted.

    What lies on the server is a generation: it never changes once it is written, so whoever opened it finds what was
    there, whatever a writer does. Positions are known here only; a row has a number of its own there.
    """

    pushes_down = True

    @abstractmethod
    def hold(self, passages: Passages, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        """Write all passages that may be found, with their vectors, float32 [n, d], as a new generation.

        Raises:
            DataError: Vectors or fields that the server does not take.
            ServerError: The server cannot be reached, or refuses.
        """

    @abstractmethod
    def change(
        self,
        old: Passages,
        new: Passages,
        kept: Ints,
        came: Vectors | None,
        *,
        relabeled: bool = True,
        progress: Progress = no_progress,
    ) -> bool:
        """Write a generation that holds other passages.

        Args:
            old: Passages of this index.
            new: What the next holds: of the old ones those that are ``kept``, in order, then new ones.
            kept: Positions in the old table.
            came: Vectors of the new ones; None for none.
            relabeled: Whether metadata of documents that stay may have changed.
            progress: Shows how far it is.

        Returns:
            Whether what is to be saved has changed.
        """

    @abstractmethod
    def search_where(self, vectors: Vectors, k: int, condition: Condition | None) -> tuple[Ints, Floats]:
        """Nearest keys among the passages of documents that pass a condition, as :meth:`search`. A list shorter than k
        says that no more pass.

        Raises:
            DataError: The condition names a field that no document has, or another kind of value than it holds.
            ServerError: The server cannot be reached, or refuses.
            ArtifactError: What it answers cannot be.
        """


class RowMap:
    """Map from a server's rows to passages.

    Args:
        ids: The number of each passage's row, int64 [n]; -1 where it has none.
    """

    def __init__(self, ids: Ints) -> None:
        self.ids = ids
        inside = np.flatnonzero(ids >= 0)
        self._places = inside[np.argsort(ids[inside], kind="stable")]
        self._sorted = ids[self._places]

    def __len__(self) -> int:
        return len(self._sorted)

    def positions(self, rows: Ints) -> Ints:
        """Positions of rows, int64; -1 for an absent row."""
        if not len(self._sorted):
            return np.full(len(rows), PADDING, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._sorted, rows), len(self._sorted) - 1)
        return np.where(self._sorted[at] == rows, self._places[at], PADDING)


def checked_lists(server: str, lists: Lists, k: int, rows: RowMap) -> tuple[Ints, Floats]:
    """The lists of a server as a table: keys int64 [q, k'] (-1 padding) and scores float32, best first, ties by key.

    Args:
        server: Name of the server in messages.
        lists: Its answers, by query.
        k: Number of rows requested.
        rows: Those that are there.

    Raises:
        ArtifactError: More rows than were asked for, the same one twice, one that is not there, or a score that is no
            number.
    """
    lengths = np.array([len(ids) for ids, _ in lists], dtype=np.int64)
    width = int(lengths.max(initial=0))
    if width > k:
        raise ArtifactError(f"{server} answered with {width} rows where {k} were requested")
    keys = np.full((len(lists), width), PADDING, dtype=np.int64)
    scores = np.full((len(lists), width), -np.inf, dtype=np.float32)
    if not width:
        return keys, scores
    inside = np.arange(width) < lengths[:, None]
    sent = np.concatenate([ids for ids, _ in lists])
    keys[inside] = rows.positions(sent)
    scores[inside] = np.concatenate([values for _, values in lists])
    unknown = np.flatnonzero(keys[inside] == PADDING)
    if len(unknown):
        raise ArtifactError(
            f"{server} answered with the row {sent[unknown[0]]}, which this index has not written: what is there was "
            "changed by others ('rag verify' says more)"
        )
    if not np.isfinite(scores[inside]).all():
        raise ArtifactError(
            f"{server} answered with a score that is not a number: 'rag verify' says which row is damaged"
        )
    order = np.lexsort((keys, -scores), axis=1)
    keys, scores = np.take_along_axis(keys, order, 1), np.take_along_axis(scores, order, 1)
    alike: Any = np.sort(keys, axis=1)
    if ((alike[:, 1:] == alike[:, :-1]) & (alike[:, 1:] != PADDING)).any():
        raise ArtifactError(f"{server} answered with the same row twice for a query")
    return keys, scores
