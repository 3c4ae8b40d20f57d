"""A sampler with an additive model of the scores: each value of each parameter adds its part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.hpo.samplers.history import History
from rag.hpo.samplers.proposing import ProposingSampler
from rag.hpo.space.distributions import FloatRange, IntRange, unit
from rag.hpo.space.parameter import Parameter
from rag.hpo.space.point import Point
from rag.hpo.space.space import Space

__all__ = ["Additive"]


class Additive(ProposingSampler):
    """Fits a ridge regression on one-hot parameters to the scores so far and tries the point with the best prediction.

    It learns which embedder is good regardless of the chunk size, so a handful of trials is enough, without hints on
    which parameters matter. It cannot see interactions. Numbers get a piecewise linear part.

    Args:
        covering: Trials before the model is used, each with as many untried values as possible. None: as many as needed
            to try each value once, since the model rates an untried value as average and would stick to better ones.
        ridge: Strength of the penalty: a value tried n times gets n / (n + ridge) of its mean deviation.
        levels: Number of knots of a number's part.
        candidates: Number of points compared if the space has too many to list.
    """

    type = "additive"
    objectives: ClassVar[int | None] = 1

    def __init__(
        self,
        *,
        covering: Annotated[int, Field(ge=1)] | None = None,
        ridge: Annotated[float, Field(gt=0)] = 1.0,
        levels: Annotated[int, Field(ge=2)] = 4,
        candidates: Annotated[int, Field(ge=10)] = 2000,
    ) -> None:
        self.covering, self.ridge, self.levels, self.candidates = covering, ridge, levels, candidates

    def propose(self, space: Space, history: History, *, seed: int) -> Point | None:
        rng = np.random.default_rng([seed, len(history)])
        if space.points is not None:
            left = space.untried(history.scores)
        else:
            drawn = (space.draw(rng) for _ in range(self.candidates))
            left = [point for point in drawn if point is not None and point not in history]
        if not left:
            return None
        rng.shuffle(left)  # ties are broken at random
        features = self._features(space, [*left, *(entry.point for entry in history.tried)])
        new, tried = features[: len(left)], features[len(left) :]
        fresh = ((new > 0.5) & ~(tried > 0.5).any(axis=0)).sum(axis=1)
        if len(history) < self.covering if self.covering is not None else fresh.any():
            return left[int(np.argmax(fresh))]
        scores = np.array([np.nan if entry.score is None else entry.score for entry in history.tried])
        usable = np.isfinite(scores)
        if not usable.any():
            return left[0]
        # A failed trial counts as the worst score; a running one has no score yet.
        scores[scores == -np.inf] = scores[usable].min()
        usable = np.isfinite(scores)
        part, mean = tried[usable], scores[usable].mean()
        gram = part.T @ part + self.ridge * np.eye(part.shape[1])
        weights = np.linalg.solve(gram, part.T @ (scores[usable] - mean))
        predicted = np.round(new @ weights, 12)
        return left[int(np.argmax(predicted))]

    def _features(self, space: Space, points: Sequence[Point]) -> npt.NDArray[np.float64]:
        """Features [n_points, n_features]: one-hot, or hat functions over the knots; 0 where a parameter does not
        exist.
        """
        return np.concatenate([self.part(parameter, points) for parameter in space.parameters], axis=1)

    def part(self, parameter: Parameter, points: Sequence[Point]) -> npt.NDArray[np.float64]:
        """The features of one parameter [n_points, n]."""
        distribution, name = parameter.distribution, parameter.name
        values = distribution.values()
        numeric = isinstance(distribution, (IntRange, FloatRange)) and (values is None or len(values) > self.levels)
        if numeric:
            at = np.array([unit(distribution, point[name]) if name in point else np.nan for point in points])
            knots = np.linspace(0, 1, self.levels)
            hats = np.clip(1 - np.abs(at[:, None] - knots) * (self.levels - 1), 0, 1)
            return np.asarray(np.nan_to_num(hats), dtype=np.float64)
        places = {(type(value), value): index for index, value in enumerate(values or [])}
        onehot = np.zeros((len(points), len(places)))
        for row, point in enumerate(points):
            if name in point and (type(point[name]), point[name]) in places:
                onehot[row, places[type(point[name]), point[name]]] = 1
        return onehot
