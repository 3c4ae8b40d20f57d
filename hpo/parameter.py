"""Dimensions of a search space: a name, its values, and where it exists; and points, which have values of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rag.hpo.distributions import Distribution

__all__ = ["ABSENT", "Parameter", "Point", "PointKey", "Tuned", "point_key", "typed"]

Point = Mapping[str, Any]
"""Value by name, of the parameters that exist where it lies."""

PointKey = frozenset[tuple[str, type, Any]]


class _Absent(Enum):
    ABSENT = "absent"  # a member, so that it is itself in another process too


ABSENT = _Absent.ABSENT
"""The value of something that is left out of the tree."""


@dataclass(frozen=True)
class Tuned:
    """Stands in the tree for a value that the point gives.

    Args:
        name: The parameter.
        options: Subtree by label, for a choice; None when the point's value is the value.
    """

    name: str
    options: Mapping[Any, Any] | None = None


@dataclass(frozen=True)
class Parameter:
    """One dimension of the space.

    Args:
        name: What it is called.
        path: Its (first) place in the tree.
        distribution: Its values.
        conditions: Where it exists: one of these sets of choices must have been made. ``({},)`` is everywhere.
    """

    name: str
    path: str
    distribution: Distribution
    conditions: tuple[Mapping[str, Any], ...]

    def exists(self, point: Point) -> bool:
        return any(all(point.get(name) == value for name, value in one.items()) for one in self.conditions)


def point_key(point: Point) -> PointKey:
    """Identity of a point: what it holds, whatever the order."""
    return frozenset((name, type(value), value) for name, value in point.items())


def typed(value: Any) -> Any:
    """A key under which 1, 1.0 and true are three values."""
    return (type(value).__name__, value)
