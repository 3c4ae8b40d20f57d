"""Earlier generations of a saved artifact, and rolling back to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import ArtifactError, ConfigError
from rag.store.folder import check_files, checked_manifest, locked, remove_leftovers, replace_manifest

__all__ = ["Generation", "generations", "roll_back"]


@dataclass(frozen=True)
class Generation:
    """A current or earlier version of a folder's content.

    Args:
        name: Name of its subfolder.
        written: Time of writing, as ISO 8601 in UTC; empty if written by an older version.
        documents: Number of documents; None if not counted.
        bytes: Size of its files; unchanged ones are shared with neighboring generations.
    """

    name: str
    written: str
    documents: int | None
    bytes: int


def generations(folder: Path, kind: str) -> list[Generation]:
    """All available generations, newest first; the first one is the current one.

    Raises:
        ArtifactError: There is no saved ``kind``.
    """
    manifest = checked_manifest(folder, kind)
    return [_generation(generation) for generation in [manifest, *manifest.get("earlier", [])]]


def roll_back(folder: Path, kind: str, steps: int = 1, *, written: Callable[[], None] = lambda: None) -> Generation:
    """Roll back the last writes: an earlier generation becomes current, those after it are removed. Readers keep the
    files they have opened. A process killed meanwhile leaves one or the other.

    Args:
        folder: The saved artifact.
        kind: The expected kind.
        steps: Number of generations to go back.
        written: Called when it is the current one, before later ones are removed.

    Returns:
        The generation that is now current.

    Raises:
        ArtifactError: No such early generation was kept, or it is damaged: then nothing is changed.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ConfigError(f"must be a whole number of at least 1, got {steps!r}", parameter="steps")
    checked_manifest(folder, kind)  # leave no lock in a folder without an artifact
    with locked(folder):
        manifest = checked_manifest(folder, kind)
        earlier = [dict(generation) for generation in manifest.get("earlier", [])]
        if steps > len(earlier):
            available = len(earlier) or "none (--keep N at an update keeps the N before it)"
            raise ArtifactError(f"{folder}: cannot go back {steps}: earlier generations kept: {available}")
        target, rest = earlier[steps - 1], earlier[steps:]
        check_files(folder, folder / str(target["data"]), target["files"], verify=True)
        replace_manifest(folder, {**target, "keep": manifest.get("keep", 0), "earlier": rest})
        written()
        remove_leftovers(folder)
    return _generation(target)


def _generation(manifest: dict[str, Any]) -> Generation:
    size = sum(int(file["bytes"]) for file in manifest["files"].values())
    return Generation(str(manifest["data"]), str(manifest.get("written", "")), manifest.get("documents"), size)
