"""Files in the formats that people have, as documents."""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

from rag.corpus.readers.lines import format_of
from rag.corpus.readers.reading import Reading
from rag.errors import DataError, MissingExtraError, system_message
from rag.formats.archives import MAX_DEPTH, archive_suffix, members, unpacked
from rag.formats.base import Converted, File, Reader, documents_by
from rag.formats.packed import MAX_BYTES
from rag.formats.registry import is_code, reader_of, suffixes
from rag.formats.units import pieces_of
from rag.store.fingerprint import fingerprint
from rag.types import Document

__all__ = ["converted_documents", "is_document"]

_TRIES = 3
"""Times that a file which changes while it is read is read again."""


def is_document(name: str) -> bool:
    """Whether some reader reads files of this name, or it is an archive of files."""
    return format_of(name) in suffixes() or archive_suffix(name) != ""


def converted_documents(path: Path, name: str, reading: Reading) -> Iterator[Document]:
    """The documents of a file.

    Args:
        path: Path of the file.
        name: Name of the document: its path below the folder that was named.
        reading: Options, and the account of what could not be read.

    Raises:
        DataError: The file as a whole cannot be read.
    """
    try:
        yield from _documents(_content(path), str(path), name, reading, 0)
    except MissingExtraError as error:
        raise DataError(f"{path}: {error}") from None


def _documents(content: bytes, path: str, name: str, reading: Reading, depth: int) -> Iterator[Document]:
    try:
        if archive_suffix(name):
            yield from _archived(content, path, name, reading, depth)
            return
        suffix = format_of(name)
        file = File(PurePosixPath(name).name, unpacked(content, name), reading.given_encoding)
        converted = _converted(file, suffix, reading)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    for part in converted:
        for code, n in part.counts.items():
            reading.count(code, n, f"{path}#{part.part}" if part.part else path)
        for piece in pieces_of(part.text, reading.unit):
            fragment = "#".join(step for step in (part.part, piece.fragment) if step)
            metadata = {"path": path, "format": reader_of(suffix).name} | ({"part": part.part} if part.part else {})
            reading.where, reading.n_read = path, reading.n_read + 1
            yield Document(
                f"{name}#{fragment}" if fragment else name, piece.text, part.metadata | piece.metadata | metadata
            )


def _archived(content: bytes, path: str, name: str, reading: Reading, depth: int) -> Iterator[Document]:
    """The documents in an archive; a member that cannot be read does not stop the others."""
    if depth >= MAX_DEPTH:
        raise DataError(f"is an archive inside {depth} others: not opened")
    skipped: list[str] = []
    inside = dict(members(content, name, skipped.append))
    for reason in skipped:
        reading.fail(DataError(f"{path}/{reason}"), unit="documents")
    documents = [member for member in inside if is_document(member)]
    documents = [member for member in documents if not is_code(format_of(member))] or documents
    if left := [member for member in inside if member not in set(documents)]:
        reading.left_out(path, left, len(inside))
    for member in documents:
        try:
            yield from _documents(
                _member(inside[member], f"{path}/{member}"), f"{path}/{member}", f"{name}/{member}", reading, depth + 1
            )
        except DataError as error:
            reading.fail(error, unit="documents")


def _member(read: object, path: str) -> bytes:
    try:
        content = read()  # type: ignore[operator]
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    assert isinstance(content, bytes)
    return content


def _converted(file: File, suffix: str, reading: Reading) -> list[Converted]:
    """Parts of a file as a reader yields them, from the cache if it was read before."""
    reader = reader_of(suffix)
    if not file.content and reader.name not in ("text", "markdown"):
        raise DataError("is empty")
    reading.n_converted += 1
    if reading.store is None:
        return documents_by(reader, file)
    cache = reading.store.cache(
        "conversion", _key(reader), description=f"documents read by {reader.name} {reader.version}"
    )
    key = sha256(f"{file.name}\0{file.encoding}\0".encode("utf-8", "surrogatepass") + file.content).digest()
    cached = cache.get([key]).get(key)
    if cached is not None:
        reading.n_kept += 1
        return [Converted(**fields) for fields in json.loads(zlib.decompress(cached))]
    converted = documents_by(reader, file)
    fields = [vars(part) for part in converted]
    cache.put([(key, zlib.compress(json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")))])
    return converted


def _key(reader: Reader) -> str:
    versions = []
    for library in reader.libraries:
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            versions.append(library)
    return fingerprint(
        [f"{type(reader).__module__}.{type(reader).__qualname__}", reader.name, reader.version, *versions]
    )


def _content(path: Path) -> bytes:
    """The bytes of a file that stayed the same while they were read.

    Raises:
        DataError: It cannot be read, is no file, too large, or does not stop changing.
    """
    try:
        for _ in range(_TRIES):
            with open(path, "rb", opener=_without_waiting) as file:
                before = os.fstat(file.fileno())
                if not stat.S_ISREG(before.st_mode):
                    raise DataError(f"{path}: is not a regular file")
                if before.st_size > MAX_BYTES:
                    raise DataError(f"{path}: has more than {MAX_BYTES >> 20} MiB, the most that is read")
                content = file.read()
                after = os.fstat(file.fileno())
            if len(content) == before.st_size == after.st_size and before.st_mtime_ns == after.st_mtime_ns:
                return content
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {system_message(error)}") from None
    raise DataError(f"{path}: changed while it was read")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer
