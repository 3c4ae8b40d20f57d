"""What ``rag init`` writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from rag.errors import DataError, cannot_be

__all__ = ["check_empty", "write_gallery", "write_starter"]

_HERE = Path(__file__).parent


def write_starter(folder: Path) -> list[Path]:
    """Copy the starter files into a new or empty folder.

    Raises:
        DataError: The folder has something in it, or cannot be written.
    """
    return _copied(_HERE / "starter", folder)


def write_gallery(folder: Path) -> list[Path]:
    """Copy the gallery into a new or empty folder: pipelines by need, sweeps, judges, writers.

    Raises:
        DataError: The folder has something in it, or cannot be written.
    """
    return _copied(_HERE / "gallery", folder)


def check_empty(folder: Path) -> None:
    """Check that a folder is new or empty.

    Raises:
        DataError: The folder has something in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: exists and is not empty; nothing was written")


def _copied(source: Path, folder: Path) -> list[Path]:
    check_empty(folder)
    with cannot_be("written", folder, DataError):
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return sorted(path for path in folder.rglob("*") if path.is_file())
