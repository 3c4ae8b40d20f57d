"""Folders that are complete or not there at all.

A saved thing is a folder with a ``manifest.json`` that names every file with its size and SHA-256. The files lie in a
subfolder of their own for each generation; the manifest, replaced in one step, says which one holds. So a process
killed at any moment leaves the old generation or the new one, and a reader that has the old one mapped keeps it.
Generations before the one that holds are kept when asked for: the manifest names them, too (see
:mod:`rag.store.generations`).
A file that did not change may be a hard link to the old generation's: then its checksum is taken over, not computed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rag.errors import ArtifactError, cannot_be, system_message
from rag.store.writing import check_place, replace_file, sync

__all__ = [
    "FORMAT",
    "check_files",
    "check_target",
    "checked_manifest",
    "link_file",
    "link_files",
    "locked",
    "read_folder",
    "remove_leftovers",
    "replace_manifest",
    "write_folder",
]

FORMAT = 2
"""Version of the layout; a reader refuses a higher one. Format 1 had no times in its manifest, and pipelines no
contents of their components.
"""

_MANIFEST = "manifest.json"
_GENERATION = "data-"
_LOCK = ".lock"
"""Held by whoever writes; the system frees it when the writer dies."""

_SMALL = 1 << 20
"""Files up to this many bytes have their checksum compared always: about a millisecond."""

_OURS = re.compile(rf"{_GENERATION}[0-9a-f]{{12}}|\.{re.escape(_MANIFEST)}\.[0-9a-f]{{8}}")
"""Names of what a writer that was killed may leave behind."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The only writer of a folder, while inside: others wait. May be entered again by the same thread.

    Raises:
        ArtifactError: The folder cannot be written.
    """
    from filelock import FileLock

    # One object for each path, so that the thread that holds it may ask again.
    lock = FileLock(folder.absolute() / _LOCK, is_singleton=True)
    with cannot_be("written", folder):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def write_folder(folder: Path, kind: str, about: Mapping[str, Any], *, keep: int | None = None) -> Iterator[Path]:
    """Write a generation: put files into the path given; on leaving, it becomes what :func:`read_folder` finds.

    Args:
        folder: Made when missing. When it holds something else than a ``kind``, nothing is touched.
        kind: What is saved, such as ``pipeline``.
        about: Goes into the manifest.
        keep: How many generations before this one to keep; None keeps as many as was said when the one before was
            written, at first none.

    Raises:
        ArtifactError: The folder holds other files, or cannot be written.
    """
    check_target(folder, kind)
    made = not folder.exists()
    with cannot_be("written", folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        generation = folder / f"{_GENERATION}{uuid.uuid4().hex[:12]}"
        try:
            generation.mkdir()
            yield generation
            files = _entries(folder, generation)
            manifest = {"kind": kind, "format": FORMAT, "data": generation.name, "files": files} | dict(about)
            manifest["written"] = datetime.now(UTC).isoformat(timespec="seconds")
            replace_manifest(folder, manifest | _kept(folder, keep))
        except BaseException as error:
            reason = _reason(error, folder) if isinstance(error, OSError) else ""
            shutil.rmtree(generation, ignore_errors=True)
            if made:
                (folder / _LOCK).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if reason:
                raise ArtifactError(f"{folder}: cannot be written: {reason}") from None
            raise
        remove_leftovers(folder)


def _kept(folder: Path, keep: int | None) -> dict[str, Any]:
    """What a new manifest says about the generations before: those that stay, newest first."""
    try:
        before = _read_manifest(folder)
    except ArtifactError:
        return {"keep": keep} if keep else {}
    if keep is None:
        keep = before["keep"] if isinstance(before.get("keep"), int) else 0
    earlier = [dict(one) for one in before.pop("earlier", [])]
    before.pop("keep", None)
    there = [one for one in [before, *earlier] if (folder / str(one.get("data", ""))).is_dir()]
    return {"keep": keep, "earlier": there[:keep]} if keep else {}


def replace_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest in one step: from then on the generation it names is the one that holds."""
    replace_file(folder / _MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def remove_leftovers(folder: Path) -> None:
    """Remove what no manifest names: generations that went, and what a writer that was killed left. For the holder of
    the lock alone.
    """
    manifest = _read_manifest(folder)
    named = {manifest["data"], *(one["data"] for one in manifest.get("earlier", []))}
    for path in folder.iterdir():
        if path.name not in named and _OURS.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def link_files(source: Path, target: Path) -> None:
    """Put the files of a folder into another one without copying them, where the file system can."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            link_file(path, place)


def link_file(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        shutil.copy2(source, target)


def _entries(folder: Path, generation: Path) -> dict[str, Any]:
    """What a manifest says about the files of a new generation. All of them are on the disk then."""
    from concurrent.futures import ThreadPoolExecutor

    known: Mapping[str, Any] = {}
    before = folder
    if (folder / _MANIFEST).is_file():
        with contextlib.suppress(ArtifactError):
            manifest = _read_manifest(folder)
            known, before = manifest.get("files", {}), folder / str(manifest.get("data", ""))
    files, new = {}, []
    for path in sorted(generation.rglob("*")):
        if path.is_file():
            name = path.relative_to(generation).as_posix()
            old = before / name
            if name in known and old.is_file() and path.samefile(old):
                files[name] = known[name]
            else:
                new.append((name, path))
    with ThreadPoolExecutor(1) as pool:
        synced = pool.map(sync, [path for _, path in new])  # while the checksums are computed
        for name, path in new:
            about = path.stat()
            files[name] = {"bytes": about.st_size, "sha256": _sha256(path), "time": about.st_mtime_ns}
        for _ in synced:
            pass  # raises what went wrong
    files = dict(sorted(files.items()))
    for made in [*(path for path in generation.rglob("*") if path.is_dir()), generation]:
        sync(made)
    return files


def _reason(error: OSError, folder: Path) -> str:
    """Why something could not be written. Some libraries do not say that the disk is full."""
    if error.strerror:
        return error.strerror
    with contextlib.suppress(OSError):
        if shutil.disk_usage(folder).free < 1 << 20:
            return os.strerror(errno.ENOSPC)
    return str(error)


def check_target(folder: Path, kind: str) -> None:
    """Refuse to write where something else is; asked before any work. What is damaged may be replaced.

    Raises:
        ArtifactError: It is a file, or a folder that holds other things than a ``kind``.
    """

    def foreign(names: set[str]) -> set[str]:
        ours = {_LOCK}
        manifest: dict[str, Any] = {}
        if _MANIFEST in names:
            try:
                manifest = _read_manifest(folder)
            except ArtifactError:  # damaged: replaced, where all around it is ours
                ours.add(_MANIFEST)
        if manifest.get("kind") == kind:
            return set()
        return {name for name in names if name not in ours and not _OURS.fullmatch(name)}

    check_place(folder, kind, foreign)


def read_folder(folder: Path, kind: str, *, verify: bool = False) -> tuple[Path, dict[str, Any]]:
    """Where the files of a saved thing are, and its manifest.

    Args:
        folder: What :func:`write_folder` wrote.
        kind: What is expected in it.
        verify: Compare the checksums of all files. Otherwise sizes are compared, and the checksums of small files
            and of those whose time of change is not the one in the manifest.

    Raises:
        ArtifactError: Nothing there, of another kind, written by a newer version, or damaged.
    """
    manifest: dict[str, Any] = {}
    while True:
        before, manifest = manifest, checked_manifest(folder, kind)
        data = folder / str(manifest["data"])
        try:
            check_files(folder, data, manifest["files"], verify=verify)
        except ArtifactError:
            # A writer may have replaced what the manifest named a moment ago.
            if before.get("data") == manifest["data"]:
                raise
            continue
        return data, manifest


def checked_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a saved thing, whatever state its files are in.

    Raises:
        ArtifactError: Nothing there, of another kind, or written by a newer version.
    """
    if not (folder / _MANIFEST).is_file():
        raise ArtifactError(f"{folder}: there is no saved {kind} (no {_MANIFEST})")
    manifest: dict[str, Any] = _read_manifest(folder)
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{folder}: holds a {manifest.get('kind')}, not a {kind}")
    if manifest["format"] > FORMAT:
        raise ArtifactError(
            f"{folder}: written in format {manifest['format']} by a newer version; this one reads up to {FORMAT}"
        )
    return manifest


def check_files(folder: Path, data: Path, files: Mapping[str, Any], *, verify: bool) -> None:
    """Compare the files of a generation with what its manifest says; see :func:`read_folder`."""
    for name, expected in files.items():
        path = data / name
        try:
            about = path.stat()
            if about.st_size != expected["bytes"]:
                raise ArtifactError(
                    f"{folder}: damaged: {name} has {about.st_size} bytes, expected {expected['bytes']}"
                )
            sure = about.st_mtime_ns == expected.get("time", about.st_mtime_ns) and about.st_size > _SMALL
            if (verify or not sure) and _sha256(path) != expected["sha256"]:
                raise ArtifactError(f"{folder}: damaged: the checksum of {name} is wrong")
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactError(f"{folder}: damaged: {name} is missing") from None
        except OSError as error:
            raise ArtifactError(f"{folder}: damaged: {name} cannot be read: {system_message(error)}") from None


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest["format"], int):
            raise TypeError
        if manifest["format"] <= FORMAT:  # of a newer one nothing more is known
            for one in (manifest, *manifest.get("earlier", ())):
                _ = [(entry["bytes"], entry["sha256"]) for entry in one["files"].values()], folder / one["data"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ArtifactError(
            f"{folder}: its {_MANIFEST} cannot be read: write it again into the same folder, or put a copy back"
        ) from None
    return dict(manifest)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
