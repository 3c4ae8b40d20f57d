"""Logistic calibration of a score."""

from __future__ import annotations

import json
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

__all__ = ["Platt", "fit_platt", "sigmoid"]

_LEAST_SLOPE = 1e-3


class Platt(Filter):
    """One logistic curve for all queries, from score to probability of relevance (Platt 1999).

    Its two numbers are learned from thousands of pairs, so results on the training queries hold for others, and they
    serve as calibration queries too. It does not shift queries against each other: it keeps the same documents as
    ``threshold`` with the same target, but their scores are probabilities.

    Args:
        keep: Target on the training queries: ``recall``, ``precision``, ``f_beta``, ``expected_relevant`` (relevant
            documents per query) or ``threshold``.
        top_k: Maximum number of candidates to keep.
    """

    type = "platt"
    _libraries = ("scipy",)
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
        self._curve: tuple[float, float] = (1.0, 0.0)

    def learn(
        self, batch: QueryBatch, candidates: Candidates, relevant: npt.NDArray[np.bool_], context: FitContext
    ) -> tuple[npt.NDArray[np.int64], Any]:
        mask = candidates.mask
        check_classes(relevant[mask], self.spec.label)
        self._curve = fit_platt(candidates.scores[mask], relevant[mask])
        return super().learn(batch, candidates, relevant, context)

    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        slope, offset = self._curve
        return np.where(candidates.mask, sigmoid(candidates.scores * slope + offset), -np.inf).astype(np.float32)

    def save_state(self, folder: Path) -> None:
        super().save_state(folder)
        (folder / "curve.json").write_text(json.dumps(self._curve), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:  # type: ignore[override]
        super().load_state(folder, context)
        slope, offset = json.loads((folder / "curve.json").read_text(encoding="utf-8"))
        self._curve = (slope, offset)


def fit_platt(scores: Any, relevant: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the maximum likelihood logistic curve, with a positive slope so that no order is reversed.

    The offset is free, so the mean probability is the share of relevant pairs, which corrects the prior. Targets are
    Platt's, moved away from 0 and 1 by a pseudo-count, so that separable scores give a finite slope.

    Args:
        scores: Scores [n].
        relevant: Whether each is relevant, bool [n], with both classes.
    """
    from scipy.optimize import minimize

    scores = np.asarray(scores, dtype=np.float64)
    center, spread = scores.mean(), max(float(scores.std()), 1e-12)
    z = (scores - center) / spread
    n_relevant = int(relevant.sum())
    high, low = (n_relevant + 1) / (n_relevant + 2), 1 / (len(scores) - n_relevant + 2)
    targets = np.where(relevant, high, low)

    def loss(curve: Any) -> tuple[float, Any]:
        logit = curve[0] * z + curve[1]
        error = sigmoid(logit) - targets
        return float((np.logaddexp(0, logit) - targets * logit).mean()), np.array([(error * z).mean(), error.mean()])

    prior = targets.mean()
    optimum = minimize(
        loss,
        np.array([1.0, np.log(prior / (1 - prior))]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(_LEAST_SLOPE, None), (None, None)],
        options={"gtol": 1e-9, "ftol": 1e-15},
    ).x
    slope = float(optimum[0]) / spread
    return slope, float(optimum[1]) - slope * float(center)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60, 60)))
