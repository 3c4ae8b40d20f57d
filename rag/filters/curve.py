"""What every threshold would keep, over all (query, candidate) pairs together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ThresholdCurve"]


@dataclass(frozen=True)
class ThresholdCurve:
    """What is kept at each threshold, from the highest on; ties are kept together.

    The same curve as scikit-learn's ``precision_recall_curve``, from the other end: without importing it, which takes
    longer than a filter takes to fit.

    Args:
        thresholds: Different values, highest first [m].
        kept: Pairs of at least that value, int64 [m].
        found: Relevant pairs among them, int64 [m].
    """

    thresholds: npt.NDArray[Any]
    kept: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: npt.NDArray[Any], relevant: npt.NDArray[np.bool_]) -> ThresholdCurve:
        """The curve of n pairs with these values, of which these are relevant; at least one."""
        order = np.argsort(-values, kind="stable")
        ranked = values[order]
        last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)  # the last of each run of ties
        return cls(ranked[last], last + 1, np.cumsum(relevant[order])[last])

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """Share of the relevant pairs that is kept; 0 where there are none."""
        return np.asarray(self.found / max(int(self.found[-1]), 1))

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """Share of the kept pairs that is relevant."""
        return np.asarray(self.found / self.kept)

    @property
    def area(self) -> float:
        """Average precision: the area under precision by recall, ties counted at once."""
        return float((np.diff(self.recall, prepend=0.0) * self.precision).sum())

    def at_recall(self, recall: float) -> int:
        """Number of the largest threshold with at least this recall."""
        return int(np.argmax(self.recall >= recall))
