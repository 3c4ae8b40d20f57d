"""Bootstrap intervals of means over queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rag.eval.metrics import Mean

__all__ = ["interval", "means"]

_RESAMPLES = 10_000


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
    generator = np.random.default_rng(seed)
    resamples = max(
        1_000, min(_RESAMPLES, 20_000_000 // n)
    )  # with many queries fewer suffice, and each is more expensive
    step = max(1, 2_000_000 // n)
    means = np.concatenate(
        [
            generator.multinomial(n, np.full(n, 1 / n), size=min(step, resamples - first)) @ values / n
            for first in range(0, resamples, step)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


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
