"""Parameters, the dimensions of a search space: a name, its values, and where it exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rag.hpo.space.distributions import Distribution
from rag.hpo.space.point import Point

__all__ = ["ABSENT", "Parameter", "Tuned", "typed"]


class _Absent(Enum):
    ABSENT = "absent"  # an enum member, so that it keeps its identity across processes


ABSENT = _Absent.ABSENT
"""Value of an item that is left out of the tree."""


@dataclass(frozen=True)
class Tuned:
    """Placeholder in the tree for a value given by the point.

    Args:
        name: The name of the parameter.
        options: Subtrees by label, for a choice; None when the point's value is inserted itself.
    """

    name: str
    options: Mapping[Any, Any] | None = None


@dataclass(frozen=True)
class Parameter:
    """One dimension of the space.

    Args:
        name: The name, unique in the space.
        path: The first path in the tree at which it occurs.
        distribution: The values it can take.
        conditions: Sets of choices by parameter name; it exists where all choices of one set are made. ``({},)`` means
            everywhere.
    """

    name: str
    path: str
    distribution: Distribution
    conditions: tuple[Mapping[str, Any], ...]

    def exists(self, point: Point) -> bool:
        """Whether the parameter exists, given the choices of a point."""
        return any(all(point.get(name) == value for name, value in choices.items()) for choices in self.conditions)


def typed(value: Any) -> Any:
    """A key that distinguishes 1, 1.0 and true."""
    return (type(value).__name__, value)
