"""What ``rag init`` writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from rag.errors import DataError, cannot_be

__all__ = ["write_starter"]

_STARTER = Path(__file__).parent / "starter"


def write_starter(folder: Path) -> list[Path]:
    """Copy the starter files into a new or empty folder.

    Raises:
        DataError: The folder has something in it, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: exists and is not empty; nothing was written")
    with cannot_be("written", folder, DataError):
        shutil.copytree(_STARTER, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return sorted(path for path in folder.rglob("*") if path.is_file())
