"""Components as they are shown: their arguments that differ from the defaults, as text or as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.component.values import leaves
from rag.display import Tree, clipped

__all__ = ["arguments_shown", "tree_of"]

_LENGTH = 200
"""Characters shown of an argument that holds no component."""


def arguments_shown(component: Any) -> str:
    """The arguments of a component that were set, as in its constructor; long values are cut."""
    return ", ".join(f"{name}={_text(value)}" for name, value in _set(component))


def tree_of(component: Any, name: str = "") -> Tree:
    """A component as a tree; the name of each node is its argument and class."""
    plain, children = [], []
    for argument, value in _set(component):
        parts = list(leaves(value))
        if not any(_is_component(part) for part in parts):
            plain.append(f"{argument}={_text(value)}")
            continue
        numbered = f"{argument}." if isinstance(value, (list, tuple)) else ""
        children += [
            tree_of(part, f"{numbered}{number}" if numbered else argument)
            for number, part in enumerate(parts)
            if _is_component(part)
        ]
    label = type(component).__name__
    return Tree(f"{name}: {label}" if name else label, ", ".join(plain), tuple(children))


def _set(component: Any) -> Iterator[tuple[str, Any]]:
    """The arguments that differ from their defaults, by name."""
    arguments = component.spec.arguments
    for name, parameter in component.spec.parameters.items():
        if parameter.required or repr(_as_list(arguments[name])) != repr(_as_list(parameter.default)):
            yield name, arguments[name]


def _text(value: Any) -> str:
    return repr(value) if any(map(_is_component, leaves(value))) else clipped(repr(value), _LENGTH)


def _is_component(value: Any) -> bool:
    return hasattr(type(value), "spec")


def _as_list(value: Any) -> Any:
    """A tuple as the list in a file."""
    return list(value) if isinstance(value, tuple) else value
