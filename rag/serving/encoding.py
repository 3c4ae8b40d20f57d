"""JSON as it goes over HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from rag.metadata import strict_json

__all__ = ["is_text", "json_bytes"]

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def json_bytes(value: Any) -> bytes:
    """A value as JSON in UTF-8; numbers that JSON does not have, such as NaN, become null."""
    try:
        return orjson.dumps(value)
    except TypeError:  # whole numbers of more than 64 bits, which may be in somebody's metadata
        return json.dumps(strict_json(value), allow_nan=False).encode("ascii")


def is_text(value: Any) -> bool:
    """Whether all strings in a value that was read from JSON are text: JSON can write half of a character (a lone
    surrogate).
    """
    try:
        orjson.dumps(value)
        return True
    except TypeError:
        return not _SURROGATE.search(json.dumps(value, ensure_ascii=False))
