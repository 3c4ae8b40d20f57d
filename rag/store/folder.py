"""Folders that are replaced atomically.

A saved artifact is a folder with a ``manifest.json`` that lists every file with its size and SHA-256. Each generation
of files has a subfolder of its own; the manifest, replaced in one step, names the current one. So a process killed at
any moment leaves the old generation or the new one, and a reader that has mapped the old one keeps it. Earlier
generations are kept on request and listed in the manifest too (see :mod:`rag.store.generations`).
An unchanged file may be a hard link to the old generation's: then its checksum is copied, not computed.
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
from collections.abc import Callable, Iterator, Mapping
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
    "named_generations",
    "read_folder",
    "remove_leftovers",
    "replace_manifest",
    "write_folder",
]

FORMAT = 2
"""Version of the layout; a reader refuses a higher one. Format 1 had no times in its manifest, and pipelines had no
digests of their components.
"""

_MADE_BY = {"pipeline": ": rag index PIPELINE --corpus DOCUMENTS --out DIR makes one"}
_MANIFEST = "manifest.json"
_GENERATION = "data-"
_LOCK = ".lock"
"""Lock held by the writer; the system frees it when the writer dies."""

_SMALL = 1 << 20
"""Size in bytes up to which files always have their checksum compared: about a millisecond each."""

_OURS = re.compile(rf"{_GENERATION}[0-9a-f]{{12}}|\.{re.escape(_MANIFEST)}\.[0-9a-f]{{8}}")
"""Names of files that a killed writer may leave behind."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only writer of a folder; other writers wait. Reentrant within a thread.

    Raises:
        ArtifactError: The folder cannot be written.
    """
    from filelock import FileLock

    # One lock object per path, so that the thread that holds it may enter again.
    lock = FileLock(folder.absolute() / _LOCK, is_singleton=True)
    with cannot_be("written", folder):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def write_folder(
    folder: Path,
    kind: str,
    entries: Mapping[str, Any],
    *,
    keep: int | None = None,
    written: Callable[[], None] = lambda: None,
) -> Iterator[Path]:
    """Write a generation: put files into the yielded path; on exit it becomes the one that :func:`read_folder` reads.

    Args:
        folder: Created when missing. If it has other content than a ``kind``, nothing is touched.
        kind: Kind of artifact, such as ``pipeline``.
        entries: Additional entries of the manifest.
        keep: Number of earlier generations to keep; None keeps the number given with the previous write, at first none.
        written: Called when the generation is the current one, before earlier ones are removed.

    Raises:
        ArtifactError: The folder has other content, or cannot be written.
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
            manifest = {"kind": kind, "format": FORMAT, "data": generation.name, "files": files} | dict(entries)
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
        written()
        remove_leftovers(folder)


def _kept(folder: Path, keep: int | None) -> dict[str, Any]:
    """Entries of a new manifest about earlier generations: those that stay, newest first."""
    try:
        before = _read_manifest(folder)
    except ArtifactError:
        return {"keep": keep} if keep else {}
    if keep is None:
        keep = before["keep"] if isinstance(before.get("keep"), int) else 0
    earlier = [dict(generation) for generation in before.pop("earlier", [])]
    before.pop("keep", None)
    there = [generation for generation in [before, *earlier] if (folder / str(generation.get("data", ""))).is_dir()]
    return {"keep": keep, "earlier": there[:keep]} if keep else {}


def replace_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest in one step, which makes the generation it names the current one."""
    replace_file(folder / _MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def named_generations(folder: Path) -> set[str]:
    """Names of the generations that the manifest names: the current one, and those kept before it; none without one."""
    try:
        manifest = _read_manifest(folder)
    except ArtifactError:
        return set()
    return {manifest["data"], *(generation["data"] for generation in manifest.get("earlier", []))}


def remove_leftovers(folder: Path) -> None:
    """Remove what the manifest does not name: old generations and files left by a killed writer. Only for the holder of
    the lock.
    """
    named = named_generations(folder)
    for path in folder.iterdir():
        if path.name not in named and _OURS.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def link_files(source: Path, target: Path) -> None:
    """Put the files of a folder into another one, by hard links where the file system supports them."""
    for path in sorted(source.rglob("*")):
        destination = target / path.relative_to(source)
        if path.is_dir():
            destination.mkdir(parents=True, exist_ok=True)
        else:
            destination.parent.mkdir(parents=True, exist_ok=True)
            link_file(path, destination)


def link_file(source: Path, target: Path) -> None:
    """Give a file another name; copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        shutil.copy2(source, target)


def _entries(folder: Path, generation: Path) -> dict[str, Any]:
    """Manifest entries for the files of a new generation, all of them synced to disk."""
    from concurrent.futures import ThreadPoolExecutor

    known_files: Mapping[str, Any] = {}
    before = folder
    if (folder / _MANIFEST).is_file():
        with contextlib.suppress(ArtifactError):
            manifest = _read_manifest(folder)
            known_files, before = manifest.get("files", {}), folder / str(manifest.get("data", ""))
    files, new = {}, []
    for path in sorted(generation.rglob("*")):
        if path.is_file():
            name = path.relative_to(generation).as_posix()
            old = before / name
            if name in known_files and old.is_file() and path.samefile(old):
                files[name] = known_files[name]
            else:
                new.append((name, path))
    with ThreadPoolExecutor(1) as pool:
        synced = pool.map(sync, [path for _, path in new])  # while the checksums are computed
        for name, path in new:
            status = path.stat()
            files[name] = {"bytes": status.st_size, "sha256": _sha256(path), "time": status.st_mtime_ns}
        for _ in synced:
            pass  # raises what went wrong
    files = dict(sorted(files.items()))
    for made in [*(path for path in generation.rglob("*") if path.is_dir()), generation]:
        sync(made)
    return files


def _reason(error: OSError, folder: Path) -> str:
    """The reason why something could not be written. Some libraries do not report a full disk."""
    if error.strerror:
        return error.strerror
    with contextlib.suppress(OSError):
        if shutil.disk_usage(folder).free < 1 << 20:
            return os.strerror(errno.ENOSPC)
    return str(error)


def check_target(folder: Path, kind: str) -> None:
    """Refuse to overwrite other content; call it before any work. Damaged artifacts may be replaced.

    Raises:
        ArtifactError: The path is a file, or a folder with other content than a ``kind``.
    """

    def foreign(names: set[str]) -> set[str]:
        ours = {_LOCK}
        manifest: dict[str, Any] = {}
        if _MANIFEST in names:
            try:
                manifest = _read_manifest(folder)
            except ArtifactError:  # damaged: may be replaced if all other files are of this kind
                ours.add(_MANIFEST)
        if manifest.get("kind") == kind:
            return set()
        return {name for name in names if name not in ours and not _OURS.fullmatch(name)}

    check_place(folder, kind, foreign)


def read_folder(folder: Path, kind: str, *, verify: bool = False) -> tuple[Path, dict[str, Any]]:
    """Find the files of a saved artifact, and read its manifest.

    Args:
        folder: A folder written by :func:`write_folder`.
        kind: The expected kind.
        verify: Compare the checksums of all files. Otherwise only sizes are compared, and checksums of small files and
            of files whose modification time differs from the manifest.

    Raises:
        ArtifactError: The artifact is missing, of another kind, written by a newer version, or damaged.
    """
    manifest: dict[str, Any] = {}
    while True:
        before, manifest = manifest, checked_manifest(folder, kind)
        data = folder / str(manifest["data"])
        try:
            check_files(folder, data, manifest["files"], verify=verify)
        except ArtifactError:
            # A writer may just have replaced the generation that the manifest named.
            if before.get("data") == manifest["data"]:
                raise
            continue
        return data, manifest


def checked_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """Read the manifest of a saved artifact without checking its files.

    Raises:
        ArtifactError: The artifact is missing, of another kind, or written by a newer version.
    """
    if not (folder / _MANIFEST).is_file():
        inside = sorted(path.parent for path in folder.glob(f"*/{_MANIFEST}"))
        hint = f"; did you mean {inside[0]}?" if inside else ""
        raise ArtifactError(f"{folder}: no saved {kind} there (no {_MANIFEST}){hint or _MADE_BY.get(kind, '')}")
    manifest: dict[str, Any] = _read_manifest(folder)
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{folder}: holds a {manifest.get('kind')}, not a {kind}")
    if manifest["format"] > FORMAT:
        raise ArtifactError(
            f"{folder}: written in format {manifest['format']} by a newer version; this one reads up to {FORMAT}"
        )
    return manifest


def check_files(folder: Path, data: Path, files: Mapping[str, Any], *, verify: bool) -> None:
    """Compare the files of a generation with its manifest; see :func:`read_folder`."""
    for name, expected in files.items():
        path = data / name
        try:
            status = path.stat()
            if status.st_size != expected["bytes"]:
                raise ArtifactError(
                    f"{folder}: damaged: {name} has {status.st_size} bytes, expected {expected['bytes']}"
                )
            sure = status.st_mtime_ns == expected.get("time", status.st_mtime_ns) and status.st_size > _SMALL
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
        if manifest["format"] <= FORMAT:  # newer formats are not known
            for generation in (manifest, *manifest.get("earlier", ())):
                _ = (
                    [(entry["bytes"], entry["sha256"]) for entry in generation["files"].values()],
                    folder / generation["data"],
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ArtifactError(
            f"{folder}: its {_MANIFEST} cannot be read: write it again into the same folder, or put a copy back"
        ) from None
    return dict(manifest)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
