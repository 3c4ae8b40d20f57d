"""Is a difference between two runs on the same queries more than luck? Paired tests and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eval.measures import interval

__all__ = ["Comparison", "compare", "randomisation_test"]

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
        p_value: Two-sided, of the paired randomisation test.
        wins: Queries on which the run is better.
        losses: Queries on which it is worse.
        n_queries: All queries.
    """

    difference: float
    ci95: tuple[float, float] | None
    p_value: float
    wins: int
    losses: int
    n_queries: int


def compare(values: Floats, baseline: Floats, *, resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Compare two runs query by query.

    Args:
        values: Value of each query [n].
        baseline: Value of each query of the baseline [n], in the same order.
        resamples: Of the randomisation test.
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
    )


def randomisation_test(differences: Floats, *, resamples: int = 10_000, seed: int = 0) -> Floats:
    """Two-sided p-values of Fisher's paired randomisation test of the mean (Smucker, Allan and Carterette, CIKM 2007).

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
