"""Arguments that a component inherits from the surrounding pipeline when they are not given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from rag.component.base import Component
from rag.component.parameters import Parameter
from rag.component.values import leaves, mapped
from rag.errors import ConfigError

__all__ = ["completed", "given"]

C = TypeVar("C", bound=Component)


def given(value: C | None, owner: Component) -> C:
    """Return an inherited argument that is needed now.

    Raises:
        ConfigError: It was neither given nor taken from a pipeline.
    """
    if value is None:
        raise ConfigError(f"{owner.spec.label} needs an embedder: name one, or put it after a retriever that has one")
    return value


def completed(component: Component, find: Callable[[Parameter, str], Component], path: str) -> Component:
    """Fill in every inherited argument of a tree; returns the same object when none is missing.

    Args:
        component: Root of the tree.
        find: Function for the value of an inherited parameter, from the parameter and the path of its owner.
        path: Path of the root, for messages.
    """
    arguments = component.spec.arguments
    values: dict[str, Any] = {}
    for name, parameter in component.spec.parameters.items():
        if arguments[name] is None and parameter.inherited:
            values[name] = find(parameter, path)
        else:
            values[name] = mapped(arguments[name], partial(_completed_leaf, find, f"{path}.{name}"))
    changed = any(not _same(values[name], arguments[name]) for name in values)
    return type(component)(**values) if changed else component


def _completed_leaf(find: Callable[[Parameter, str], Component], path: str, leaf: Any) -> Any:
    return completed(leaf, find, path) if isinstance(leaf, Component) else leaf


def _same(value: Any, other: Any) -> bool:
    """Whether two values of one shape hold the same leaves."""
    return all(mine is theirs for mine, theirs in zip(leaves(value), leaves(other), strict=True))
