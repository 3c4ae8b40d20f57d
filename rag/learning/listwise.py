"""Ranking by a weighted sum of features, learned from whole lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.candidates import Bools, Floats

__all__ = ["Linear", "Scaling", "fit_linear"]

_FARTHEST = 5.0
"""Limit of features in standard deviations, so that no outlier decides."""

_STEPS = 60


@dataclass(frozen=True)
class Scaling:
    """Standardization of features: mean 0 and standard deviation 1 over the training candidates.

    Args:
        mean: Means, float32 [features].
        spread: Standard deviations, float32 [features]; 0 for a constant feature, which is ignored.
    """

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, values: Floats, mask: Bools) -> Scaling:
        """Measure features float32 [n, k, features] at candidates, bool [n, k]; NaN is ignored."""
        flat = values[mask].astype(np.float64)
        there = np.isfinite(flat)
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, flat, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(there, flat - mean, 0) ** 2).sum(axis=0) / count)
        spread[spread < 1e-9 * np.maximum(np.abs(mean), 1)] = 0
        return cls(mean.astype(np.float32), spread.astype(np.float32))

    def __call__(self, values: Floats) -> Floats:
        """Scaled features; unknown values become the mean, 0."""
        scaled = (values - self.mean) * np.where(self.spread > 0, 1 / np.where(self.spread > 0, self.spread, 1), 0)
        cut = np.clip(np.nan_to_num(scaled, nan=0.0), -_FARTHEST, _FARTHEST)
        return np.asarray(cut, dtype=np.float32)


@dataclass(frozen=True)
class Linear:
    """A weighted sum of scaled features.

    Args:
        scaling: Scaling of the features.
        weights: Weights, float32 [features].
    """

    scaling: Scaling
    weights: Floats

    def __call__(self, values: Floats) -> Floats:
        """Scores of candidates by their features [n, k, features], float32 [n, k]."""
        return np.asarray(self.scaling(values) @ self.weights, dtype=np.float32)

    def contributions(self, values: Floats) -> Floats:
        """Contribution of each feature to the score, float32 [..., features]."""
        return np.asarray(self.scaling(values) * self.weights, dtype=np.float32)

    def as_dict(self) -> dict[str, Any]:
        """The model as JSON values."""
        arrays = {"mean": self.scaling.mean, "spread": self.scaling.spread, "weights": self.weights}
        return {name: array.tolist() for name, array in arrays.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Linear:
        """The model from the values of :meth:`as_dict`."""
        mean, spread, weights = (np.array(values[name], dtype=np.float32) for name in ("mean", "spread", "weights"))
        return cls(Scaling(mean, spread), weights)


def fit_linear(
    scaled: Floats,
    mask: Bools,
    gains: Floats,
    l2: float,
    *,
    start: Floats | None = None,
    prior: Floats | None = None,
) -> Floats:
    """Weights that make the relevant candidates of each query likely under a softmax over all its candidates: listwise
    cross-entropy (ListNet's top one, Cao et al., ICML 2007) by L-BFGS.

    Args:
        scaled: Features, float32 [n, k, features].
        mask: Mask of candidates, bool [n, k].
        gains: Gain of each candidate, float32 [n, k], 0 if irrelevant; queries without any gain are skipped.
        l2: Weight of the L2 penalty.
        start: Initial weights.
        prior: Weights toward which the penalty pulls; None is 0.

    Returns:
        Weights, float32 [features].
    """
    from scipy.optimize import minimize

    usable = np.flatnonzero((gains * mask).sum(axis=1) > 0)
    x, inside, target = scaled[usable], mask[usable], np.where(mask, gains, 0)[usable]
    target = target / target.sum(axis=1, keepdims=True)
    flat = x.reshape(-1, x.shape[2])
    n = len(usable)
    center = np.zeros(x.shape[2]) if prior is None else prior.astype(np.float64)

    def loss(weights: Any) -> tuple[float, Any]:
        w = weights.astype(np.float32)
        logits = np.where(inside, (flat @ w).reshape(inside.shape), -np.inf)
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        total = odds.sum(axis=1, keepdims=True)
        log_likely = np.where(inside, logits, 0) - np.log(total)
        away = weights - center
        value = -float((target * log_likely).sum(dtype=np.float64)) / n + l2 * float(away @ away)
        slope = flat.T @ (odds / total - target).ravel().astype(np.float32)
        return value, slope.astype(np.float64) / n + 2 * l2 * away

    first = center if start is None else start.astype(np.float64)
    solution = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "maxcor": 10})
    return np.asarray(solution.x, dtype=np.float32)
