"""Files and folders on disk that are there whole or not at all, and never over anybody else's."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from rag.errors import ArtifactError, cannot_be

__all__ = ["check_place", "plain_name", "replace_file", "replaced_file", "replaced_folder", "sync"]

_SHOWN = 3


def plain_name(text: str) -> str:
    """A text as a part of a file name, on every system: ``irds:beir/scifact`` as ``irds-beir-scifact``."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "-", text)


def check_place(folder: Path, kind: str, foreign: Callable[[set[str]], Collection[str]]) -> None:
    """Refuse to write where something else is; asked before any work.

    Args:
        folder: Where to write.
        kind: What is written, such as ``run``.
        foreign: Given the names of all that is in the folder, those that make it something else.

    Raises:
        ArtifactError: It is a file, or a folder that holds other things.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file: name a folder to write the {kind} to")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = sorted(foreign(names)) if names else []
    if others:
        shown = ", ".join(others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
        raise ArtifactError(f"{folder} holds other files than a {kind} ({shown}): choose a new folder")


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of ``folder`` on leaving, unless an error was raised: it is there
    whole or not at all.

    Raises:
        ArtifactError: It cannot be written.
    """
    token = uuid.uuid4().hex[:8]
    aside, old = (folder.with_name(f".{folder.name}.{name}") for name in (token, f"old.{token}"))
    try:
        with cannot_be("written", folder):
            aside.mkdir(parents=True)
            yield aside
            if folder.exists():
                folder.rename(old)
            try:
                aside.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """The path of a new file to write, which takes the place of ``path`` on leaving, unless an error was raised:
    readers see the old file or the new one, also after a power cut.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield aside
        sync(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.parent)


def replace_file(path: Path, text: str) -> None:
    """Write a text file as :func:`replaced_file` does."""
    with replaced_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk.

    Windows opens no folders, and keeps the names by itself; it syncs only files that are open for writing.
    """
    windows = os.name == "nt"
    if windows and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
