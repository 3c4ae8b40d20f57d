"""What servers answer, checked and as tables of keys and scores."""

from __future__ import annotations

import numpy as np

from rag.candidates import PADDING, Floats, Ints
from rag.errors import ArtifactError

__all__ = ["Lists", "RowMap", "checked_lists"]

Lists = list[tuple[Ints, Floats]]
"""By query, ids of rows and scores, in any order."""


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
    lengths = [len(ids) for ids, _ in lists]
    width = max(lengths, default=0)
    if width > k:
        raise ArtifactError(f"{server} answered with {width} rows where {k} were requested")
    if not width:
        return np.empty((len(lists), 0), dtype=np.int64), np.empty((len(lists), 0), dtype=np.float32)
    sent = np.concatenate([ids for ids, _ in lists]) if len(lists) > 1 else lists[0][0]
    given = np.concatenate([values for _, values in lists]) if len(lists) > 1 else lists[0][1]
    positions = rows.positions(sent)
    if positions.min() == PADDING:
        raise ArtifactError(
            f"{server} answered with the row {sent[positions.argmin()]}, which this index has not written: what is "
            "there was changed by others ('rag verify' says more)"
        )
    if not np.isfinite(given).all():
        raise ArtifactError(
            f"{server} answered with a score that is not a number: 'rag verify' says which row is damaged"
        )
    if min(lengths) == width:
        keys, scores = positions.reshape(-1, width), given.astype(np.float32, copy=False).reshape(-1, width)
    else:
        keys = np.full((len(lists), width), PADDING, dtype=np.int64)
        scores = np.full((len(lists), width), -np.inf, dtype=np.float32)
        inside = np.arange(width) < np.array(lengths)[:, None]
        keys[inside], scores[inside] = positions, given
    alike = np.sort(keys, axis=1)
    if ((alike[:, 1:] == alike[:, :-1]) & (alike[:, 1:] != PADDING)).any():
        raise ArtifactError(f"{server} answered with the same row twice for a query")
    if (scores[:, 1:] < scores[:, :-1]).all():  # as servers mostly send them
        return keys, scores
    own, order = np.arange(len(keys))[:, None], np.lexsort((keys, -scores), axis=1)
    return keys[own, order], scores[own, order]
