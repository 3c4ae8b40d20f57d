"""How well a score tells what happens from what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["auroc"]

_RESAMPLES = 1000


def auroc(scores: npt.ArrayLike, happened: npt.ArrayLike, *, seed: int = 0) -> dict[str, Any] | None:
    """Area under the ROC curve: the probability that of two queries the one for which it happened has the higher score,
    a tie counting half; with a 95 % bootstrap interval over queries.

    Args:
        scores: Score of each query [n].
        happened: Whether it happened for each, bool [n].
        seed: Seed of the interval.

    Returns:
        ``value``, ``ci95`` (None where a resample may have one kind only, with fewer than five of either) and the
        numbers ``happened`` and ``not``; None without both kinds.

    Example:
        >>> auroc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])["value"]
        0.75
    """
    values, kind = np.asarray(scores, dtype=np.float64), np.asarray(happened, dtype=bool)
    n, of = len(values), int(kind.sum())
    if of in (0, n):
        return None
    bounds = None
    if min(of, n - of) >= 5:
        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, n, (_RESAMPLES, n))
        areas = [_area(values[rows], kind[rows]) for rows in drawn]
        bounds = [float(bound) for bound in np.nanpercentile(areas, [2.5, 97.5])]
    return {"value": _area(values, kind), "ci95": bounds, "happened": of, "not": n - of}


def _area(scores: Any, happened: Any) -> float:
    """By the sum of ranks (Mann and Whitney); NaN with one kind only."""
    from scipy.stats import rankdata

    of = int(happened.sum())
    others = len(happened) - of
    if not of or not others:
        return float("nan")
    return float((rankdata(scores)[happened].sum() - of * (of + 1) / 2) / (of * others))
