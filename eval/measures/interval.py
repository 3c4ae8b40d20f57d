"""Bootstrap intervals of means over queries."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.eval.metrics import Mean

__all__ = ["interval", "means"]

_RESAMPLES = 10_000
_BLOCK = 2_000_000
"""Draws at a time."""


def interval(
    values: npt.NDArray[np.float64], *, seed: int = 0, level: float = 0.95
) -> list[tuple[float, float]] | None:
    """Percentile bootstrap intervals of means over queries.

    Args:
        values: Values [n_queries, n_measures]; whole queries are resampled, so all measures share the same samples.
        seed: Seed of the resampling.
        level: Confidence level.

    Returns:
        (low, high) of each measure; None with fewer than two queries.
    """
    n = len(values)
    if n < 2:
        return None
    samples: Iterable[npt.NDArray[Any]] = _few(n, seed) if n * _RESAMPLES <= _BLOCK else _samples(n, seed)
    means = np.concatenate([counts @ values / n for counts in samples])
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _samples(n: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Blocks of resamples: how often each query is drawn, int64 [m, n]."""
    generator = np.random.default_rng(seed)
    # With many queries fewer resamples suffice, and each is more expensive.
    resamples = max(1_000, min(_RESAMPLES, 20_000_000 // n))
    step = max(1, _BLOCK // n)
    for first in range(0, resamples, step):
        yield generator.multinomial(n, np.full(n, 1 / n), size=min(step, resamples - first))


@functools.lru_cache(maxsize=2)
def _few(n: int, seed: int) -> list[npt.NDArray[np.float64]]:
    """The samples of few queries, kept: a report uses them often, and drawing takes longer than using them."""
    return [counts.astype(np.float64) for counts in _samples(n, seed)]


def means(names: Sequence[str], table: npt.NDArray[np.float64], *, seed: int = 0) -> dict[str, Mean]:
    """Mean of each measure over queries, with its interval.

    Args:
        names: Names of the measures.
        table: Their values, float64 [n_queries, n_measures].
        seed: Seed of the resampling.
    """
    bounds = interval(table, seed=seed)
    return {
        name: Mean(mean=float(table[:, column].mean()), ci95=bounds[column] if bounds else None)
        for column, name in enumerate(names)
    }
