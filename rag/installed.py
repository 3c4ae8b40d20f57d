"""Entry points of installed packages, whose files are read once."""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from importlib.metadata import EntryPoints
from typing import Any

__all__ = ["entry_points"]


def entry_points(group: str) -> EntryPoints:
    """The entry points of a group, of whatever can be imported now."""
    return EntryPoints(_all(tuple(sys.path)).select(group=group))


@functools.lru_cache(maxsize=4)
def _all(path: tuple[str, ...]) -> Any:
    """Those of all groups. Reading takes 20 ms for 200 packages, as long for one group as for all."""
    return importlib.metadata.entry_points()
