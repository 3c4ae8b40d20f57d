"""Archives, and files that are packed alone: their content, within limits."""

from __future__ import annotations

import bz2
import io
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from rag.errors import DataError, first_line
from rag.formats.packed import MAX_BYTES, MAX_MEMBERS, Package, check_ratio

__all__ = ["ARCHIVES", "MAX_DEPTH", "archive_suffix", "members", "unpacked"]

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz2", ".txz")
"""Suffixes of files that hold files."""
MAX_DEPTH = 3
"""Archives inside of each other that are opened."""
_BLOCK = 1 << 20
_PACKED = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".tgz": "gzip", ".tbz2": "bz2", ".txz": "lzma"}


def archive_suffix(name: str) -> str:
    """Which of :data:`ARCHIVES` a name ends in; empty for none."""
    return next((suffix for suffix in sorted(ARCHIVES, key=len, reverse=True) if name.lower().endswith(suffix)), "")


def unpacked(content: bytes, name: str) -> bytes:
    """Content of a file, unpacked if its name ends in ``.gz``, ``.bz2`` or ``.xz``.

    Raises:
        DataError: It is damaged, or unpacks to more than it may.
    """
    kind = next((kind for suffix, kind in _PACKED.items() if name.lower().endswith(suffix)), "")
    if not kind:
        return content
    opened: IO[bytes]
    if kind == "gzip":
        import gzip

        opened = cast("IO[bytes]", gzip.GzipFile(fileobj=io.BytesIO(content)))
    else:
        opened = (bz2.BZ2File if kind == "bz2" else lzma.LZMAFile)(io.BytesIO(content))
    parts: list[bytes] = []
    size = 0
    try:
        while block := opened.read(_BLOCK):
            parts.append(block)
            size += len(block)
            check_ratio(len(content), size)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"is damaged: its compressed data cannot be read: {first_line(error)}") from None
    return b"".join(parts)


def members(content: bytes, name: str, skip: Callable[[str], None]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Path and content of the files in an archive, in the order of their paths.

    Args:
        content: The archive.
        name: Name of the file.
        skip: Called with what is wrong with a member that is left out: a path that leads out of the archive, a link, a
            device.

    Raises:
        DataError: The archive is damaged, or unpacks to more than it may.
    """
    listed = _zip_members(content) if archive_suffix(name) == ".zip" else _tar_members(unpacked(content, name))
    seen: set[str] = set()
    for path, reason, read in sorted(listed, key=lambda member: member[0]):
        clean = posixpath.normpath(path.replace("\\", "/")).lstrip("/")
        if reason:
            skip(f"{path}: {reason}")
        elif path.startswith("/") or clean.startswith("../") or ":" in path.split("/")[0] or "\x00" in path:
            skip(f"{path}: its path leads out of the archive")
        elif clean in seen:
            skip(f"{path}: a second file of this name")
        elif any(step.startswith(".") or step == "__MACOSX" for step in clean.split("/")):
            continue  # hidden, as in a folder
        else:
            seen.add(clean)
            yield clean, read


_Member = tuple[str, str, Callable[[], bytes]]
"""Path, what is wrong with it, and how its content is got."""


def _zip_members(content: bytes) -> Iterator[_Member]:
    package = Package(content)
    for info in package.zip.infolist():
        if not info.is_dir():
            kind = info.external_attr >> 28  # the file type that Unix programs keep there
            reason = "is a link or a device" if kind not in (0, 0o10) else ""
            yield info.filename, reason, _reading(package, info.filename)


def _reading(package: Package, name: str) -> Callable[[], bytes]:
    return lambda: package.read(name)


def _tar_members(content: bytes) -> list[_Member]:
    listed: list[_Member] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            total = 0
            for info in tar:
                if info.isdir():
                    continue
                total += info.size
                if len(listed) >= MAX_MEMBERS or total > MAX_BYTES:
                    raise DataError(f"holds more than {MAX_MEMBERS} files, or {MAX_BYTES >> 20} MiB")
                reason = "" if info.isreg() else "is a link or a device"
                listed.append((info.name, reason, _slice(content, info)))
    except (tarfile.TarError, EOFError, ValueError, OSError, OverflowError) as error:
        raise DataError(f"is damaged, or not what its name says: {first_line(error)}") from None
    return listed


def _slice(content: bytes, info: Any) -> Callable[[], bytes]:
    def read() -> bytes:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            opened = tar.extractfile(info)
            body = opened.read() if opened is not None else b""
        if len(body) != info.size:
            raise DataError("is damaged: the archive ends too early")
        return body

    return read
