"""Values of metadata: which there are, and how each is written.

Documents, filters and queries hold the same five kinds: numbers, texts, truth values, dates, and lists and mappings of
them. They are kept as JSON. A date or datetime is a text of ISO 8601 there, and a text that reads as one is a date,
wherever it comes from: files, Python, the command line. Dates are compared as points in time, in UTC; without an
offset they are in UTC, and a day is its midnight.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from rag.errors import DataError

__all__ = ["date_of", "instant", "json_text", "plain_value", "strict_json", "without_fields"]

MAX_DEPTH = 100
"""How deep metadata may be nested: what walks them is recursive."""

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant(text: str) -> int | None:
    """The point in time that a date or datetime of ISO 8601 names, in microseconds since 1970 in UTC; None for any
    other text.

    Example:
        >>> instant("1970-01-01T01:00:00+01:00"), instant("1970-01-02"), instant("May 5")
        (0, 86400000000, None)
    """
    if len(text) < 10 or text[4] != "-" or not _ISO.fullmatch(text):
        return None
    try:
        value = datetime.fromisoformat(text.upper())
    except ValueError:  # a 13th month
        return None
    return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def date_of(moment: int) -> str:
    """A point in time as ISO 8601, a day alone where it is its midnight.

    Args:
        moment: Microseconds since 1970 in UTC, as :func:`instant` gives them.

    Example:
        >>> date_of(86_400_000_000), date_of(1_000_000)
        ('1970-01-02', '1970-01-01T00:00:01+00:00')
    """
    text = (_EPOCH + moment * _MICROSECOND).isoformat()
    return text.removesuffix("T00:00:00+00:00")


def plain_value(value: Any) -> Any:
    """A number, date or array of a library as JSON has it: what ``json.dumps`` calls for values that it does not know.

    Raises:
        TypeError: There is none, as for bytes.
    """
    if isinstance(value, (date, time)):
        text = value.isoformat()
        return None if text == "NaT" else text  # pandas' missing date
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__module__ == "numpy":
        if value.dtype.kind == "M":  # to microseconds, which Python has
            moments = value.astype("datetime64[us]").tolist()
            return moments if isinstance(moments, list) or moments is None else moments.isoformat()
        if value.dtype.kind in "biufUO":
            return value.tolist()
    raise TypeError(type(value).__name__)


def json_text(metadata: Mapping[str, Any], document: str) -> str:
    """The metadata of a document as JSON.

    Raises:
        DataError: They hold something else, naming the document and the field.
    """
    if not metadata:
        return "{}"
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, default=plain_value)
        # Deep things have many brackets: most metadata need no second look.
        if text.count("{") + text.count("[") > MAX_DEPTH and _deeper(json.loads(text), MAX_DEPTH):
            raise DataError(f"document '{document}': its metadata is nested more than {MAX_DEPTH} deep")
        return text
    except (TypeError, ValueError, RecursionError) as error:
        for name, value in _leaves(metadata) if isinstance(metadata, Mapping) else ():
            try:
                json.dumps(value, default=plain_value)
            except (TypeError, ValueError, RecursionError):
                raise DataError(
                    f"document '{document}': its metadata field '{name}' holds {_kind(value)}, which is not JSON: give "
                    f"it as text, or leave it out (--drop-field {name}; in Python drop_fields=['{name}'])"
                ) from None
        raise DataError(f"document '{document}': its metadata is not JSON: {error}") from None


def _deeper(value: Any, depth: int) -> bool:
    """Whether mappings and lists stand in each other deeper than this."""
    inside: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    nested = [inner for inner in inside if isinstance(inner, (dict, list))]
    return any(depth <= 1 or _deeper(inner, depth - 1) for inner in nested)


def _leaves(metadata: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for key, value in metadata.items():
        if isinstance(value, Mapping) and depth < 20:
            yield from _leaves(value, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}", value


def _kind(value: Any) -> str:
    items = value if isinstance(value, (list, tuple)) else [value]
    for item in items:
        try:
            json.dumps(item, default=plain_value)
        except (TypeError, ValueError, RecursionError):
            return f"{'a list with ' if item is not value else ''}{type(item).__name__}"
    return type(value).__name__


def without_fields(metadata: Mapping[str, Any], names: Collection[str], met: set[str]) -> Mapping[str, Any]:
    """The metadata without some fields.

    Args:
        metadata: Of a document; left as they are.
        names: Fields to leave out; those of nested mappings with dots.
        met: Those of them that were there are added to it.
    """
    kept = dict(metadata)
    for name in names:
        if name in kept:
            del kept[name]
            met.add(name)
            continue
        head, _, rest = name.partition(".")
        if rest and isinstance(kept.get(head), Mapping):
            inner: set[str] = set()
            kept[head] = without_fields(kept[head], [rest], inner)
            met |= {name} if inner else set()
    return kept


def strict_json(value: Any) -> Any:
    """A value as strict JSON has it: null in place of NaN and infinite numbers, text for keys."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): strict_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict_json(inner) for inner in value]
    return value
