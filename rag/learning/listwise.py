"""Ranking by a weighted sum of features, learned from whole lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.candidates import Bools, Floats

__all__ = ["Linear", "Scaling", "fit_linear"]

_FARTHEST = 5.0
"""Features are cut at so many standard deviations: one outlier must not decide."""

_STEPS = 60


@dataclass(frozen=True)
class Scaling:
    """How features are made comparable: mean 0 and standard deviation 1 over the candidates learned from.

    Args:
        mean: float32 [features].
        spread: Likewise; 0 for a feature that is always the same, which then says nothing.
    """

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, values: Floats, mask: Bools) -> Scaling:
        """Of features float32 [n, k, features] where there are candidates, bool [n, k]; NaN counts for nothing."""
        flat = values[mask].astype(np.float64)
        there = np.isfinite(flat)
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, flat, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(there, flat - mean, 0) ** 2).sum(axis=0) / count)
        spread[spread < 1e-9 * np.maximum(np.abs(mean), 1)] = 0
        return cls(mean.astype(np.float32), spread.astype(np.float32))

    def __call__(self, values: Floats) -> Floats:
        """Scaled features; what is not known is the mean, 0."""
        scaled = (values - self.mean) * np.where(self.spread > 0, 1 / np.where(self.spread > 0, self.spread, 1), 0)
        cut = np.clip(np.nan_to_num(scaled, nan=0.0), -_FARTHEST, _FARTHEST)
        return np.asarray(cut, dtype=np.float32)


@dataclass(frozen=True)
class Linear:
    """A weighted sum of scaled features.

    Args:
        scaling: Of the features.
        weights: float32 [features].
    """

    scaling: Scaling
    weights: Floats

    def __call__(self, values: Floats) -> Floats:
        """Scores of candidates by their features [n, k, features], float32 [n, k]."""
        return np.asarray(self.scaling(values) @ self.weights, dtype=np.float32)

    def contributions(self, values: Floats) -> Floats:
        """What each feature adds to the score, float32 [..., features]."""
        return np.asarray(self.scaling(values) * self.weights, dtype=np.float32)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        arrays = {"mean": self.scaling.mean, "spread": self.scaling.spread, "weights": self.weights}
        return {name: array.tolist() for name, array in arrays.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Linear:
        """What :meth:`as_dict` gave."""
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
        mask: Where there are candidates, bool [n, k].
        gains: How relevant each is, float32 [n, k], 0 for not; a query without any is passed over.
        l2: Weight of the sum of squares.
        start: Weights to begin with.
        prior: Weights that they are drawn to; None is 0.

    Returns:
        float32 [features].
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
