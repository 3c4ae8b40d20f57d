"""A sampler that tries every point, in the order of the tree."""

from __future__ import annotations

from rag.errors import ConfigError
from rag.hpo.samplers.history import History
from rag.hpo.samplers.proposing import ProposingSampler
from rag.hpo.space.point import Point
from rag.hpo.space.space import MOST_POINTS, Space

__all__ = ["Grid"]


class Grid(ProposingSampler):
    """Tries every point of the space, in the order of the tree, so that neighbors follow each other."""

    type = "grid"

    def check(self, space: Space, n_objectives: int) -> None:
        super().check(space, n_objectives)
        if space.points is None:
            endless = [parameter.name for parameter in space.parameters if parameter.distribution.values() is None]
            if endless:
                raise ConfigError(f"a grid needs values that can be listed: give a step to {', '.join(endless)}")
            raise ConfigError(f"a grid of more than {MOST_POINTS:,} points: use another sampler, or fewer values")

    def propose(self, space: Space, history: History, *, seed: int) -> Point | None:
        return next(iter(space.untried(history.scores)), None)
