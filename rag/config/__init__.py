"""Configuration: YAML to a tree of components and back, with every mistake at its line and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from rag.component import Component, wrong_parts
from rag.config.build import build
from rag.config.node import Node, node_from_python
from rag.config.source import read_source
from rag.config.writing import dump
from rag.errors import Mistakes

__all__ = ["Node", "build", "build_component", "dump", "load_component", "read_source"]

C = TypeVar("C", bound=Component)


def load_component(path: str | Path, contract: type[C], *, overrides: Sequence[str] = ()) -> C:
    """Load a component from a file.

    Args:
        path: A YAML file.
        contract: The class it must be of, such as ``Summarizer``.
        overrides: Assignments applied before validation.

    Raises:
        ConfigError: All mistakes, each with its location.
    """
    mistakes = Mistakes()
    node = read_source(Path(path), overrides=overrides, mistakes=mistakes)
    if node is None:
        raise mistakes.error()
    return _build(node, contract, mistakes)


def build_component(config: Mapping[str, Any], contract: type[C]) -> C:
    """Build a component from a mapping, such as made by :meth:`Component.spec.to_config`.

    Args:
        config: The mapping.
        contract: The class it must be of, such as ``Pipeline``.

    Raises:
        ConfigError: All mistakes.
    """
    return _build(node_from_python(config), contract, Mistakes())


def _build(node: Node, contract: type[C], mistakes: Mistakes) -> C:
    component = build(node, contract, mistakes=mistakes)
    if component is not None and not mistakes:
        for mistake in wrong_parts(component):
            mistakes.add(mistake.message, mistake.path, node.deepest(mistake.path).location)
    mistakes.check()
    return cast("C", component)
