"""Text files: opening, unpacking, decoding, and cutting into lines."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from rag.corpus.readers.reading import Reading
from rag.errors import DataError, system_message
from rag.formats.base import format_of

__all__ = ["format_of", "iter_lines", "open_binary", "read_text"]

_PACKED = (".gz", ".bz2")
_MARK = b"\xef\xbb\xbf"
_WIDE = ("utf-16", "utf-32")
"""Encodings in which the byte of a line end may be half of another character."""


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked if its name ends in ``.gz`` or ``.bz2``.

    Raises:
        DataError: It cannot be read, then or later inside the context, or what is packed is damaged.
    """
    try:
        with cast("BinaryIO", _opened(path)) as file:
            yield file
    except EOFError:
        raise DataError(f"{path}: cannot be read: the compressed data in it ends too early") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {system_message(error)}") from None


def _opened(path: Path) -> object:
    suffix = path.suffix.lower()
    if suffix not in _PACKED:
        return path.open("rb")
    if suffix == ".gz":
        import gzip

        return gzip.open(path, "rb")
    import bz2

    return bz2.open(path, "rb")


def iter_lines(path: Path, *, blank: bool = False, reading: Reading | None = None) -> Iterator[tuple[str, str]]:
    """(``file:line``, line) of every line that is not blank, or of all. Only a line feed ends a line.

    Args:
        path: A text file, packed or not.
        blank: Whether blank lines are yielded too.
        reading: Encoding, and what to do at a line that cannot be decoded.

    Raises:
        DataError: Unreadable file, or a line that cannot be decoded.
    """
    reading = reading or Reading()
    with open_binary(path) as file:
        lines = _wide_lines(file, path, reading) if reading.encoding.startswith(_WIDE) else _lines(file, path, reading)
        for line_number, line in lines:
            if blank or line.strip():
                yield f"{path}:{line_number}", line


def _lines(file: BinaryIO, path: Path, reading: Reading) -> Iterator[tuple[int, str]]:
    for n, raw in enumerate(file, 1):
        try:
            yield (
                n,
                _decode(raw.removeprefix(_MARK) if n == 1 else raw, f"{path}:{n}", reading),
            )
        except DataError as error:
            reading.fail(error)


def _wide_lines(file: BinaryIO, path: Path, reading: Reading) -> Iterator[tuple[int, str]]:
    line_number = 0
    text = io.TextIOWrapper(file, reading.encoding, newline="\n")
    try:
        for line_number, line in enumerate(text, 1):
            yield line_number, line.removeprefix("\ufeff") if line_number == 1 else line
    except UnicodeError as error:
        reading.fail(DataError(f"{path}:{line_number + 1}: not valid {reading.encoding}, here or soon after: {error}"))
    finally:
        text.detach()  # who opened the file closes it


def read_text(path: Path, reading: Reading | None = None) -> str:
    """The whole text of a file.

    Raises:
        DataError: It cannot be read or decoded.
    """
    reading = reading or Reading()
    with open_binary(path) as file:
        return _decode(file.read().removeprefix(_MARK), str(path), reading).removeprefix("\ufeff")


def _decode(raw: bytes, location: str, reading: Reading) -> str:
    try:
        return raw.decode(reading.encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if reading.encoding == "utf-8" else reading.encoding
        reason = f"not valid {name}: byte 0x{raw[error.start]:02x} at offset {error.start}"
        utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        hint = "utf-16" if utf16 else "latin-1"
        looks = " (it looks like UTF-16)" if utf16 else ""
        raise DataError(
            f"{location}: {reason}{looks}; save it as UTF-8, or name its encoding, such as {hint}"
        ) from None
    except UnicodeError as error:
        raise DataError(f"{location}: not valid {reading.encoding}: {error}") from None
