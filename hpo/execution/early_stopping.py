"""Stop a trial before all queries are searched if it will not be among the best.

Queries come in random order, in growing blocks. After each block the trial is compared with its rivals, the best
trials so far, on the queries both have searched. The question is not whether some ideal mean is lower, but whether the
mean over *these* tuning queries will be: so the bound shrinks to zero with the last query (finite population
correction).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST", "blocks", "hopeless", "optimistic_gain"]

Floats = npt.NDArray[np.float64]

LEAST = 20
"""Queries before the first test: with fewer, the t distribution is unreliable for differences that are mostly 0."""

_SHARES = (0.1, 0.2, 0.35, 0.55, 0.8, 1.0)
"""Shares of the queries after each block."""


def blocks(n: int) -> list[int]:
    """The ends of the blocks of n queries; the last is n."""
    ends = sorted({max(LEAST, round(share * n)) for share in _SHARES[:-1]} | {n})
    return [end for end in ends if end <= n]


def optimistic_gain(gains: Floats, n: int, risk: float) -> float:
    """Upper confidence bound of the mean gain over all n queries.

    Args:
        gains: Gains of the queries so far, drawn at random without replacement, trial minus rival; higher is better.
        n: Number of all queries.
        risk: Probability that the mean is above the bound.
    """
    from scipy.stats import t

    seen = len(gains)
    mean = float(gains.mean())
    if seen >= n:
        return mean
    spread = float(gains.std(ddof=1)) * np.sqrt((1 / seen) * (1 - seen / n))
    return mean + float(t.ppf(1 - risk, seen - 1)) * float(spread)


def hopeless(gains: Sequence[Sequence[Floats | float]], n: int, *, risk: float, looks: int) -> bool:
    """Whether some rival will be at least as good in every objective, and better in one, at the stated risk.

    A trial that no rival beats is stopped with at most this risk: it is divided among looks and rivals, and such a
    trial is only stopped if its gain over a rival is underestimated in an objective where it has one.

    Args:
        gains: By rival and objective: gains by query, or the known gain of an objective that is not a
            mean over queries.
        n: Number of all queries.
        risk: Probability of stopping wrongly, over all looks and rivals.
        looks: Number of looks at a trial.
    """
    share = risk / (looks * max(len(gains), 1))
    for rival in gains:
        bounds = [gain if isinstance(gain, float) else optimistic_gain(gain, n, share) for gain in rival]
        if all(bound <= 0 for bound in bounds) and any(bound < 0 for bound in bounds):
            return True
    return False
