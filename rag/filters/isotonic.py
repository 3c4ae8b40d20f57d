"""Monotone calibration of a score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.candidates import Candidates, Floats
from rag.filters.base import Filter
from rag.filters.keep import Keep, check_classes, check_keep

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext

__all__ = ["Isotonic"]

_FOLDS = 5


class Isotonic(Filter):
    """An increasing step function for all queries, from score to probability of relevance (Zadrozny & Elkan 2002).

    Follows any increasing curve, unlike ``platt`` with its fixed form. The threshold is chosen on probabilities from
    functions of the other queries, in five folds; the final function is fitted on all.

    Args:
        keep: Target on the training queries: ``recall``, ``precision``, ``f_beta``, ``expected_relevant`` (relevant
            documents per query) or ``threshold``.
        top_k: Maximum number of candidates to keep.
    """

    type = "isotonic"
    _libraries = ("scikit-learn",)
    gives_probabilities = True

    def __init__(
        self,
        *,
        keep: Keep = {"recall": 0.95},  # noqa: B006 - copied for each instance
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        check_keep(self.spec.label, keep)
        self.keep = keep
        self.top_k = top_k
        self._steps: npt.NDArray[np.float64] = np.array([[0.0], [0.5]])

    def learn(
        self, batch: QueryBatch, candidates: Candidates, relevant: npt.NDArray[np.bool_], context: FitContext
    ) -> tuple[npt.NDArray[np.int64], Any]:
        mask = candidates.mask
        check_classes(relevant[mask], self.spec.label)
        fold = np.random.default_rng(context.seed).permutation(len(mask)) % min(_FOLDS, len(mask))
        values = np.full(mask.shape, -np.inf)
        for part in range(int(fold.max()) + 1):
            out = (fold == part)[:, None] & mask
            seen = (fold != part)[:, None] & mask
            values[out] = _stair(_steps(candidates.scores[seen], relevant[seen]), candidates.scores[out])
        self._steps = _steps(candidates.scores[mask], relevant[mask])
        return np.arange(len(mask)), values.astype(np.float32)

    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        return np.where(candidates.mask, _stair(self._steps, candidates.scores), -np.inf).astype(np.float32)

    def save_state(self, folder: Path) -> None:
        super().save_state(folder)
        np.save(folder / "steps.npy", self._steps)

    def load_state(self, folder: Path, context: FitContext) -> None:  # type: ignore[override]
        super().load_state(folder, context)
        self._steps = np.load(folder / "steps.npy")


def _steps(scores: Any, relevant: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Corners of the step function: scores and probabilities, float64 [2, corners]."""
    from sklearn.isotonic import IsotonicRegression

    if not len(scores):
        return np.array([[0.0], [0.0]])
    stairs = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores.astype(np.float64), relevant)
    return np.stack([stairs.X_thresholds_, stairs.y_thresholds_])


def _stair(steps: npt.NDArray[np.float64], scores: Any) -> Any:
    return np.interp(scores, steps[0], steps[1])
