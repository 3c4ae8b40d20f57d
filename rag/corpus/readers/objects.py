"""JSON Lines and JSON arrays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.corpus.readers.lines import iter_lines, read_text
from rag.corpus.readers.reading import Reading
from rag.errors import DataError

__all__ = ["iter_json", "iter_jsonl"]

_SPACE = re.compile(r"[ \t\r\n]*")


def iter_jsonl(path: Path, reading: Reading | None = None) -> Iterator[tuple[str, Any]]:
    """(``file:line``, object) of every line that is not blank.

    Raises:
        DataError: Unreadable file, a line that is not UTF-8 or not JSON, or no object.
    """
    reading = reading or Reading()
    for location, line in iter_lines(path, reading=reading):
        try:
            value = _object(json.loads(line), line)
        except json.JSONDecodeError as error:
            reading.fail(DataError(f"{location}: not JSON: {error.msg} at column {error.colno}"))
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            reading.fail(DataError(f"{location}: not JSON that can be read: {error}"))
        except DataError as error:
            reading.fail(DataError(f"{location}: {error}"))
        else:
            yield location, value


def iter_json(path: Path, reading: Reading | None = None) -> Iterator[tuple[str, Any]]:
    """(``file:line``, object) of every object of a JSON array, or of objects that follow one another.

    Raises:
        DataError: Unreadable file, or not that.
    """
    reading = reading or Reading()
    text = read_text(path, reading)
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    at = _skip(text, 0)
    in_array = text.startswith("[", at)
    at = _skip(text, at + in_array)
    first = True
    while at < len(text) and not (in_array and text[at] == "]"):
        if in_array and not first:
            if text[at] != ",":
                raise DataError(_not_json(path, text, at, "Expecting ',' or ']'"))
            at = _skip(text, at + 1)
        first = False
        line, counted = line + text.count("\n", counted, at), at
        location = f"{path}:{line}"
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise DataError(_not_json(path, text, error.pos, error.msg)) from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{location}: not JSON that can be read: {error}") from None
        try:
            yield location, _object(value, text[at : at + 60])
        except DataError as error:
            reading.fail(DataError(f"{location}: {error}"))
        at = _skip(text, end)
    if in_array and (at >= len(text) or _skip(text, at + 1) < len(text)):
        reason = "the array is not closed" if at >= len(text) else "something follows the array"
        raise DataError(_not_json(path, text, at, reason))


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _object(value: Any, written: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"expected a JSON object, got {written.strip()[:60]}")
    return value


def _not_json(path: Path, text: str, at: int, reason: str) -> str:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return f"{path}:{line}: not JSON: {reason} at column {column}"
