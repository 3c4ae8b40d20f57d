"""The threshold filter against plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import Candidates, QueryBatch, Threshold

ROWS = st.lists(
    st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0, 8.0]) | st.floats(-50, 50, width=32), max_size=6),
    min_size=1,
    max_size=3,
)


def table(rows):
    width = max(map(len, rows))
    positions = np.array([[*range(len(row)), *[-1] * (width - len(row))] for row in rows], dtype=np.int64).reshape(
        len(rows), width
    )
    scores = np.array([[*row, *[-np.inf] * (width - len(row))] for row in rows], dtype=np.float32).reshape(
        len(rows), width
    )
    return Candidates.from_scores(positions, scores, positions)


def pairs_of(candidates):
    return [
        [(p, s) for p, s in zip(*row, strict=True) if p >= 0]
        for row in zip(candidates.documents.tolist(), candidates.scores.tolist(), strict=True)
    ]


@given(
    ROWS,
    st.none() | st.floats(-5, 5, width=32),
    st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.none() | st.integers(1, 4),
)
def test_conditions_hold_as_in_plain_python(rows, min_score, min_relative, top_k):
    candidates = table(rows)
    expected = []
    for row in pairs_of(candidates):
        best = np.float32(row[0][1]) if row else None
        floor = -np.inf if min_relative is None or best is None else best - np.float32(1 - min_relative) * abs(best)
        kept = [pair for pair in row if (min_score is None or pair[1] >= min_score) and pair[1] >= floor]
        expected.append(kept[:top_k])
    threshold = Threshold(min_score=min_score, min_relative=min_relative, top_k=top_k)
    assert pairs_of(threshold.process(QueryBatch([]), candidates)) == expected


@pytest.mark.parametrize("best", [8.0, 0.0, -2.0])
@pytest.mark.parametrize("min_relative", [0.0, 0.8, 1.0])
def test_the_best_always_passes_a_relative_threshold(best, min_relative):
    candidates = Threshold(min_relative=min_relative).process(QueryBatch([]), table([[best, best - 100]]))
    assert pairs_of(candidates)[0][0] == (0, best)


def test_below_zero_relative_still_means_near_the_best():
    candidates = Threshold(min_relative=0.5).process(QueryBatch([]), table([[-2.0, -2.9, -3.1]]))
    assert [position for position, _ in pairs_of(candidates)[0]] == [0, 1]
