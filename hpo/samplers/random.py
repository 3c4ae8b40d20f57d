"""A sampler that draws random points without repetition."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from rag.hpo.samplers.history import History
from rag.hpo.samplers.proposing import ProposingSampler, unseen
from rag.hpo.space.point import Point
from rag.hpo.space.space import Space

__all__ = ["Random"]


class Random(ProposingSampler):
    """Draws random points without repetition: hard to beat with many workers, and the baseline for other samplers.

    Args:
        group: Number of points to draw at a time and try in the order of the tree, so that neighbors, which share their
            first steps, follow each other.
    """

    type = "random"

    def __init__(self, *, group: Annotated[int, Field(ge=1)] = 1) -> None:
        self.group = group

    def propose(self, space: Space, history: History, *, seed: int) -> Point | None:
        if space.points is None:
            return unseen(space, history, np.random.default_rng([seed, len(history)]))
        order = np.random.default_rng(seed).permutation(len(space.points))
        for first in range(0, len(order), self.group):
            for index in sorted(order[first : first + self.group].tolist()):
                if space.keys[index] not in history.scores:
                    return dict(space.points[index])
        return None
