"""Paired tests and intervals: whether a difference between two runs on the same queries may be chance."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from rag.eval.comparison.pairs import Comparison
from rag.eval.measures.interval import interval

__all__ = [
    "TESTS",
    "Correction",
    "Test",
    "compare",
    "corrected",
    "detectable",
    "effect_size",
    "paired_t_test",
    "randomization_test",
    "wilcoxon_test",
]

Test = Literal["randomization", "t", "wilcoxon"]
"""``randomization`` makes no assumption about the distribution of differences; the others serve comparison."""

Correction = Literal["holm", "bonferroni", "none"]
"""Corrections that control the chance of any false alarm among several tests. Holm's is never less powerful."""

Floats = npt.NDArray[np.float64]

_EXACT = 14
"""Number of nonzero differences up to which all sign assignments are enumerated instead of sampled."""

_BLOCK = 4_000_000
"""Sign assignments drawn at a time, to bound the memory."""


def compare(values: Floats, baseline: Floats, *, resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two runs query by query.

    Args:
        values: Value of each query [n].
        baseline: Value of each query of the baseline [n], in the same order.
        resamples: Number of resamples of the randomization test.
        seed: Seed of the resampling.

    Raises:
        ValueError: The shapes differ, or there is no query.
    """
    values, baseline = np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if values.shape != baseline.shape or values.ndim != 1 or not len(values):
        raise ValueError(f"one value of each query for both runs is needed, got {values.shape} and {baseline.shape}")
    difference = values - baseline
    bounds = interval(difference[:, None], seed=seed)
    p = randomization_test(difference[:, None], resamples=resamples, seed=seed)
    return Comparison(
        n_queries=len(difference),
        difference=float(difference.mean()),
        ci95=bounds[0] if bounds else None,
        p_value=float(p[0]),
        effect_size=float(effect_size(difference[:, None])[0]),
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
    )


def randomization_test(differences: Floats, *, resamples: int = 10_000, seed: int = 0) -> Floats:
    """Two-sided p-values of Fisher's paired randomization test of the mean (Smucker, Allan and Carterette, CIKM 2007).

    If the two runs were equally good, the sign of each query's difference would be random. The p-value is the share
    of sign assignments whose mean difference is at least as far from 0 as the observed one. With few queries all
    assignments are enumerated; otherwise some are drawn, and the observed one counts as one of them, so that no
    p-value is 0.

    Args:
        differences: Differences of the two runs by query and comparison [n_queries, n_comparisons]; all comparisons use
            the same sign assignments.
        resamples: Number of sign assignments drawn.
        seed: Seed of the draw.

    Returns:
        A p-value of each comparison [n_comparisons].
    """
    differences = np.asarray(differences, dtype=np.float64)
    used = differences[(differences != 0).any(axis=1)]  # ties do not depend on the sign
    n = len(used)
    seen = np.abs(used.sum(axis=0))
    bound = seen - 1e-9 * np.maximum(np.abs(used).sum(axis=0), 1e-300)  # the order of a sum changes its last digits
    if n <= _EXACT:
        codes = np.arange(1 << n)
        signs = 1.0 - 2.0 * ((codes[:, None] >> np.arange(n)) & 1)
        return (np.abs(signs @ used) >= bound).mean(axis=0)  # type: ignore[no-any-return]
    generator = np.random.default_rng(seed)
    further = np.zeros(used.shape[1])
    step = max(1, _BLOCK // n)
    for first in range(0, resamples, step):
        signs = 1.0 - 2.0 * generator.integers(0, 2, size=(min(step, resamples - first), n))
        further += (np.abs(signs @ used) >= bound).sum(axis=0)
    return (further + 1) / (resamples + 1)


def paired_t_test(differences: Floats) -> Floats:
    """Two-sided p-values of Student's paired t test of the mean.

    Args:
        differences: Differences [n_queries, n_comparisons]. Where all are equal the p-value is 1 if they are 0, else 0.

    Returns:
        P-values [n_comparisons]; 1 with fewer than two queries.
    """
    from scipy.stats import ttest_1samp

    differences = np.asarray(differences, dtype=np.float64)
    if len(differences) < 2:
        return np.ones(differences.shape[1])
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # equal differences have no variance
        p_values = np.asarray(ttest_1samp(differences, 0.0).pvalue, dtype=np.float64)
    return np.where(differences.any(axis=0), p_values, 1.0)


def wilcoxon_test(differences: Floats) -> Floats:
    """Two-sided p-values of Wilcoxon's signed-rank test, without ties.

    Args:
        differences: Differences [n_queries, n_comparisons].

    Returns:
        P-values [n_comparisons]; 1 where all differences are 0.
    """
    from scipy.stats import wilcoxon

    p_values = [
        float(wilcoxon(column[column != 0]).pvalue) if column.any() else 1.0
        for column in np.asarray(differences, dtype=np.float64).T
    ]
    return np.asarray(p_values)


TESTS: dict[Test, Callable[[Floats], Floats]] = {
    "randomization": randomization_test,
    "t": paired_t_test,
    "wilcoxon": wilcoxon_test,
}


def corrected(p_values: Floats, correction: Correction) -> Floats:
    """Correct p-values so that rejecting those below a level keeps the chance of any false alarm below that level.

    Args:
        p_values: P-values of the tests [m].
        correction: ``bonferroni`` multiplies by m; ``holm`` (1979) multiplies the smallest by m, the next by m - 1 and
            so on, each at least as large as the one before.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if correction == "none":
        return p_values
    m = len(p_values)
    if correction == "bonferroni":
        return np.minimum(p_values * m, 1.0)
    order = np.argsort(p_values, kind="stable")
    stepped = np.minimum(np.maximum.accumulate(p_values[order] * (m - np.arange(m))), 1.0)
    adjusted = np.empty(m)
    adjusted[order] = stepped
    return adjusted


def effect_size(differences: Floats) -> Floats:
    """Mean difference in standard deviations of the differences (Cohen's d for pairs) [n_comparisons]; 0 where all
    differences are 0, infinite where they are equal but not 0.
    """
    mean = differences.mean(axis=0)
    spread = differences.std(axis=0, ddof=1) if len(differences) > 1 else np.zeros_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(mean == 0, 0.0, mean / spread), dtype=np.float64)


def detectable(differences: Floats, *, level: float = 0.05, power: float = 0.8) -> Floats:
    """The smallest mean difference that this many queries with this variance would show with this power.

    By the normal approximation, ``(z_{1 - level / 2} + z_power) sd / sqrt(n)`` (Sakai, Laboratory Experiments in
    Information Retrieval, 2018, chapter 6).

    Returns:
        Differences [n_comparisons]; NaN with fewer than two queries.
    """
    from scipy.stats import norm

    n = len(differences)
    if n < 2:
        return np.full(differences.shape[1], np.nan)
    factor = float(norm.ppf(1 - level / 2) + norm.ppf(power))
    return np.asarray(factor * differences.std(axis=0, ddof=1) / np.sqrt(n), dtype=np.float64)
