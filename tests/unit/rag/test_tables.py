"""Joins, groups and scales of tables against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import Candidates
from rag.tables import centered, columns_of, grouped, in_list, standardized

DOCUMENTS = st.lists(st.integers(-1, 4), min_size=3, max_size=3)
TABLES = st.integers(0, 3).flatmap(
    lambda n: st.tuples(*(st.lists(DOCUMENTS, min_size=n, max_size=n) for _ in range(2)))
)


def column(listed, document):
    return listed.index(document) if document >= 0 and document in listed else -1


@given(TABLES)
def test_the_column_of_each_document_in_its_row(tables):
    listed, wanted = tables
    arrays = [np.array(table, dtype=np.int64).reshape(-1, 3) for table in (listed, wanted)]
    expected = [[column(row, document) for document in asked] for row, asked in zip(listed, wanted, strict=True)]
    assert columns_of(*arrays).tolist() == expected
    rows = np.repeat(np.arange(len(wanted)), 3)
    assert columns_of(arrays[0], arrays[1].ravel(), rows).tolist() == sum(expected, [])


def test_a_list_without_columns_has_nothing():
    scores, ranks = in_list(Candidates.empty(2), np.array([[1, 0], [2, -1]]))
    assert np.isnan(scores).all()
    assert ranks.tolist() == [[-1, -1], [-1, -1]]


def test_score_and_rank_in_a_list():
    table = Candidates(
        np.array([[5, 2], [3, -1]]),
        np.array([[0.9, 0.4], [0.7, -np.inf]], dtype=np.float32),
        np.array([[5, 2], [3, -1]]),
    )
    scores, ranks = in_list(table, np.array([[2, 9], [3, -1]]))
    np.testing.assert_array_equal(scores, np.array([[0.4, np.nan], [0.7, np.nan]], dtype=np.float32))
    assert ranks.tolist() == [[1, -1], [0, -1]]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2)), max_size=12))
def test_groups_are_those_of_a_dictionary(triples):
    rows, documents, scores = np.array(triples, dtype=np.int64).reshape(-1, 3).T
    order, starts = grouped(rows, documents, -scores)
    groups: dict[tuple[int, int], list[int]] = {}
    for row, document, score in triples:
        groups.setdefault((row, document), []).append(score)
    parts = np.split(order, starts[1:]) if len(order) else []
    seen = [(int(rows[part[0]]), int(documents[part[0]]), scores[part].tolist()) for part in parts]
    assert seen == [(*key, sorted(groups[key], reverse=True)) for key in sorted(groups)]


def test_rows_in_standard_deviations():
    scores = np.array([[1.0, 2.0, 6.0], [5.0, 5.0, 9.0], [3.0, 7.0, 7.0]], dtype=np.float32)
    mask = np.array([[True, True, True], [True, True, False], [False, False, False]])
    deviation = np.std([1.0, 2.0, 6.0])
    assert standardized(scores, mask)[0] == pytest.approx((np.array([1.0, 2.0, 6.0]) - 3.0) / deviation)
    assert standardized(scores, mask)[1:].tolist() == [[0.0] * 3] * 2
    deviations, mean, spread = centered(scores, mask)
    assert (mean.ravel().tolist(), deviations[1].tolist()) == ([3.0, 5.0, 0.0], [0.0, 0.0, 0.0])
    assert spread.ravel() == pytest.approx([deviation, 0.0, 0.0])
    assert {array.dtype for array in (deviations, mean, spread)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1.0, 1e12])
def test_equal_scores_of_any_size_are_equal_and_others_are_not(scale):
    mask = np.ones((2, 3), dtype=bool)
    scaled = standardized(np.array([[0.1, 0.1, 0.1], [0.1, 0.2, 0.3]]) * scale, mask)
    assert scaled[0].tolist() == [0.0] * 3
    assert scaled[1] == pytest.approx(np.array([-1, 0, 1]) * np.sqrt(1.5))
