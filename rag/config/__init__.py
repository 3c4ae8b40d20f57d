"""Configuration: YAML to a tree of components and back, with every mistake at its line and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from rag.component import Component, wrong_parts
from rag.config.build import build
from rag.config.environment import revealed
from rag.config.node import Node, node_from_python
from rag.config.source import read_source
from rag.config.writing import dump
from rag.errors import ConfigError, Location, Mistake

__all__ = ["Node", "build", "build_component", "dump", "load_component", "read_source", "revealed"]

C = TypeVar("C", bound=Component)

_NOWHERE = Location("")


def load_component(path: str | Path, contract: type[C], *, overrides: Sequence[str] = ()) -> C:
    """The component that a file describes.

    Args:
        path: A YAML file.
        contract: What it must be, such as ``Summarizer``.
        overrides: Assignments, made before anything is checked.

    Raises:
        ConfigError: Every mistake found, each with its place.
    """
    mistakes: list[Mistake] = []
    node = read_source(Path(path), overrides=overrides, mistakes=mistakes)
    if node is None:
        raise ConfigError(mistakes)
    return _build(node, contract, mistakes)


def build_component(config: Mapping[str, Any], contract: type[C]) -> C:
    """The component that a mapping describes, as :meth:`Component.spec.to_config` gives it.

    Args:
        config: The mapping.
        contract: What it must be, such as ``Pipeline``.

    Raises:
        ConfigError: Every mistake found.
    """
    return _build(node_from_python(config), contract, [])


def _placed(mistake: Mistake, node: Node) -> Mistake:
    """A mistake with the place of the deepest value on its path that the file has."""
    for step in mistake.path.split("."):
        inside = node.value
        if isinstance(inside, dict) and step in inside:
            node = inside[step]
        elif isinstance(inside, list) and step.isdecimal() and int(step) < len(inside):
            node = inside[int(step)]
        else:
            break
    return replace(mistake, location=node.location if node.location != _NOWHERE else None)


def _build(node: Node, contract: type[C], mistakes: list[Mistake]) -> C:
    component = build(node, contract, mistakes=mistakes)
    if component is not None and not mistakes:
        mistakes += [_placed(mistake, node) for mistake in wrong_parts(component)]
    if mistakes:
        raise ConfigError(sorted(mistakes, key=lambda mistake: mistake.location or _NOWHERE))
    return cast("C", component)
