"""Values of a file with their locations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag.errors import Location

__all__ = ["Node", "node_from_python"]


@dataclass(frozen=True)
class Node:
    """A value in a file: a scalar, a list of nodes, or a mapping of names to nodes.

    Args:
        value: ``dict[str, Node]``, ``list[Node]`` or a scalar.
        location: Location where the value begins.
        key: Location where its key begins, for a value in a mapping.
        bare: Whether it is an unquoted scalar, so that YAML decided its type.
    """

    value: Any
    location: Location
    key: Location | None = None
    bare: bool = False

    @property
    def type(self) -> str | None:
        """The ``type`` of a mapping, if it has one."""
        if isinstance(self.value, dict) and "type" in self.value and isinstance(self.value["type"].value, str):
            return self.value["type"].value
        return None

    def deepest(self, path: str) -> Node:
        """The deepest existing value on a path such as ``stages.0.budget``."""
        node = self
        for step in path.split("."):
            inside = node.value
            if isinstance(inside, dict) and step in inside:
                node = inside[step]
            elif isinstance(inside, list) and step.isdecimal() and int(step) < len(inside):
                node = inside[int(step)]
            else:
                break
        return node

    def plain(self) -> Any:
        """The value without locations."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def node_from_python(value: Any, location: Location = Location("")) -> Node:  # noqa: B008 - immutable
    """Make a tree of nodes without locations."""
    if isinstance(value, Mapping):
        return Node({str(name): node_from_python(item, location) for name, item in value.items()}, location)
    if isinstance(value, (list, tuple)):
        return Node([node_from_python(item, location) for item in value], location)
    return Node(value, location)
