"""A sampler that keeps the best point of every cell of an archive."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rag.errors import ConfigError
from rag.hpo.samplers.history import History, Tried
from rag.hpo.samplers.proposing import ProposingSampler, unseen
from rag.hpo.space.point import Point
from rag.hpo.space.space import Space

__all__ = ["MapElites", "elites"]

_TRIES = 100


class MapElites(ProposingSampler):
    """Experimental (``tpe`` filled the cells better): illuminates the space. The first objective is the quality, the
    others, such as latency or index bytes, are dimensions of an archive, cut into cells of as many trials each; a new
    point is a mutation of the best point of a random cell (MAP-Elites: Mouret and Clune 2015). So there is a good
    pipeline for every latency, not only on the front.

    Args:
        cells: Cells per dimension. Their bounds are quantiles of the trials so far, so no range has to be known.
        startup: Random trials before the archive is used.
        changes: Expected number of parameters that a mutation draws anew; at least one.
    """

    type = "map_elites"

    def __init__(
        self,
        *,
        cells: Annotated[int, Field(ge=2)] = 5,
        startup: Annotated[int, Field(ge=1)] = 8,
        changes: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        self.cells = cells
        self.startup = startup
        self.changes = changes

    def check(self, space: Space, n_objectives: int) -> None:
        super().check(space, n_objectives)
        if n_objectives < 2:
            raise ConfigError(
                f"the sampler {self.spec.label} needs a second objective to cut its cells by, such as latency"
            )

    def propose(self, space: Space, history: History, *, seed: int) -> Point | None:
        rng = np.random.default_rng([seed, len(history)])
        complete = [entry for entry in history.tried if len(entry.values) > 1]
        if len(history) < self.startup or not complete:
            return unseen(space, history, rng)
        best = elites(complete, self.cells)
        cells = sorted(best)
        for _ in range(_TRIES):
            parent = best[cells[int(rng.integers(len(cells)))]].point
            child = self._mutated(space, parent, rng)
            if space.allows(child) and child not in history:
                return child
        return unseen(space, history, rng)

    def _mutated(self, space: Space, parent: Point, rng: np.random.Generator) -> dict[str, object]:
        names = [parameter.name for parameter in space.existing(parent)]
        drawn = rng.random(len(names)) < self.changes / len(names)
        drawn[rng.integers(len(names))] = True
        return space.complete({n: parent[n] for n, is_drawn in zip(names, drawn, strict=True) if not is_drawn}, rng)


def elites(tried: list[Tried], cells: int) -> dict[tuple[int, ...], Tried]:
    """The best trial of every cell that has any, by the cell's place in each dimension.

    Args:
        tried: Trials with at least two values each.
        cells: Cells per dimension, cut at quantiles.
    """
    behavior: npt.NDArray[np.float64] = np.array([entry.values[1:] for entry in tried])
    bounds = np.quantile(behavior, np.linspace(0, 1, cells + 1)[1:-1], axis=0)
    places = (behavior[:, None, :] > bounds).sum(axis=1)
    best: dict[tuple[int, ...], Tried] = {}
    for entry, cell in zip(tried, map(tuple, places.tolist()), strict=True):
        if cell not in best or entry.values[0] > best[cell].values[0]:
            best[cell] = entry
    return best
