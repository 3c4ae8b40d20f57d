"""Earlier generations of a saved thing, and the way back to one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import ArtifactError, ConfigError
from rag.store.folder import check_files, checked_manifest, locked, remove_leftovers, replace_manifest

__all__ = ["Generation", "generations", "roll_back"]


@dataclass(frozen=True)
class Generation:
    """What a folder holds, or held.

    Args:
        name: Of its subfolder.
        written: When, as ISO 8601 in UTC; empty for one that an older version wrote.
        documents: How many it has; None where nobody counted.
        bytes: Of its files; those that did not change are shared with the generations beside it.
    """

    name: str
    written: str
    documents: int | None
    bytes: int


def generations(folder: Path, kind: str) -> list[Generation]:
    """All that can be gone back to, newest first; the first one is the one that holds.

    Raises:
        ArtifactError: There is no saved ``kind``.
    """
    manifest = checked_manifest(folder, kind)
    return [_generation(one) for one in [manifest, *manifest.get("earlier", [])]]


def roll_back(folder: Path, kind: str, steps: int = 1) -> Generation:
    """Take back the last writes: an earlier generation holds again, those after it are removed. Readers keep what they
    have opened. A process that is killed meanwhile leaves the one or the other.

    Args:
        folder: What was saved.
        kind: What is expected in it.
        steps: How many generations to go back.

    Returns:
        The one that holds now.

    Raises:
        ArtifactError: No generation so early was kept, or it is damaged: then nothing is changed.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ConfigError(f"must be a whole number from 1 on, got {steps!r}", parameter="steps")
    checked_manifest(folder, kind)  # no lock is left where there is nothing
    with locked(folder):
        manifest = checked_manifest(folder, kind)
        earlier = [dict(one) for one in manifest.get("earlier", [])]
        if steps > len(earlier):
            kept = f"{len(earlier)} kept" if earlier else "none kept (--keep N at an update keeps the N before it)"
            raise ArtifactError(f"{folder}: cannot go back {steps}: of earlier generations there are {kept}")
        wanted, rest = earlier[steps - 1], earlier[steps:]
        check_files(folder, folder / str(wanted["data"]), wanted["files"], verify=True)
        replace_manifest(folder, {**wanted, "keep": manifest.get("keep", 0), "earlier": rest})
        remove_leftovers(folder)
    return _generation(wanted)


def _generation(manifest: dict[str, Any]) -> Generation:
    size = sum(int(file["bytes"]) for file in manifest["files"].values())
    return Generation(str(manifest["data"]), str(manifest.get("written", "")), manifest.get("documents"), size)
