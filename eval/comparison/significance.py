"""Is a difference between two runs on the same queries more than luck? Paired tests and intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rag.eval.comparison.verdicts import Verdict, verdict
from rag.eval.measures.interval import interval

__all__ = [
    "TESTS",
    "Comparison",
    "Correction",
    "Test",
    "compare",
    "corrected",
    "detectable",
    "effect_size",
    "paired_t_test",
    "randomisation_test",
    "wilcoxon_test",
]

Test = Literal["randomization", "t", "wilcoxon"]
"""``randomization`` assumes nothing about how differences are spread; the others are there for comparison."""

Correction = Literal["holm", "bonferroni", "none"]
"""What keeps the chance of any false alarm among several tests at its level. Holm's never finds less."""

Floats = npt.NDArray[np.float64]

_EXACT = 14
"""Differences that are not 0, up to which every assignment of signs is counted instead of a sample."""

_BLOCK = 4_000_000
"""Signs drawn at a time: bounds the memory."""


@dataclass(frozen=True)
class Comparison:
    """A run against a baseline on the same queries.

    Args:
        difference: Mean over the queries, run minus baseline.
        ci95: Bootstrap interval of that mean; None with fewer than two queries.
        p_value: Two-sided, of the paired randomization test.
        wins: Queries on which the run is better.
        losses: Queries on which it is worse.
        n_queries: All queries.
        effect_size: Mean difference in standard deviations of the differences.
    """

    difference: float
    ci95: tuple[float, float] | None
    p_value: float
    wins: int
    losses: int
    n_queries: int
    effect_size: float

    @property
    def verdict(self) -> Verdict:
        """What may be said, by the rule that :class:`rag.eval.comparison.pairs.Pair` follows too."""
        return verdict(
            self.difference,
            self.p_value,
            effect_size=self.effect_size,
            n_queries=self.n_queries,
            differ=bool(self.wins or self.losses),
        )

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON takes it, with the verdict."""
        said = self.verdict
        finite = self.effect_size if math.isfinite(self.effect_size) else None
        return asdict(self) | {"effect_size": finite, "verdict": said.kind, "queries_to_settle": said.queries}


def compare(values: Floats, baseline: Floats, *, resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two runs query by query.

    Args:
        values: Value of each query [n].
        baseline: Value of each query of the baseline [n], in the same order.
        resamples: Of the randomization test.
        seed: Of the resampling.

    Raises:
        ValueError: The shapes differ, or there is no query.
    """
    values, baseline = np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if values.shape != baseline.shape or values.ndim != 1 or not len(values):
        raise ValueError(f"one value of each query for both runs is needed, got {values.shape} and {baseline.shape}")
    difference = values - baseline
    bounds = interval(difference[:, None], seed=seed)
    p = randomisation_test(difference[:, None], resamples=resamples, seed=seed)
    return Comparison(
        float(difference.mean()),
        bounds[0] if bounds else None,
        float(p[0]),
        int((difference > 0).sum()),
        int((difference < 0).sum()),
        len(difference),
        float(effect_size(difference[:, None])[0]),
    )


def randomisation_test(differences: Floats, *, resamples: int = 10_000, seed: int = 0) -> Floats:
    """Two-sided p-values of Fisher's paired randomization test of the mean (Smucker, Allan and Carterette, CIKM 2007).

    If the two runs were alike, the sign of each query's difference would be a coin's. The p-value is the share of coin
    tosses whose mean difference is at least as far from 0 as the one seen. Few queries are counted out exactly; else
    tosses are drawn, and the one seen counts as one of them, so that no p-value is 0.

    Args:
        differences: Of the two runs by query and comparison [n_queries, n_comparisons]; all comparisons see the same
            tosses.
        resamples: Tosses drawn.
        seed: Of the tosses.

    Returns:
        A p-value of each comparison [n_comparisons].
    """
    differences = np.asarray(differences, dtype=np.float64)
    used = differences[(differences != 0).any(axis=1)]  # a tie is a tie whatever the coin says
    n = len(used)
    seen = np.abs(used.sum(axis=0))
    bound = seen - 1e-9 * np.maximum(
        np.abs(used).sum(axis=0), 1e-300
    )  # sums in another order differ in the last digits
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
        differences: [n_queries, n_comparisons]. Where all are equal the p-value is 1 when they are 0, else 0.

    Returns:
        [n_comparisons]; 1 with fewer than two queries.
    """
    from scipy.stats import ttest_1samp

    differences = np.asarray(differences, dtype=np.float64)
    if len(differences) < 2:
        return np.ones(differences.shape[1])
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # equal differences have no spread to compare with
        p_values = np.asarray(ttest_1samp(differences, 0.0).pvalue, dtype=np.float64)
    return np.where(differences.any(axis=0), p_values, 1.0)


def wilcoxon_test(differences: Floats) -> Floats:
    """Two-sided p-values of Wilcoxon's signed-rank test, ties left out.

    Args:
        differences: [n_queries, n_comparisons].

    Returns:
        [n_comparisons]; 1 where all differences are 0.
    """
    from scipy.stats import wilcoxon

    found = [
        float(wilcoxon(column[column != 0]).pvalue) if column.any() else 1.0
        for column in np.asarray(differences, dtype=np.float64).T
    ]
    return np.asarray(found)


TESTS: dict[Test, Callable[[Floats], Floats]] = {
    "randomization": randomisation_test,
    "t": paired_t_test,
    "wilcoxon": wilcoxon_test,
}


def corrected(p_values: Floats, correction: Correction) -> Floats:
    """P-values of several tests, so that rejecting those below a level keeps the chance of any false alarm below it.

    Args:
        p_values: Of the tests [m].
        correction: ``bonferroni`` multiplies by m; ``holm`` (1979) the least by m, the next by m - 1 and so on, each
            at least the one before.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if correction == "none":
        return p_values
    m = len(p_values)
    if correction == "bonferroni":
        return np.minimum(p_values * m, 1.0)
    order = np.argsort(p_values, kind="stable")
    stepped = np.minimum(np.maximum.accumulate(p_values[order] * (m - np.arange(m))), 1.0)
    found = np.empty(m)
    found[order] = stepped
    return found


def effect_size(differences: Floats) -> Floats:
    """Mean difference in standard deviations of the differences (Cohen's d for pairs) [n_comparisons]; 0 where all
    are 0, infinite where they are equal otherwise.
    """
    mean = differences.mean(axis=0)
    spread = differences.std(axis=0, ddof=1) if len(differences) > 1 else np.zeros_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(mean == 0, 0.0, mean / spread), dtype=np.float64)


def detectable(differences: Floats, *, level: float = 0.05, power: float = 0.8) -> Floats:
    """The least mean difference that so many queries, differing as much as these, would show with this power.

    By the normal approximation, ``(z_{1 - level / 2} + z_power) sd / sqrt(n)`` (Sakai, Laboratory Experiments in
    Information Retrieval, 2018, chapter 6).

    Returns:
        [n_comparisons]; NaN with fewer than two queries.
    """
    from scipy.stats import norm

    n = len(differences)
    if n < 2:
        return np.full(differences.shape[1], np.nan)
    factor = float(norm.ppf(1 - level / 2) + norm.ppf(power))
    return np.asarray(factor * differences.std(axis=0, ddof=1) / np.sqrt(n), dtype=np.float64)
