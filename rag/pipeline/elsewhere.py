"""What the components of a saved pipeline hold elsewhere, on servers: which of it a folder needs, and which no more.

The folder is the journal: what is to be held is in it before a server is told to keep it, and what is no longer held
leaves it after the server was told to give it up. So a process may be killed at any moment, and the next that writes
the folder gives up all that lies there and is not needed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rag.component import Component, HoldsElsewhere
from rag.store.folder import named_generations

__all__ = ["Elsewhere", "held_elsewhere", "keep_elsewhere", "settle"]

Elsewhere = dict[tuple[str, str], Mapping[str, Any]]
"""By the path of a component and the text of its ``elsewhere.json``, what it says."""


def held_elsewhere(folder: Path) -> Elsewhere:
    """What all generations in a folder hold elsewhere, those included that a killed writer left."""
    return _held(folder.glob("data-*"))


def keep_elsewhere(pipeline: Component) -> None:
    """Tell components that a folder is about to hold what they hold elsewhere."""
    for _, part in pipeline.spec.walk():
        if isinstance(part, HoldsElsewhere):
            part.keep_elsewhere()


def settle(pipeline: Component, folder: Path, held: Elsewhere) -> None:
    """Tell components what of theirs the folder does not need any more.

    Args:
        pipeline: With the components.
        folder: That was written to, or was to be.
        held: What it held elsewhere meanwhile.
    """
    if not held:
        return
    needed = [dict(about) for about in _held(folder / name for name in named_generations(folder)).values()]
    for path, part in pipeline.spec.walk():
        if isinstance(part, HoldsElsewhere):
            part.give_up_elsewhere(
                [about for (owner, _), about in held.items() if owner == path and dict(about) not in needed]
            )


def _held(generations: Iterable[Path]) -> Elsewhere:
    held: Elsewhere = {}
    for path in sorted(path for folder in generations for path in folder.glob("state/*/elsewhere.json")):
        text = path.read_text(encoding="utf-8")
        with contextlib.suppress(ValueError):  # its writer was killed before anything was kept for it
            held[path.parent.name, text] = json.loads(text)
    return held
