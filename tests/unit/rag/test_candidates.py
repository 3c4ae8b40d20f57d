"""The candidate table against plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rag.candidates import PADDING, Candidates, rank, top_k_of_scores

NOTHING = float("-inf")
SCORES = st.sampled_from([NOTHING, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 1.0, 3.25, 1e30])  # few values: many ties


def rows_of(table: Candidates) -> list[list[tuple[int, float, int]]]:
    """A table as lists of (position, score, passage), without padding."""
    return [
        [(p, s, q) for p, s, q in zip(*row, strict=True) if p >= 0]
        for row in zip(table.documents.tolist(), table.scores.tolist(), table.passages.tolist(), strict=True)
    ]


@st.composite
def tables(draw):
    shape = draw(st.tuples(st.integers(0, 4), st.integers(0, 9)))
    positions = draw(hnp.arrays(np.int64, shape, elements=st.integers(-1, 6)))
    scores = draw(hnp.arrays(np.float32, shape, elements=SCORES))
    passages = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 50)))
    return positions, scores, passages


def naive_order(row):
    return sorted(row, key=lambda entry: (-entry[1], entry[0]))


def padded_ok(table: Candidates) -> bool:
    mask = table.mask
    return bool(
        (~mask[:, :-1] <= ~mask[:, 1:]).all()
        and (table.passages[~mask] == PADDING).all()
        and np.isneginf(table.scores[~mask]).all()
        and (not mask.size or mask.any(axis=0).all())  # no column of padding alone
    )


@given(tables(), st.none() | st.integers(1, 10))
def test_from_scores_sorts_pads_and_cuts_as_plain_python_does(columns, top_k):
    table = Candidates.from_scores(*columns, top_k=top_k)
    given_rows = zip(*(column.tolist() for column in columns), strict=True)
    expected = []
    for row in given_rows:
        best = naive_order([entry for entry in zip(*row, strict=True) if entry[0] >= 0])[:top_k]
        expected.append([(p, s) for p, s, _ in best])
    assert [[(p, s) for p, s, _ in row] for row in rows_of(table)] == expected
    assert padded_ok(table)
    allowed = [set(zip(*(column[n].tolist() for column in columns), strict=True)) for n in range(len(table))]
    assert all(entry in allowed[n] for n, row in enumerate(rows_of(table)) for entry in row)
    assert table.counts.tolist() == [len(row) for row in expected]


@given(tables(), st.integers(1, 10))
def test_best_per_document_keeps_each_document_once_with_its_best_score(columns, top_k):
    table = Candidates.from_scores(*columns)
    expected = []
    for row in rows_of(table):
        best: dict[int, float] = {}
        for position, score, _ in row:
            best[position] = max(score, best.get(position, NOTHING))
        expected.append(sorted(best.items(), key=lambda entry: (-entry[1], entry[0]))[:top_k])
    candidates = table.best_per_document(top_k)
    assert [[(p, s) for p, s, _ in row] for row in rows_of(candidates)] == expected
    assert padded_ok(candidates)


@given(tables(), st.integers(1, 10))
def test_best_per_document_is_idempotent(columns, top_k):
    once = Candidates.from_scores(*columns).best_per_document(top_k)
    assert rows_of(once) == rows_of(once.best_per_document(top_k))


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(0, 12)), elements=SCORES), st.integers(1, 14))
def test_top_k_of_scores_is_the_head_of_a_full_sort(scores, top_k):
    columns, values = top_k_of_scores(scores, top_k)
    width = min(top_k, scores.shape[1])
    expected_columns, expected_values = [], []
    for row in scores.tolist():
        order = sorted((c for c, s in enumerate(row) if s != NOTHING), key=lambda c: (-row[c], c))[:width]
        expected_columns.append(order + [PADDING] * (width - len(order)))
        expected_values.append([row[c] for c in order] + [NOTHING] * (width - len(order)))
    assert expected_columns == columns.tolist()
    assert expected_values == values.tolist()
    assert (columns.dtype, values.dtype) == (np.int64, np.float32)


def test_top_k_of_scores_takes_the_lowest_columns_of_a_tie_at_the_cut():
    scores = np.array([[1, 5, 1, 1, 5, 1], [0, 0, 0, 0, 0, 0]], dtype=np.float32)
    columns, _ = top_k_of_scores(scores, 4)
    assert columns.tolist() == [[1, 4, 0, 2], [0, 1, 2, 3]]


@given(tables())
def test_rank_orders_every_row_and_puts_padding_last(columns):
    positions, scores, _ = columns
    scores = np.where(positions >= 0, scores, -np.inf).astype(np.float32)
    order = rank(positions, scores)
    for row, (position, score) in enumerate(zip(positions.tolist(), scores.tolist(), strict=True)):
        expected = sorted(range(len(position)), key=lambda c: (-score[c], position[c] if position[c] >= 0 else 10**9))
        assert order[row].tolist() == expected


def test_rescored_drops_minus_infinity_and_sorts_again():
    table = Candidates(
        np.array([[4, 2, 9], [1, -1, -1]]),
        np.array([[3, 2, 1], [5, -np.inf, -np.inf]], dtype=np.float32),
        np.array([[40, 20, 90], [10, -1, -1]]),
    )
    new = table.rescored(np.array([[0.5, -np.inf, 7], [-np.inf] * 3], dtype=np.float32))
    assert rows_of(new) == [[(9, 7.0, 90), (4, 0.5, 40)], []]
    assert table.rescored(np.array([[1, 2, 3], [0, 0, 0]], dtype=np.float32), top_k=1).documents[:1].tolist() == [[9]]


def test_rescored_does_not_revive_padding():
    table = Candidates.from_scores(np.array([[3, -1]]), np.array([[1.0, 9.0]]), np.array([[3, 8]]))
    assert rows_of(table) == [[(3, 1.0, 3)]]


def test_head_and_length():
    table = Candidates.from_scores(np.array([[3, 1, 2]]), np.array([[1.0, 9.0, 5.0]]), np.array([[3, 1, 2]]))
    assert table.head(2).documents.tolist() == [[1, 2]]
    assert table.head(10).documents.tolist() == [[1, 2, 3]]
    assert (1, 0) == (len(table), len(Candidates.empty(0)))
    assert Candidates.empty(3).documents.shape == (3, 0)


def test_tables_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="must share one shape"):
        Candidates(np.zeros((1, 2), np.int64), np.zeros((1, 3), np.float32), np.zeros((1, 2), np.int64))
    with pytest.raises(ValueError, match="must share one shape"):
        Candidates(np.zeros(2, np.int64), np.zeros(2, np.float32), np.zeros(2, np.int64))


def test_ties_are_those_of_float32():
    close = np.array([[1.0, 1.0 + 1e-12]])  # one number in float32
    assert Candidates.from_scores(np.array([[0, 1]]), close, np.array([[0, 1]])).documents.tolist() == [[0, 1]]


def test_rows_of_one_table_or_another():
    mine = Candidates.from_scores(np.array([[1, 2], [3, 4]]), np.array([[2.0, 1.0], [2.0, 1.0]]), np.zeros((2, 2), int))
    others = Candidates.from_scores(np.array([[5], [6]]), np.array([[1.0], [1.0]]), np.zeros((2, 1), int))
    assert mine.where(np.array([True, False]), others).documents.tolist() == [[1, 2], [6, -1]]
