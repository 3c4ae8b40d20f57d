"""What the components of a saved pipeline hold elsewhere, on servers: which of it a folder needs, and which no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag.component import Component, HoldsElsewhere

__all__ = ["Elsewhere", "announce", "held_elsewhere", "settle"]

Elsewhere = dict[tuple[str, str], Mapping[str, Any]]
"""By the path of a component and the text of its ``elsewhere.json``, what it says."""


def held_elsewhere(folder: Path) -> Elsewhere:
    """What all generations in a folder hold elsewhere."""
    held: Elsewhere = {}
    for path in sorted(folder.glob("data-*/state/*/elsewhere.json")):
        text = path.read_text(encoding="utf-8")
        held[path.parent.name, text] = json.loads(text)
    return held


def announce(pipeline: Component) -> None:
    """Tell components that a folder is about to hold what they hold elsewhere: who is killed before :func:`settle` may
    leave that folder.
    """
    for _, part in pipeline.spec.walk():
        if isinstance(part, HoldsElsewhere):
            part.will_be_saved()


def settle(pipeline: Component, folder: Path, before: Elsewhere) -> None:
    """Tell components what the folder holds of theirs now, and what no more.

    Args:
        pipeline: As the folder has it.
        folder: That was written to.
        before: What it held elsewhere until then.
    """
    after = held_elsewhere(folder)
    kept = [dict(about) for about in after.values()]
    for path, part in pipeline.spec.walk():
        if isinstance(part, HoldsElsewhere):
            gone = [about for (owner, _), about in before.items() if owner == path and dict(about) not in kept]
            part.was_saved(gone)
