"""Open the arguments of a pipeline's tree that its signatures mark as tunable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rag.component import Component, Tunable

__all__ = ["Cost", "Opened", "choice", "opened"]

Cost = Literal["search", "learn", "encode", "score"]
"""What a trial has to do anew after a parameter changed: search; also learn a ranking; also encode all passages; also
have pairs scored by a model.
"""

_RATIOS = (0.25, 0.5, 0.75, 1.5, 2.0, 3.0, 5.0)
"""Weights worth trying, of a later list of a ``hybrid`` against its first."""


@dataclass
class Opened:
    """Parameters found while a tree is opened.

    Args:
        gains: Expected gain by name.
        costs: Cost class of each parameter, by name; ``search`` is left out.
    """

    gains: dict[str, float] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)

    def add(self, name: str, gain: float, cost: Cost) -> None:
        self.gains[name] = gain
        if cost != "search":
            self.costs[name] = cost


def opened(component: Component, path: str, into: Opened, cost: Cost = "search") -> dict[str, Any]:
    """The configuration of a component with distributions for the tunable arguments, named by their paths.

    Args:
        component: The component.
        path: Path of the component in the pipeline.
        into: Record that the parameters are added to.
        cost: Cost class of a change in it.
    """
    config = component.spec.to_config()
    for name, value in component.spec.arguments.items():
        inner = f"{path}.{name}" if path else name
        below = _cost(name, cost)
        if isinstance(value, Component):
            config[name] = opened(value, inner, into, below)
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Component) for item in value):
            config[name] = [opened(item, f"{inner}.{n}", into, _cost_of(item, below)) for n, item in enumerate(value)]
        mark = component.spec.parameters[name].tunable
        if mark is not None and value is not None:
            config[name] = _distribution(mark, value, config[name], inner)
            into.add(inner, mark.gain, below)
    if config.get("preset") is not None and any(
        isinstance(value, dict) and "tune" in value for value in config.values()
    ):
        config["preset"] = None  # it names values that are open now
    if component.type == "hybrid" and not component.fusion.weighs:  # type: ignore[attr-defined]
        config["weights"] = _weights(component, path, into)
    return config


def choice(name: str, options: list[Any], labels: list[str] | None = None) -> dict[str, Any]:
    """A choice of several subtrees; the first is that of the baseline."""
    named = {} if labels is None else {"labels": labels}
    return {"tune": "choice", "name": name, **named, "options": options}


def _cost(name: str, cost: Cost) -> Cost:
    if name in ("embedder", "chunker"):
        return "encode"
    return "score" if name == "scorer" else cost


def _cost_of(component: Component, cost: Cost) -> Cost:
    """Cost class of an item of a list: stages cost more than searching."""
    if component.kind != "stage":
        return cost
    if any(part.kind == "scorer" for _, part in component.spec.walk()):
        return "score"
    return "learn" if any("training" in part.needs for _, part in component.spec.walk()) else cost


def _distribution(mark: Tunable, value: Any, config: Any, path: str) -> Mapping[str, Any]:
    if isinstance(value, Component):
        others = [{"type": name} for name in mark.choices if name != value.type]
        return choice(path, [config, *others])
    values = list(mark.values(value))
    if isinstance(value, float) or any(isinstance(name, float) for name in values):
        values, value = [float(name) for name in values], float(value)
    if value not in values:
        values.append(value)
    if all(isinstance(name, (int, float)) for name in values):
        values.sort()
    return {"tune": "categorical", "name": path, "choices": values, "default": value}


def _weights(hybrid: Any, path: str, into: Opened) -> list[Any]:
    """The first stays, and the others are tuned: only ratios count."""
    weights = [float(share) for share in hybrid.weights or [1.0] * len(hybrid.retrievers)]
    first = weights[0] or 1.0
    opened_weights: list[Any] = [weights[0]]
    for n, weight in enumerate(weights[1:], 1):
        name = f"{path}.weights.{n}"
        values = sorted({weight, first, *(round(first * ratio, 6) for ratio in _RATIOS)})
        opened_weights.append({"tune": "categorical", "name": name, "choices": values, "default": weight})
        into.add(name, 0.025, "search")
    return opened_weights
