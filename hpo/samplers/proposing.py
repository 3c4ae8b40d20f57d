"""Base class of samplers that propose whole points from their knowledge of the tree."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.hpo.samplers.base import Sampler
from rag.hpo.samplers.history import History
from rag.hpo.space.point import Point
from rag.hpo.space.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study

__all__ = ["ProposingSampler", "unseen"]


class ProposingSampler(Sampler):
    """A sampler that proposes whole points from its knowledge of the tree."""

    @abstractmethod
    def propose(self, space: Space, history: History, *, seed: int) -> Point | None:
        """The next point; None when nothing is left to try.

        Args:
            space: The space to search.
            history: The points tried so far.
            seed: The seed of the sweep.
        """

    def optuna(self, space: Space, *, seed: int, n_begun: int) -> BaseSampler:
        from rag.hpo.samplers.point_sampler import PointSampler

        return PointSampler(partial(self.propose, space, seed=seed), space, seed)

    def exhausted(self, space: Space, study: Study, *, seed: int) -> bool:
        return self.propose(space, History.of(study, space), seed=seed) is None


def unseen(space: Space, history: History, rng: np.random.Generator, tries: int = 1_000) -> dict[str, Any] | None:
    """A random untried point; None when there seems to be none.

    Args:
        space: The space to draw from.
        history: The points tried so far.
        rng: Random generator.
        tries: Number of draws before giving up, in a space with too many points to list.
    """
    if space.points is not None:
        left = space.untried(history.scores)
        return dict(left[int(rng.integers(len(left)))]) if left else None
    for _ in range(tries):
        point = space.draw(rng)
        if point is not None and point not in history:
            return point
    return None
