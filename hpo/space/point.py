"""Points of a search space: a value for each parameter that exists there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Point", "PointKey", "point_key"]

Point = Mapping[str, Any]
"""Value by parameter name, for the parameters that exist at the point."""

PointKey = frozenset[tuple[str, type, Any]]
"""Identity of a point as a set or dictionary key."""


def point_key(point: Point) -> PointKey:
    """Identity of a point: its names, values and their types, in any order."""
    return frozenset((name, type(value), value) for name, value in point.items())
