"""Choosing a threshold, against every threshold tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rag import ConfigError, DataError
from rag.filters.gap import GapFilter
from rag.filters.keep import choose_cut

SCORES = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75]) | st.floats(-2, 2, width=32)
PAIRS = st.lists(st.lists(st.tuples(SCORES, st.booleans()), max_size=5), min_size=1, max_size=4)


def table(pairs):
    width = max(map(len, pairs))
    scores = np.full((len(pairs), width), -np.inf, dtype=np.float32)
    relevant = np.zeros((len(pairs), width), dtype=bool)
    for row, pairs_of_query in enumerate(pairs):
        for column, (score, hit) in enumerate(pairs_of_query):
            scores[row, column], relevant[row, column] = score, hit
    return scores, relevant


def outcomes(pairs):
    """(threshold, recall, precision, relevant kept per query) of every threshold, in plain Python, highest first."""
    flat = [pair for row in pairs for pair in row]
    hits = sum(hit for _, hit in flat)
    for threshold in sorted({score for score, _ in flat}, reverse=True):
        kept = [hit for score, hit in flat if score >= threshold]
        yield threshold, sum(kept) / hits, sum(kept) / len(kept), sum(kept) / len(pairs)


@given(PAIRS, st.sampled_from(["recall", "precision", "f_beta", "expected_relevant"]), st.floats(0.05, 1.0))
def test_the_threshold_is_the_one_that_the_rule_names(pairs, target, value):
    flat = [hit for row in pairs for _, hit in row]
    assume(any(flat) and not all(flat))
    tried = list(outcomes(pairs))
    scores, relevant = table(pairs)

    def f(point):
        return (1 + value**2) * point[2] * point[1] / max(value**2 * point[2] + point[1], 1e-12)

    if target == "recall":
        expected = next(t for t, recall, _, _ in tried if recall >= value)
    elif target == "precision":
        meeting = [t for t, _, precision, _ in tried if precision >= value]
        expected = meeting[-1] if meeting else None
    elif target == "expected_relevant":
        expected = next((t for t, _, _, relevant_kept in tried if relevant_kept >= value), None)
    else:
        best = max(map(f, tried))
        expected = next(t for t, *rest in tried if f((t, *rest)) >= best - 1e-12)
    if expected is None:
        with pytest.raises(DataError, match=f"keep.{target} .* cannot be met"):
            choose_cut({target: value}, scores, relevant, "'x'")
        return
    cut = choose_cut({target: value}, scores, relevant, "'x'")
    if target == "f_beta":  # two thresholds may be equally good up to rounding
        at = next(point for point in tried if point[0] == cut.threshold)
        assert f(at) == pytest.approx(max(map(f, tried)))
    else:
        assert cut.threshold == expected
    _, recall, precision, _ = next(point for point in tried if point[0] == cut.threshold)
    assert (recall, precision) == pytest.approx((cut.recall, cut.precision))
    kept = [[score for score, _ in row if score >= cut.threshold] for row in pairs]
    assert sum(map(len, kept)) / len(flat) == pytest.approx(cut.kept)
    assert sum(not row for row in kept) / len(pairs) == pytest.approx(cut.empty)
    assert (len(pairs), sum(flat)) == (cut.queries, cut.relevant)


def test_a_threshold_of_ones_own_is_taken_as_it_is():
    scores, relevant = table([[(0.9, True), (0.2, False)], [(0.4, True)]])
    cut = choose_cut({"threshold": 0.5}, scores, relevant, "'x'")
    assert (0.5, 0.5, 1.0, 0.5) == (cut.threshold, cut.recall, cut.precision, cut.empty)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[(0.5, True), (0.4, True)]], "of 2 candidates all are relevant"),
        ([[(0.5, False)], []], "of 1 candidates none is relevant"),
        ([[], []], "of 0 candidates there are none"),
    ],
)
def test_one_kind_of_candidates_is_not_enough(pairs, message):
    with pytest.raises(DataError, match=f"'x' learns from relevant and other candidates .* {message}"):
        choose_cut({"recall": 0.9}, *table(pairs), "'x'")


@pytest.mark.parametrize(
    "keep", [{"recall": 1.01}, {"recall": 0.0}, {"precision": -1.0}, {"f_beta": 0.0}, {"expected_relevant": 0.0}]
)
def test_values_that_a_target_cannot_have(keep):
    (target,) = keep
    with pytest.raises(ConfigError, match=f"'gap': keep.{target} must be above 0.*, got"):
        GapFilter(keep=keep)


@pytest.mark.parametrize("keep", [{}, {"recal": 0.9}, {"recall": 0.9, "precision": 0.5}, {"recall": "much"}])
def test_what_is_no_target(keep):
    with pytest.raises(ConfigError, match="'gap': keep"):
        GapFilter(keep=keep)
