"""Agreement against scikit-learn, and resampling against resampling pair by pair."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from rag.eval.judges.agreement import agreement

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30)


def both(pairs):
    return ({str(n): a for n, (a, _) in enumerate(pairs)}, {str(n): b for n, (_, b) in enumerate(pairs)})


def theirs(labels, other):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cohen_kappa_score(labels, other)


@given(PAIRS)
def test_it_is_what_sklearn_counts(pairs):
    agreed = agreement(*both(pairs))
    labels, other = zip(*pairs, strict=True)
    assert np.mean(np.array(labels) == np.array(other)) == pytest.approx(agreed["percent"]["mean"])
    expected = theirs(labels, other)
    if np.isnan(expected):
        assert agreed["kappa"] is None
    else:
        assert expected == pytest.approx(agreed["kappa"]["mean"], abs=1e-12)
        assert -1 <= agreed["kappa"]["mean"] <= 1
        back = agreement(*reversed(both(pairs)))
        assert back["kappa"]["mean"] == pytest.approx(agreed["kappa"]["mean"])


def test_golden_values():
    # Cohen 1960's measure on the table of many textbooks: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no.
    labels = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert agreement(*both(labels))["kappa"]["mean"] == pytest.approx(0.4)
    assert agreement(*both([("yes", "yes")] * 7))["kappa"] is None
    assert agreement(*both([("yes", "no"), ("no", "yes")] * 5))["kappa"]["mean"] == -1.0


def test_the_interval_is_that_of_drawing_pairs_again():
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 80)
    other = np.where(random.random(80) < 0.8, labels, 1 - labels)
    agreed = agreement(*both(list(zip(labels, other, strict=True))))
    drawn = random.integers(0, 80, (2000, 80))
    kappas = [theirs(labels[rows], other[rows]) for rows in drawn]
    shares = [(labels[rows] == other[rows]).mean() for rows in drawn]
    assert np.quantile(kappas, [0.025, 0.975]) == pytest.approx(agreed["kappa"]["ci95"], abs=0.03)
    assert np.quantile(shares, [0.025, 0.975]) == pytest.approx(agreed["percent"]["ci95"], abs=0.02)


def test_only_what_both_have_labeled_counts():
    agreed = agreement({"a": True, "b": False, "c": True}, {"b": False, "c": False, "d": True})
    assert (2, 0.5) == (agreed["n"], agreed["percent"]["mean"])
    assert agreement({"a": True}, {"b": True}) == {"n": 0, "percent": None, "kappa": None}
    alone = agreement({"a": True}, {"a": True})
    assert ({"mean": 1.0, "ci95": None}, None) == (alone["percent"], alone["kappa"])
