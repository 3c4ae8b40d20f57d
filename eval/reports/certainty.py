"""What more questions would buy: how wide the interval of a mean is, by the number of questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.eval.reports.figures import Figure, line

__all__ = ["MoreQuestions", "half_width", "more_questions", "questions_for"]

_TIMES = (1, 2, 4, 10)
"""How many times the questions of this run the table counts."""

_AIMS = (0.02, 0.01)
"""Half widths that people ask for."""

_Z = 1.959963985
"""Quantile of the normal distribution for a two-sided interval of 95 %."""

MoreQuestions = tuple[list[tuple[str, str]], Figure]


def half_width(values: npt.NDArray[np.float64], n: int) -> float:
    """Half the width of the 95 % interval of the mean of ``n`` questions that vary as these do."""
    return _Z * float(values.std(ddof=1)) / math.sqrt(n)


def questions_for(values: npt.NDArray[np.float64], half: float) -> int:
    """How many questions that vary as these do have an interval of so half a width."""
    return math.ceil((_Z * float(values.std(ddof=1)) / half) ** 2)


def more_questions(values: npt.NDArray[np.float64]) -> MoreQuestions | None:
    """Rows of a table (questions, half width) and the figure of the same; None where there is nothing to tell: one
    question, or all have the same value.

    Args:
        values: Value of each query by the headline measure, shape [n_queries].
    """
    n = len(values)
    if n < 2 or not values.std() > 0:
        return None
    counts = {times * n for times in _TIMES} | {questions_for(values, aim) for aim in _AIMS}
    rows = [
        (f"{count:,}{' (this run)' if count == n else ''}", f"\u00b1 {half_width(values, count):.3f}")
        for count in sorted(counts)
    ]
    return rows, _figure(values, sorted(counts))


def _figure(values: npt.NDArray[np.float64], counts: Sequence[int]) -> Figure:
    n = len(values)
    grid = np.unique(np.geomspace(max(2, min(n // 4, counts[0])), max(counts), 60).astype(int)).tolist()
    curve = line(
        grid,
        [half_width(values, count) for count in grid],
        name="interval",
        hovertemplate="%{x:,} questions: \u00b1 %{y:.3f}<extra></extra>",
    )
    now = line(
        [n],
        [half_width(values, n)],
        name="this run",
        mode="markers",
        hovertemplate=f"this run, {n:,} questions: \u00b1 %{{y:.3f}}<extra></extra>",
    )
    axes: dict[str, Any] = {
        "xaxis": {"title": {"text": "questions"}, "type": "log", "dtick": "D2"},
        "yaxis": {"title": {"text": "half the 95 % interval"}, "rangemode": "tozero"},
    }
    return {"data": [curve, now], "layout": axes}
