"""From the scores of a few items to a query's weights: the linear algebra of CUR search, batched over queries.

One model serves all: the score of item ``i`` is ``features_i . b + vectors_i . w``. The features (a constant, the first
stage's score) are few and their coefficients free; the weights ``w`` live in the space of the item vectors and are held
down by a ridge, or by truncation. Everything is solved in float64.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Doubles", "GrowingRidge", "PseudoInverse", "Solver", "least_squares_with_slopes_from_zero"]

Doubles = npt.NDArray[np.float64]

_TINY = 1e-6
"""Weight against slopes that the scored items do not determine, relative to that of one constant feature."""


class Solver(Protocol):
    """Takes scored items a block at a time, for ``q`` queries at once.

    A row of zeros (vector, features and target) is an item that is not there: queries may have different numbers.
    """

    def add(self, vectors: Doubles, features: Doubles, targets: Doubles) -> None:
        """More items: float64 [q, b, d], [q, b, p] and [q, b]."""

    def solve(self) -> tuple[Doubles, Doubles]:
        """Coefficients of the features [q, p] and weights [q, d] that fit all items added so far."""


class GrowingRidge:
    """Ridge regression on ``w`` alone, by a Cholesky factor that grows with every block.

    With ``K = V V^T + ridge I = L L^T`` over the scored items, what is kept is not ``L`` but ``T = L^-1 V`` and
    ``L^-1 [targets, features]``: a new block needs the old ``T`` only, and

    - ``b`` is the generalized least-squares fit of the features under ``K``, slopes at least 0,
    - ``w = T^T L^-1 (targets - features b)``, the posterior mean of a Gaussian process with kernel ``V V^T``,
    - its covariance is ``I - T^T T`` in units of :meth:`variance`.

    A block of ``b`` items after ``m`` costs ``O(b m d)``; nothing is factorized twice.

    Args:
        queries: Number of queries solved at once.
        capacity: Items per query, at most.
        dimension: Length of the item vectors.
        features: Columns of the features; the first is the intercept, the others are slopes.
        ridge: Weight against ``w``, in the units of ``V V^T``.
        samples: Draws from the prior, float64 [q, d, s]: :meth:`sample` turns each into one from the posterior.
        noise: Noise of the draws, standard normal [q, capacity, s].
    """

    def __init__(
        self,
        queries: int,
        capacity: int,
        dimension: int,
        features: int,
        ridge: float,
        *,
        samples: Doubles | None = None,
        noise: Doubles | None = None,
    ) -> None:
        self.ridge = ridge
        self.size = 0
        self.features = features
        self._samples, self._noise = samples, noise
        draws = 0 if samples is None else samples.shape[2]
        self._rows = np.zeros((queries, capacity, dimension))
        self._right = np.zeros((queries, capacity, 1 + features + draws))
        self._counts = np.zeros(queries)

    def add(self, vectors: Doubles, features: Doubles, targets: Doubles) -> None:
        m, b = self.size, vectors.shape[1]
        sides = [targets[..., None], features]
        if self._samples is not None and self._noise is not None:
            there = vectors.any(axis=2, keepdims=True)
            noise = np.sqrt(self.ridge) * self._noise[:, m : m + b] * there
            sides.append(vectors @ self._samples + noise)
        known_rows, right = self._rows[:, :m], self._right[:, :m]
        cross = vectors @ known_rows.transpose(0, 2, 1)  # the new rows of L, left of the diagonal
        gram = vectors @ vectors.transpose(0, 2, 1) - cross @ cross.transpose(0, 2, 1)
        gram[:, np.arange(b), np.arange(b)] += self.ridge
        new = np.concatenate([vectors - cross @ known_rows, np.concatenate(sides, axis=2) - cross @ right], axis=2)
        solved = np.linalg.solve(np.linalg.cholesky(gram), new)
        self._rows[:, m : m + b] = solved[..., : vectors.shape[2]]
        self._right[:, m : m + b] = solved[..., vectors.shape[2] :]
        self._counts += vectors.any(axis=2).sum(axis=1)
        self.size += b

    def solve(self) -> tuple[Doubles, Doubles]:
        coefficients, residual = self._fit()
        return coefficients, _times(self.rows, residual)

    def variance(self) -> Doubles:
        """The kernel's amplitude that explains the scored items best, [q]."""
        _, residual = self._fit()
        return np.asarray((residual**2).sum(axis=1) / np.maximum(self._counts, 1))

    def sample(self, index: int) -> Doubles:
        """Deviation from the mean weights of one draw from the posterior, in standard deviations: [q, d]
        (Matheron's rule).
        """
        assert self._samples is not None
        drawn = self._right[:, : self.size, 1 + self.features + index]
        return np.asarray(self._samples[..., index] - _times(self.rows, drawn))

    @property
    def rows(self) -> Doubles:
        """``T``, float64 [q, m, d]: the variance at an item ``v`` is ``|v|^2 - |T v|^2``."""
        return self._rows[:, : self.size]

    def _fit(self) -> tuple[Doubles, Doubles]:
        targets = self._right[:, : self.size, 0]
        features = self._right[:, : self.size, 1 : 1 + self.features]
        coefficients = least_squares_with_slopes_from_zero(features, targets)
        return coefficients, targets - (features @ coefficients[..., None])[..., 0]


class PseudoInverse:
    """The papers' own: ``w = pinv(V) targets``, singular values below ``rcond`` times the largest left out.

    Without that cut, as many anchors as anchor queries give a nearly singular matrix and worthless weights.

    Args:
        rcond: Relative cut-off of singular values.
        center: Take the mean of a query's scores out first: for vectors that know nothing of the scores' level.
    """

    def __init__(self, *, rcond: float, center: bool) -> None:
        self.rcond = rcond
        self.center = center
        self._vectors: list[Doubles] = []
        self._targets: list[Doubles] = []

    def add(self, vectors: Doubles, features: Doubles, targets: Doubles) -> None:
        self._vectors.append(vectors)
        self._targets.append(targets)

    def solve(self) -> tuple[Doubles, Doubles]:
        vectors, targets = np.concatenate(self._vectors, axis=1), np.concatenate(self._targets, axis=1)
        if self.center:
            there = vectors.any(axis=2)
            mean = (targets * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
            targets = (targets - mean[:, None]) * there
        if len(vectors) > 1 and (vectors == vectors[:1]).all():  # the same anchors for all: one inverse
            vectors = vectors[:1]
        weights = (np.linalg.pinv(vectors, rcond=self.rcond) @ targets[..., None])[..., 0]
        return np.zeros((len(weights), 0)), weights


def least_squares_with_slopes_from_zero(features: Doubles, targets: Doubles) -> Doubles:
    """Coefficients [q, p] of ``targets ~ features``, all but the first at least 0.

    With at most three slopes every set of slopes above zero is tried, and the best one that is feasible taken. A slope
    that the items do not determine (all have one value of the feature) is 0.

    Args:
        features: float64 [q, m, p]; the first column belongs to the intercept.
        targets: float64 [q, m].
    """
    q, _, p = features.shape
    if not p:
        return np.zeros((q, 0))
    gram = features.transpose(0, 2, 1) @ features
    right = (features.transpose(0, 2, 1) @ targets[..., None])[..., 0]
    level = gram[:, 0, 0] + 1e-12
    gram[:, np.arange(1, p), np.arange(1, p)] += _TINY * level[:, None]
    gram[:, 0, 0] = level
    best, least = np.zeros((q, p)), np.full(q, np.inf)
    for count in range(p):
        for slopes in combinations(range(1, p), count):
            used = [0, *slopes]
            solution = np.linalg.solve(gram[:, used][:, :, used], right[:, used, None])[..., 0]
            loss = -(solution * right[:, used]).sum(
                axis=1
            )  # of a least-squares solution, up to the targets' own square
            better = (loss < least) & (solution[:, 1:] >= 0).all(axis=1)
            best[better], least[better] = 0.0, loss[better]
            best[np.ix_(better, used)] = solution[better]
    return best


def _times(rows: Doubles, right: Any) -> Doubles:
    """``rows^T right`` for each query: [q, m, d] and [q, m] to [q, d]."""
    return np.asarray((right[:, None, :] @ rows)[:, 0, :])
