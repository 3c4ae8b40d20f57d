"""Whether two who label the same things agree, beyond chance."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.arguments import refuses_unknown

__all__ = ["agreement"]

_RESAMPLES = 10_000

Floats = npt.NDArray[np.float64]


@refuses_unknown
def agreement(one: Mapping[str, Hashable], other: Mapping[str, Hashable], *, seed: int = 0) -> dict[str, Any]:
    """Share of what both have labeled that they label alike, and Cohen's kappa (1960), each with the percentile
    bootstrap interval over what was labeled.

    Kappa is null where both use one and the same label throughout: chance alone would agree then. Resamples of that
    kind do not count for its interval.

    Args:
        one: Label by id.
        other: Label by id.
        seed: Of the resampling.

    Returns:
        ``n``, ``percent`` and ``kappa``, both of ``mean`` and ``ci95``; None for what cannot be said.
    """
    both = [id for id in one if id in other]
    labels = sorted({one[id] for id in both} | {other[id] for id in both}, key=repr)
    place = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    for id in both:
        table[place[one[id]], place[other[id]]] += 1
    found: dict[str, Any] = {"n": len(both), "percent": None, "kappa": None}
    if not both:
        return found
    n = len(both)
    # Drawing n of the pairs again is drawing how many fall into each cell of the table.
    drawn = np.random.default_rng(seed).multinomial(n, table.ravel() / n, size=_RESAMPLES if n > 1 else 0)
    drawn = drawn.reshape(-1, *table.shape)
    for name, measure in (("percent", _percent), ("kappa", _kappa)):
        value = float(measure(table[None])[0])
        if not np.isnan(value):
            some = measure(drawn)
            some = some[~np.isnan(some)]
            bounds = [float(one) for one in np.quantile(some, [0.025, 0.975])] if len(some) else None
            found[name] = {"mean": value, "ci95": bounds}
    return found


def _percent(tables: npt.NDArray[Any]) -> Floats:
    return np.asarray(np.trace(tables, axis1=1, axis2=2) / tables.sum(axis=(1, 2)))


def _kappa(tables: npt.NDArray[Any]) -> Floats:
    """Cohen's kappa of square tables of counts, [n, k, k]; NaN where chance alone would agree."""
    n = tables.sum(axis=(1, 2))
    chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = (_percent(tables) - chance) / (1 - chance)
    return np.asarray(np.where(chance < 1, kappa, np.nan))
