"""Stopping a trial before all queries are searched, when it will not be among the best.

Queries come in random order, in growing blocks. After each block the trial is compared with its rivals, the best
trials so far, on the queries both have been searched with. The question is not whether some ideal mean is lower, but
whether the mean over *these* tuning queries will be: so the bound shrinks to nothing as the last query comes (finite
population correction).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST", "blocks", "hopeless", "optimistic_gain"]

Floats = npt.NDArray[np.float64]

LEAST = 20
"""Queries before the first look: with fewer, the t distribution says little about differences that are mostly 0."""

_SHARES = (0.1, 0.2, 0.35, 0.55, 0.8, 1.0)
"""Of the queries, after each block."""


def blocks(n: int) -> list[int]:
    """Ends of the blocks of n queries; the last is n."""
    ends = sorted({max(LEAST, round(share * n)) for share in _SHARES[:-1]} | {n})
    return [end for end in ends if end <= n]


def optimistic_gain(gains: Floats, n: int, risk: float) -> float:
    """Upper confidence bound of the mean gain over all n queries.

    Args:
        gains: Gains of the queries so far, drawn at random without replacement, trial minus rival; higher is better.
        n: The number of all queries.
        risk: The chance that the mean is above the bound.
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

    A trial that no rival beats is stopped wrongly with at most the risk: it is shared out over looks and rivals, and to
    be stopped for a rival, its gain over it must be underestimated in an objective where it has one.

    Args:
        gains: By rival and objective: gains by query, or the known gain of an objective that is no mean over queries.
        n: The number of all queries.
        risk: The chance of stopping wrongly, over all looks and rivals.
        looks: The number of looks at a trial.
    """
    share = risk / (looks * max(len(gains), 1))
    for rival in gains:
        bounds = [gain if isinstance(gain, float) else optimistic_gain(gain, n, share) for gain in rival]
        if all(bound <= 0 for bound in bounds) and any(bound < 0 for bound in bounds):
            return True
    return False
