"""Recall and precision of every threshold, over all (query, candidate) pairs together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ThresholdCurve"]


@dataclass(frozen=True)
class ThresholdCurve:
    """Pairs kept at each threshold, from the highest down; ties are kept together.

    The same curve as scikit-learn's ``precision_recall_curve``, from the other end, but without importing scikit-learn,
    which takes longer than fitting a filter.

    Args:
        thresholds: Distinct values, highest first [m].
        kept: Number of pairs with at least that value, int64 [m].
        relevant: Number of relevant pairs among them, int64 [m].
    """

    thresholds: npt.NDArray[Any]
    kept: npt.NDArray[np.int64]
    relevant: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: npt.NDArray[Any], relevant: npt.NDArray[np.bool_]) -> ThresholdCurve:
        """Make the curve of n pairs, at least one, from their values and relevance."""
        order = np.argsort(-values, kind="stable")
        ranked = values[order]
        last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)  # the last of each run of ties
        return cls(ranked[last], last + 1, np.cumsum(relevant[order])[last])

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """Share of the relevant pairs that is kept; 0 without any."""
        return np.asarray(self.relevant / max(int(self.relevant[-1]), 1))

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """Share of the kept pairs that is relevant."""
        return np.asarray(self.relevant / self.kept)

    @property
    def area(self) -> float:
        """Average precision: the area under precision by recall, with ties counted together."""
        return float((np.diff(self.recall, prepend=0.0) * self.precision).sum())

    def at_recall(self, recall: float) -> int:
        """Index of the largest threshold with at least this recall."""
        return int(np.argmax(self.recall >= recall))
