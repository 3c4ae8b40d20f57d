"""A sampler with Gaussian processes over random trees of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.hpo.samplers.history import History
from rag.hpo.samplers.proposing import ProposingSampler
from rag.hpo.space.distributions import unit
from rag.hpo.space.parameter import Parameter
from rag.hpo.space.point import Point
from rag.hpo.space.space import Space

__all__ = ["RandomDecompositions", "additive_kernel", "posterior", "random_tree"]

Doubles = npt.NDArray[np.float64]


class RandomDecompositions(ProposingSampler):
    """Experimental (``additive`` is simpler and was no worse): Gaussian processes that add up over the edges of a tree
    of parameters, drawn at random for every trial, and the highest upper confidence bound (RDUCB: Ziomek and Bou Ammar,
    ICML 2023).

    Each edge sees two parameters together, so interactions of pairs can be learned from few trials, and no wrong
    decomposition stays. Departs from the paper in comparing listed or drawn points, where it passes messages along the
    tree: spaces of pipelines are small.

    Args:
        startup: Random trials before the model is used.
        lengthscale: Distance over which scores are alike; the range of a number is 1, and so is the distance of two
            unlike choices.
        noise: Standard deviation of the noise, in standard deviations of the scores so far.
        exploration: Standard deviations added to the prediction.
        candidates: Number of points compared if the space has too many to list.
    """

    type = "random_decompositions"
    objectives: ClassVar[int | None] = 1

    def __init__(
        self,
        *,
        startup: Annotated[int, Field(ge=1)] = 3,
        lengthscale: Annotated[float, Field(gt=0)] = 1.0,
        noise: Annotated[float, Field(gt=0)] = 0.3,
        exploration: Annotated[float, Field(ge=0)] = 0.5,
        candidates: Annotated[int, Field(ge=10)] = 2000,
    ) -> None:
        self.startup = startup
        self.lengthscale = lengthscale
        self.noise = noise
        self.exploration = exploration
        self.candidates = candidates

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
        scores = np.array([np.nan if entry.score is None else entry.score for entry in history.tried])
        usable = np.isfinite(scores)
        if len(history) < self.startup or not usable.any():
            return left[0]
        scores[scores == -np.inf] = scores[
            usable
        ].min()  # a failed trial counts as the worst; a running one is left out
        usable = np.isfinite(scores)
        tried = [entry.point for entry, has_score in zip(history.tried, usable, strict=True) if has_score]
        alike = [self._alike(parameter, [*tried, *left], len(tried)) for parameter in space.parameters]
        kernel = additive_kernel(alike, random_tree(len(alike), rng))
        spread = scores[usable].std() or 1.0
        mean, deviation = posterior(kernel, (scores[usable] - scores[usable].mean()) / spread, self.noise)
        bound = mean[len(tried) :] + self.exploration * deviation[len(tried) :]
        return left[int(np.argmax(np.round(bound, 12)))]

    def _alike(self, parameter: Parameter, points: Sequence[Point], n: int) -> Doubles:
        """Kernel of one parameter between all points and the first ``n``, [points, n]: 1 where it is the same."""
        missing = object()
        values = [point.get(parameter.name, missing) for point in points]
        numbers = [None if value is missing else unit(parameter.distribution, value) for value in values]
        if any(number is not None for number in numbers):
            at = np.array([np.nan if number is None else number for number in numbers])
            distance = np.abs(at[:, None] - at[:n])
            absent = np.isnan(at)
            distance = np.where(absent[:, None] & absent[:n], 0.0, np.nan_to_num(distance, nan=1.0))
        else:
            codes: dict[object, int] = {}
            kinds = [(type(value), repr(value)) if value is not missing else None for value in values]
            code = np.array([codes.setdefault(kind, len(codes)) for kind in kinds])
            distance = (code[:, None] != code[:n]).astype(np.float64)
        return np.asarray(np.exp(-0.5 * (distance / self.lengthscale) ** 2), dtype=np.float64)


def random_tree(n: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Edges of a tree over ``n`` parameters, drawn from all labeled trees with the same probability (Pruefer codes); a
    single parameter stands alone.
    """
    if n < 3:
        return [tuple(range(n))]
    code = rng.integers(n, size=n - 2).tolist()
    degree = np.bincount(code, minlength=n) + 1
    edges: list[tuple[int, ...]] = []
    for node in code:
        leaf = int(np.flatnonzero(degree == 1)[0])
        edges.append((min(leaf, node), max(leaf, node)))
        degree[leaf] -= 1
        degree[node] -= 1
    first, second = np.flatnonzero(degree == 1).tolist()
    return [*edges, (first, second)]


def additive_kernel(alike: Sequence[Doubles], parts: Sequence[tuple[int, ...]]) -> Doubles:
    """Mean over the parts of the products of their parameters' kernels, [points, n]; 1 for the same point."""
    products = [np.prod([alike[index] for index in part], axis=0) for part in parts]
    return np.asarray(np.mean(products, axis=0), dtype=np.float64)


def posterior(kernel: Doubles, scores: Doubles, noise: float) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation of a Gaussian process of unit variance at all points, [points] each.

    Args:
        kernel: Between all points and the observed ones, which come first, [points, n].
        scores: At the observed points, [n].
        noise: Standard deviation of the noise.
    """
    from scipy.linalg import cho_factor, cho_solve

    n = len(scores)
    factor = cho_factor(kernel[:n] + noise**2 * np.eye(n), lower=True)
    mean = kernel @ cho_solve(factor, scores)
    explained = np.einsum("ij,ji->i", kernel, cho_solve(factor, kernel.T))
    return mean, np.sqrt(np.maximum(1 - explained, 0))
