"""What holds for every table of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rag.candidates import PADDING, Candidates
from rag.corpus.passages import Passages

__all__ = ["check_candidates", "check_same", "stacked_rows"]


def check_candidates(candidates: Candidates, passages: Passages, n_queries: int, top_k: int | None = None) -> None:
    """Assert that a table keeps every promise of :class:`~rag.candidates.Candidates`."""
    positions, scores, speakers = candidates.documents, candidates.scores, candidates.passages
    assert [table.dtype.name for table in (positions, scores, speakers)] == ["int64", "float32", "int64"]
    assert len(candidates) == n_queries
    assert positions.shape == scores.shape == speakers.shape
    assert top_k is None or positions.shape[1] <= top_k
    mask = positions != PADDING
    assert (positions[mask] >= 0).all()
    assert (positions[mask] < len(passages.corpus)).all()
    assert (~mask[:, :-1] <= ~mask[:, 1:]).all(), "padding stands before a candidate"
    assert (speakers[~mask] == PADDING).all()
    assert np.isneginf(scores[~mask]).all()
    assert np.isfinite(scores[mask]).all()
    assert (passages.document[speakers[mask]] == positions[mask]).all(), "a passage of another document"
    for row, score, valid in zip(positions, scores, mask, strict=True):
        pairs = list(zip((-score[valid]).tolist(), row[valid].tolist(), strict=True))
        assert pairs == sorted(pairs), "not best first with ties by position"
        assert len(set(row[valid].tolist())) == len(pairs), "a document twice"


def check_same(actual: Candidates, other: Candidates) -> None:
    """Equal up to what floating point does to batches of different size."""
    assert actual.counts.tolist() == other.counts.tolist()
    for a, b in zip(range(len(actual)), range(len(other)), strict=True):
        mine = dict(zip(actual.documents[a].tolist(), actual.scores[a].tolist(), strict=True))
        theirs = dict(zip(other.documents[b].tolist(), other.scores[b].tolist(), strict=True))
        mine.pop(PADDING, None), theirs.pop(PADDING, None)
        assert sorted(mine) == sorted(theirs)
        np.testing.assert_allclose([mine[key] for key in mine], [theirs[key] for key in mine], rtol=1e-3, atol=1e-4)


def stacked_rows(tables: Sequence[Candidates]) -> Candidates:
    """Tables below each other, as one."""
    width = max(table.documents.shape[1] for table in tables)

    def padded(array: Any, fill: float) -> Any:
        return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill)

    return Candidates(
        np.concatenate([padded(table.documents, PADDING) for table in tables]),
        np.concatenate([padded(table.scores, -np.inf) for table in tables]),
        np.concatenate([padded(table.passages, PADDING) for table in tables]),
    )
