"""Tune one parameter at a time: try all its values, keep the best (Orbach et al. 2025, arXiv 2505.03452)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from rag.errors import ConfigError, did_you_mean
from rag.hpo.samplers.history import History
from rag.hpo.samplers.proposing import ProposingSampler, unseen
from rag.hpo.space.parameter import Parameter
from rag.hpo.space.point import Point, point_key
from rag.hpo.space.space import Space

__all__ = ["Greedy"]

_MODELS = ("model", "embedder", "scorer", "summarizer", "encoder", "generator")
"""Last path steps at which models are chosen."""

_STEPS = ("chunker", "retriever", "stages")
"""The order of data flow."""


class Greedy(ProposingSampler):
    """Coordinate ascent: in the given order, try all values of a parameter with the others fixed, and keep the best
    one. Parameters whose turn has not come have random values. After the last parameter it starts again from the best
    point with the first, until no neighbor is untried; then it draws random points.

    The paper's published code minimizes although its scores are higher-is-better; here the best is the highest.

    Args:
        order: Order of the parameters. ``models_first``: models from the last to the first in the pipeline, then the
            rest in pipeline order, which the paper found best. ``pipeline_order``: chunker, retriever, stages. Or a
            list of names; the others follow in pipeline order.
        levels: Number of values tried of a longer range.
        redraw: Redraw the values of parameters whose turn has not come in each step, as in the paper. By default they
            are kept: then a step includes the best configuration of the previous step, which is not tried again.
    """

    type = "greedy"
    objectives: ClassVar[int | None] = 1

    def __init__(
        self,
        *,
        order: Literal["models_first", "pipeline_order"] | list[str] = "models_first",
        levels: Annotated[int, Field(ge=2)] = 5,
        redraw: bool = False,
    ) -> None:
        self.order = order
        self.redraw = redraw
        self.levels = levels

    def check(self, space: Space, n_objectives: int) -> None:
        super().check(space, n_objectives)
        self.ordered(space)

    def ordered(self, space: Space) -> list[Parameter]:
        """The parameters in the order in which they are decided.

        Raises:
            ConfigError: A name in ``order`` is not a parameter.
        """
        pipeline = sorted(space.parameters, key=_place)
        if self.order == "pipeline_order":
            return pipeline
        if self.order == "models_first":
            models = [parameter for parameter in pipeline if _is_model(parameter)]
            return models[::-1] + [parameter for parameter in pipeline if parameter not in models]
        first = []
        for name in self.order:
            meant = [
                parameter for parameter in pipeline if parameter.name == name or parameter.name.endswith(f".{name}")
            ]
            if not meant:
                names = [parameter.name for parameter in pipeline]
                raise ConfigError(f"unknown parameter '{name}'{did_you_mean(name, names)}", parameter="order")
            first += [parameter for parameter in meant if parameter not in first]
        return first + [parameter for parameter in pipeline if parameter not in first]

    def propose(self, space: Space, history: History, *, seed: int) -> Point | None:
        order = self.ordered(space)
        point = space.draw(np.random.default_rng(seed))
        if point is None:
            return None
        for turn in itertools.count():
            start = point
            for index, parameter in enumerate(order):
                if not parameter.exists(point):
                    continue
                if self.redraw and turn == 0:
                    decided = {other.name for other in order[:index]}
                    decided_values = {name: value for name, value in point.items() if name in decided}
                    point = space.draw(np.random.default_rng([seed, index]), decided_values) or point
                step = self._step(space, point, parameter, seed)
                following = next((point for point in step if point not in history), None)
                if following is not None:
                    return following
                point = _best(step, history, point)
            if point_key(point) == point_key(start):
                break
        return unseen(space, history, np.random.default_rng([seed, len(history)]))

    def _step(self, space: Space, point: Point, parameter: Parameter, seed: int) -> list[dict[str, Any]]:
        """The point with every value of a parameter; parameters that only exist with that value are drawn."""
        values = parameter.distribution.values(self.levels) or []
        if not any(value == point[parameter.name] for value in values):
            values = [point[parameter.name], *values]
        neighbors = []
        for index, value in enumerate(values):
            rng = np.random.default_rng([seed, space.parameters.index(parameter), index])
            neighbor = space.complete({**point, parameter.name: value}, rng)
            if space.allows(neighbor):
                neighbors.append(neighbor)
        return sorted(
            neighbors, key=lambda neighbor: point_key(neighbor) != point_key(point)
        )  # the current point first


def _best(points: Sequence[dict[str, Any]], history: History, current: dict[str, Any]) -> dict[str, Any]:
    """The best of the points; the current one unless another has a higher score."""
    scores = history.scores
    best, highest = current, scores.get(point_key(current))
    for point in points:
        score = scores.get(point_key(point))
        if score is not None and (highest is None or score > highest):
            best, highest = point, score
    return best


def _place(parameter: Parameter) -> int:
    first = parameter.path.partition(".")[0].partition("[")[0]
    return _STEPS.index(first) if first in _STEPS else len(_STEPS)


def _is_model(parameter: Parameter) -> bool:
    return parameter.path.rpartition(".")[2].partition("[")[0] in _MODELS
