"""Chance-corrected agreement between two labelers."""

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
def agreement(first: Mapping[str, Hashable], other: Mapping[str, Hashable], *, seed: int = 0) -> dict[str, Any]:
    """Share of common items that both label alike, and Cohen's kappa (1960), each with a percentile bootstrap interval
    over the items.

    Kappa is None where both use only one and the same label: chance alone would agree then. Such resamples are excluded
    from its interval.

    Args:
        first: Labels by id.
        other: Labels by id.
        seed: Seed of the resampling.

    Returns:
        ``n``, ``percent`` and ``kappa``, the latter two with ``mean`` and ``ci95``; None where undefined.
    """
    both = [id for id in first if id in other]
    labels = sorted({first[id] for id in both} | {other[id] for id in both}, key=repr)
    index_of = {label: index for index, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    for id in both:
        table[index_of[first[id]], index_of[other[id]]] += 1
    result: dict[str, Any] = {"n": len(both), "percent": None, "kappa": None}
    if not both:
        return result
    n = len(both)
    # Drawing n pairs with replacement equals drawing the counts of the table's cells.
    drawn = np.random.default_rng(seed).multinomial(n, table.ravel() / n, size=_RESAMPLES if n > 1 else 0)
    drawn = drawn.reshape(-1, *table.shape)
    for name, measure in (("percent", _percent), ("kappa", _kappa)):
        value = float(measure(table[None])[0])
        if not np.isnan(value):
            resampled = measure(drawn)
            resampled = resampled[~np.isnan(resampled)]
            bounds = [float(bound) for bound in np.quantile(resampled, [0.025, 0.975])] if len(resampled) else None
            result[name] = {"mean": value, "ci95": bounds}
    return result


def _percent(tables: npt.NDArray[Any]) -> Floats:
    return np.asarray(np.trace(tables, axis1=1, axis2=2) / tables.sum(axis=(1, 2)))


def _kappa(tables: npt.NDArray[Any]) -> Floats:
    """Cohen's kappa of square tables of counts, [n, k, k]; NaN where chance alone would agree."""
    n = tables.sum(axis=(1, 2))
    chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = (_percent(tables) - chance) / (1 - chance)
    return np.asarray(np.where(chance < 1, kappa, np.nan))
