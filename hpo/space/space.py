"""The search space: a pipeline's tree with distributions in place of some values.

Parameters are named by their path (``retriever.index[hnsw].m``) or by their ``name``. Parameters inside an option of a
choice exist only in trials with that option, so a point of the space holds no value without effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.component import Component
from rag.config import build
from rag.config.source import Node
from rag.errors import Mistakes
from rag.hpo.space.constraints import Rule
from rag.hpo.space.distributions import FloatRange, IntRange, MaybePresent
from rag.hpo.space.parameter import ABSENT, Parameter, Tuned, typed
from rag.hpo.space.parse import Parser
from rag.hpo.space.point import Point, PointKey, point_key
from rag.pipeline import Pipeline
from rag.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["MOST_POINTS", "Space"]

MOST_POINTS = 100_000
"""Maximum number of points to list; a larger space counts as infinite."""

_TRIES = 1_000
"""Number of draws after which the constraints are assumed to allow no point."""


@dataclass(frozen=True, eq=False)
class Space:
    """A search space, made by :meth:`parse`.

    Args:
        template: The tree, with :class:`Tuned` in place of distributions.
        parameters: Parameters in the order of the tree, each after those on which its existence depends.
        rules: Constraints between parameters.
    """

    template: Node
    parameters: tuple[Parameter, ...]
    rules: tuple[Rule, ...] = field(default=())

    @classmethod
    def parse(
        cls, node: Node, *, constraints: Sequence[Node] = (), mistakes: Mistakes, path: str = "pipeline"
    ) -> Space | None:
        """Parse a tree, and check every possible value by building pipelines.

        Args:
            node: The pipeline.
            constraints: Texts such as ``overlap < size``.
            mistakes: Receives all mistakes.
            path: Path of the pipeline, for messages.
        """
        before = len(mistakes)
        parser = Parser(mistakes, path)
        template = parser.parse(node, "", {})
        if not parser.parameters and len(mistakes) == before:
            message = (
                "the space is empty: put a distribution in place of at least one value, such as "
                "{tune: int, low: 10, high: 100}"
            )
            mistakes.add(message, path, node.location)
        parameters = parser.ordered()
        if len(mistakes) > before:
            return None  # constraints may name parameters that could not be parsed
        rules = [rule for text in constraints if (rule := Rule.parse(text, parameters, mistakes)) is not None]
        if len(mistakes) > before:
            return None
        space = cls(template, parameters, tuple(rules))
        space._check(mistakes, path)
        return space if len(mistakes) == before else None

    # -- points -----------------------------------------------------------------------------------------------------

    def existing(self, point: Point) -> list[Parameter]:
        """The parameters that exist at a point."""
        return [parameter for parameter in self.parameters if parameter.exists(point)]

    def allows(self, point: Point) -> bool:
        """Whether a point meets the constraints between parameters."""
        return all(rule.holds(point) for rule in self.rules)

    def broken(self, point: Point) -> list[str]:
        """The constraints that a point breaks."""
        return [rule.text for rule in self.rules if not rule.holds(point)]

    def contains(self, point: Point) -> bool:
        """Whether a point is in this space: the right parameters with possible values."""
        names = [parameter.name for parameter in self.existing(point)]
        by_name = {parameter.name: parameter for parameter in self.parameters}
        return set(names) == set(point) and all(by_name[n].distribution.contains(point[n]) for n in names)

    def complete(self, values: Point, rng: np.random.Generator | None = None) -> dict[str, Any]:
        """A point with the given values where they exist; others are defaults, or random with ``rng``."""
        point: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.exists(point):
                if parameter.name in values:
                    point[parameter.name] = values[parameter.name]
                elif rng is None:
                    point[parameter.name] = self.defaults[parameter.name]
                else:
                    point[parameter.name] = parameter.distribution.draw(rng)
        return point

    def draw(self, rng: np.random.Generator, values: Point | None = None) -> dict[str, Any] | None:
        """A random point that meets the constraints and has the given values; None when there seems to be none."""
        for _ in range(_TRIES):
            point = self.complete(values or {}, rng)
            if self.allows(point):
                return point
        return None

    @cached_property
    def points(self) -> tuple[dict[str, Any], ...] | None:
        """All points that meet the constraints, neighbors in the tree together; None when there are too many."""
        partial: list[dict[str, Any]] = [{}]
        for parameter in self.parameters:
            values = parameter.distribution.values()
            if values is None:
                return None
            partial = [
                wider
                for point in partial
                for wider in ([{**point, parameter.name: v} for v in values] if parameter.exists(point) else [point])
            ]
            if len(partial) > MOST_POINTS:
                return None
        return tuple(point for point in partial if self.allows(point))

    @cached_property
    def keys(self) -> tuple[PointKey, ...]:
        """:func:`point_key` of each of :attr:`points`."""
        return tuple(point_key(point) for point in self.points or ())

    def untried(self, tried: Container[PointKey]) -> list[dict[str, Any]]:
        """The :attr:`points` that are not in ``tried``."""
        return [point for point, key in zip(self.points or (), self.keys, strict=True) if key not in tried]

    @cached_property
    def start(self) -> dict[str, Any] | None:
        """The point of the defaults; None when the constraints exclude it."""
        point = self.complete({})
        return point if self.allows(point) else None

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The baseline value of each parameter: the default given, else the component's own if it is a possible value,
        else the first choice, no stage, or the middle of a range.
        """
        defaults: dict[str, Any] = {}
        for parameter in self.parameters:
            distribution = parameter.distribution
            if distribution.default is not None or isinstance(distribution, MaybePresent):
                defaults[parameter.name] = distribution.default
            elif isinstance(distribution, (IntRange, FloatRange)):
                own = self._own_default(parameter, defaults)
                middle = (distribution.values(3) or [distribution.low])[:2][-1]
                defaults[parameter.name] = own if distribution.contains(own) else middle
            else:
                defaults[parameter.name] = (distribution.values() or [None])[0]
        return defaults

    def _own_default(self, parameter: Parameter, defaults: Mapping[str, Any]) -> Any:
        """The component's own default of an argument, given the defaults of other parameters."""
        point: dict[str, Any] = {}
        values = {**defaults, **parameter.conditions[0]}
        for other in self.parameters:
            if other.exists(point):
                first = (other.distribution.values(2) or [ABSENT])[0]
                point[other.name] = ABSENT if other is parameter else values.get(other.name, first)
        node, mistakes = self.resolve(point), Mistakes()
        built = build(node, Pipeline, mistakes=mistakes)
        if built is None:
            return None
        value: Any = built
        for step in _steps(parameter.path, point):
            inside = value.spec.arguments if isinstance(value, Component) else value
            try:
                value = inside[int(step)] if isinstance(inside, list) else inside[step]
            except (KeyError, IndexError, ValueError, TypeError):
                return None
        return value

    # -- from points to pipelines -------------------------------------------------------------------------------------

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """A point suggested by Optuna, which is asked only for the parameters that exist."""
        point: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.exists(point):
                point[parameter.name] = parameter.distribution.suggest(trial, parameter.name)
        return point

    def written(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A trial's parameters as a point, with each value in normal form."""
        distributions = {parameter.name: parameter.distribution for parameter in self.parameters}
        return {
            name: distributions[name].written(value) if name in distributions else value
            for name, value in params.items()
        }

    def resolve(self, point: Point) -> Node:
        """The pipeline's tree at a point, with the location of each value."""
        node = _resolved(self.template, point)
        assert isinstance(node, Node)
        return node

    def pipeline(self, point: Point) -> Pipeline:
        """The pipeline at a point.

        Raises:
            ConfigError: A component refuses the combination of arguments.
        """
        mistakes = Mistakes()
        built = build(self.resolve(point), Pipeline, mistakes=mistakes)
        mistakes.check()
        assert isinstance(built, Pipeline)
        return built

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the space: parameters with their values, the surrounding tree, and the constraints."""
        parameters = [[p.name, p.distribution.fingerprint, list(p.conditions)] for p in self.parameters]
        return fingerprint([_marked(self.template), parameters, [rule.text for rule in self.rules]])

    # -- checking -----------------------------------------------------------------------------------------------------

    def _check(self, mistakes: Mistakes, path: str) -> None:
        rng = np.random.default_rng(0)
        if self.rules and self.draw(rng) is None:
            texts = "; ".join(rule.text for rule in self.rules)
            mistakes.add(f"the space is empty: no point meets the constraints ({texts})", "constraints")
            return
        seen: set[tuple[str, Any]] = set()
        for point in self._covering(rng):
            problems = Mistakes()
            build(self.resolve(point), Pipeline, mistakes=problems, path=path)
            for mistake in problems:
                if (mistake.message, mistake.location) not in seen:
                    seen.add((mistake.message, mistake.location))
                    mistakes.append(mistake)

    def _covering(self, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
        """Points that together cover every choice and both ends of every range, under each of the parameter's
        conditions.
        """
        start = self.start or self.draw(rng)
        if start is not None:
            yield start
        for parameter in self.parameters:
            for condition, value in itertools.product(parameter.conditions, parameter.distribution.edges()):
                values = {**condition, parameter.name: value}
                point: dict[str, Any] | None = self.complete(values)
                assert point is not None
                if not self.allows(point):
                    point = self.draw(rng, values)
                if point is not None:
                    yield point


def _resolved(node: Any, point: Point) -> Any:
    value = node.value
    if isinstance(value, Tuned):
        chosen = point[value.name]
        if chosen is ABSENT:
            return ABSENT
        if value.options is None:
            return replace(node, value=chosen)
        label = chosen if chosen in value.options else typed(chosen)
        option = value.options[label]
        if option is ABSENT:
            return ABSENT
        resolved = _resolved(option, point)
        return resolved if resolved is ABSENT else replace(resolved, key=node.key)
    if isinstance(value, dict):
        items = {name: _resolved(item, point) for name, item in value.items()}
        return replace(node, value={name: item for name, item in items.items() if item is not ABSENT})
    if isinstance(value, list):
        return replace(node, value=[item for entry in value if (item := _resolved(entry, point)) is not ABSENT])
    return node


def _marked(node: Node) -> Any:
    value = node.value
    if isinstance(value, Tuned):
        options = value.options or {}
        return {"tuned": value.name} | {
            str(label): None if option is ABSENT else _marked(option) for label, option in options.items()
        }
    if isinstance(value, dict):
        return {name: _marked(item) for name, item in value.items()}
    return [_marked(item) for item in value] if isinstance(value, list) else value


def _steps(path: str, point: Point) -> list[str]:
    """A path as steps through the built tree, where absent neighbors have shifted list items."""
    return [step.partition("[")[0] for step in path.split(".")]
