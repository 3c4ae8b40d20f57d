"""Paired tests, against scipy's and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from rag.eval.comparison.significance import compare, randomization_test


def scipys(differences, resamples):
    expected = permutation_test(
        (differences, np.zeros_like(differences)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng(0),
    )
    return expected.pvalue


def test_few_queries_are_counted_out_as_scipy_does():
    rng = np.random.default_rng(1)
    for n in (2, 5, 9, 12):
        differences = rng.normal(0.3, 1, size=n)
        assert scipys(differences, np.inf) == pytest.approx(
            float(randomization_test(differences[:, None])[0]), abs=1e-12
        )


def test_many_queries_agree_with_scipy():
    rng = np.random.default_rng(2)
    differences = rng.normal(0.08, 0.5, size=200)
    ours = float(randomization_test(differences[:, None], resamples=20_000)[0])
    assert scipys(differences, 20_000) == pytest.approx(ours, abs=0.01)


def test_by_hand():
    # All four signs of (1, 1): means 1, 0, 0, -1; two of four are as far from 0 as 1.
    assert randomization_test(np.array([[1.0], [1.0], [0.0]]))[0] == 0.5


def test_no_difference_is_no_evidence():
    assert randomization_test(np.zeros((40, 2))).tolist() == [1.0, 1.0]


def test_no_p_value_is_zero():
    assert 1 / 1001 == pytest.approx(float(randomization_test(np.ones((50, 1)), resamples=1000)[0]))


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(3)
    p = randomization_test(rng.normal(size=(60, 400)), resamples=2000)
    assert 0.03 < (p <= 0.05).mean() < 0.08
    assert 0.4 < p.mean() < 0.6


def test_comparisons_are_columns():
    rng = np.random.default_rng(4)
    table = rng.normal(0.1, 1, size=(80, 3))
    together = randomization_test(table, resamples=500)
    assert together.tolist() == [float(randomization_test(table[:, [n]], resamples=500)[0]) for n in range(3)]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30))
def test_turning_it_round_turns_the_sign(pairs):
    ours, theirs = np.array(pairs).T
    there, back = compare(ours, theirs, resamples=200), compare(theirs, ours, resamples=200)
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == pytest.approx(back.p_value)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert there.ci95[0] <= there.difference + 1e-12
    assert there.ci95[1] >= there.difference - 1e-12


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match="one value of each query"):
        compare(np.ones(3), np.ones(4))
    with pytest.raises(ValueError):
        compare(np.ones(0), np.ones(0))
