"""P-values, corrections and effect sizes against scipy, and how often they raise a false alarm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rag.eval.comparison.significance import (
    TESTS,
    corrected,
    detectable,
    effect_size,
    paired_t_test,
    randomization_test,
    wilcoxon_test,
)

RNG = np.random.default_rng(7)
A, B = RNG.beta(2, 2, size=(60, 3)), RNG.beta(2, 2.4, size=(60, 3))


def test_t_and_wilcoxon_are_scipys():
    np.testing.assert_allclose(stats.ttest_rel(A, B).pvalue, paired_t_test(A - B), rtol=1e-12)
    expected = [stats.wilcoxon(A[:, i], B[:, i]).pvalue for i in range(3)]
    np.testing.assert_allclose(expected, wilcoxon_test(A - B), rtol=1e-12)


def test_randomization_is_scipys():
    def mean(x, y):
        return np.mean(x - y)

    few = A[:9], B[:9]
    for column in range(3):
        pair = (few[0][:, column], few[1][:, column])
        exact = stats.permutation_test(pair, mean, permutation_type="samples", n_resamples=np.inf).pvalue
        assert exact == pytest.approx(randomization_test(few[0] - few[1])[column], abs=1e-12)
        drawn = stats.permutation_test(
            (A[:, column], B[:, column]), mean, permutation_type="samples", n_resamples=20_000, rng=1
        ).pvalue
        assert drawn == pytest.approx(randomization_test(A - B, resamples=20_000)[column], abs=0.015)


@pytest.mark.parametrize("name", list(TESTS))
def test_false_alarms_are_as_rare_as_promised(name):
    """1,000 pairs of runs that differ by a coin's sign only: 5 % may be told apart, with a standard error of .7 %."""
    magnitudes = np.abs(A[:40, :1] - B[:40, :1])
    signs = np.random.default_rng(3).choice([-1.0, 1.0], size=(40, 1000))
    p_values = TESTS[name](magnitudes * signs)
    assert 0.03 <= (p_values < 0.05).mean() <= 0.07


def test_what_is_the_same_does_not_differ():
    nothing = np.zeros((5, 1))
    for test in TESTS.values():
        assert test(nothing).tolist() == [1.0]
    assert effect_size(nothing).tolist() == [0.0]
    always = np.full((5, 1), 0.5)
    assert paired_t_test(always).tolist() == [0.0]
    assert randomization_test(always).tolist() == [2 / 32]
    assert effect_size(always).tolist() == [np.inf]
    assert paired_t_test(np.ones((1, 1))).tolist() == [1.0]
    assert np.isnan(detectable(np.ones((1, 1)))).all()


def test_holm_by_hand():
    p_values = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose([0.03, 0.06, 0.06, 0.02], corrected(p_values, "holm"))
    np.testing.assert_allclose([0.04, 0.16, 0.12, 0.02], corrected(p_values, "bonferroni"))
    assert p_values.tolist() == corrected(p_values, "none").tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_lies_between_none_and_bonferroni_and_keeps_the_order(p_values):
    p_values = np.asarray(p_values)
    holm = corrected(p_values, "holm")
    assert (p_values <= holm).all()
    assert (holm <= corrected(p_values, "bonferroni")).all()
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(holm[order]) >= 0).all()


def test_the_detectable_difference_is_detected_four_times_in_five():
    rng = np.random.default_rng(0)
    n, spread = 200, 0.2
    least = detectable(rng.normal(0, spread, size=(n, 1)))[0]
    assert least == pytest.approx(2.8015 * spread / np.sqrt(n), rel=0.1)
    shown = paired_t_test(rng.normal(2.8015 * spread / np.sqrt(n), spread, size=(n, 2000))) < 0.05
    assert 0.77 <= shown.mean() <= 0.83
