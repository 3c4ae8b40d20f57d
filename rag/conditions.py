"""Conditions on metadata: which documents a query may find.

One grammar, wherever a filter is given: in Python, on the command line, in LangChain, in a dataset's queries::

    {"year": {"gte": 1970, "lt": 1980}}                          # all tests of a field must hold
    {"lang": "en", "year": {"gte": 1970}}                        # all fields must hold; a plain value means eq
    {"or": [{"lang": {"in": ["en", "de"]}}, {"not": {"draft": True}}]}
    {"id": {"prefix": "manual/"}, "published": {"gte": "2024-01-31T20:00:00+01:00"}}

Tests are ``eq, ne, in, nin, gt, gte, lt, lte, prefix, contains`` and ``exists``. A list in a document's metadata passes
a test when one of its values does. A document without the field passes ``ne``, ``nin`` and ``exists: false``, and no
other test: ``ne`` is the opposite of ``eq``, ``nin`` of ``in``. Fields of nested mappings are named with dots:
``author.name``. ``id`` is the document's id; a metadata field of that name is ``metadata.id``. What values there are,
dates among them, and how they compare is said in :mod:`rag.metadata`.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import ConfigError, did_you_mean
from rag.metadata import plain_value

__all__ = ["ORDERS", "TESTS", "Condition", "Mask", "check_condition", "condition_key", "read_condition", "values_asked"]

Condition = Mapping[str, Any]
"""A filter as users write it."""

Mask = npt.NDArray[np.bool_]
"""Documents that pass, bool [n_documents]."""

TESTS = ("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "prefix", "contains", "exists")
"""What a field can be tested for."""

MAX_DEPTH = 50
"""How deep conditions may be nested: a person writes three or four, and what walks them is recursive."""

ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
"""Tests of order, and how each compares (value, wanted)."""


def condition_key(condition: Condition) -> str:
    """A text that equal conditions share: the condition as JSON, of plain values.

    Raises:
        ConfigError: It is not a condition.
    """
    return json.dumps(check_condition(condition), sort_keys=True, separators=(",", ":"))


def check_condition(condition: Any, *, depth: int = 0) -> dict[str, Any]:
    """Look at a condition without any documents.

    Args:
        condition: A filter as users write it.
        depth: How deep it stands in another one.

    Returns:
        The same of plain values: dates as ISO text, numbers of NumPy and decimals as Python's.

    Raises:
        ConfigError: It is none: an unknown test, a value that documents cannot hold, an empty list; or it is nested
            deeper than :data:`MAX_DEPTH`.
    """
    if depth > MAX_DEPTH:
        raise _wrong(f"'and', 'or' and 'not' may stand in each other {MAX_DEPTH} deep, this filter goes deeper")
    if not isinstance(condition, Mapping):
        raise _wrong(f"must be a mapping such as {{'year': {{'gte': 1970}}}}, got {condition!r}")
    plain: dict[str, Any] = {}
    for name, value in condition.items():
        if name in ("and", "or"):
            if not isinstance(value, (list, tuple)) or not value:
                raise _wrong(f"'{name}' takes a list of conditions, got {value!r}")
            plain[name] = [check_condition(part, depth=depth + 1) for part in value]
        elif name == "not":
            plain[name] = check_condition(value, depth=depth + 1)
        elif not isinstance(name, str):
            raise _wrong(f"a field's name is a text, got {name!r}")
        elif isinstance(value, Mapping):
            if not value:
                raise _wrong(f"'{name}' has no test: choose from {', '.join(TESTS)}")
            plain[name] = {test: _checked_test(name, test, wanted) for test, wanted in value.items()}
        else:
            plain[name] = _checked_test(name, "eq", value)
    return plain


def read_condition(text: str) -> dict[str, Any]:
    """The condition that a text of JSON, as after ``--filter``, says.

    Raises:
        ConfigError: It is no JSON, or no condition.
    """
    try:
        return check_condition(json.loads(text))
    except ValueError as error:
        raise ConfigError(f"not JSON: {error}: '{text}'", parameter="--filter") from None


def values_asked(condition: Condition) -> Iterator[tuple[str, Any]]:
    """(field, value) of all values that a condition compares fields with for being equal."""
    for name, value in condition.items():
        if name in ("and", "or", "not"):
            for part in value if name != "not" else [value]:
                yield from values_asked(part)
        elif isinstance(value, Mapping):
            for test, wanted in value.items():
                if test in ("eq", "ne", "in", "nin"):
                    yield from ((name, single) for single in (wanted if test in ("in", "nin") else [wanted]))
        else:
            yield name, value


def _checked_test(field: str, test: Any, wanted: Any) -> Any:
    """What a test wants, of plain values."""
    if test not in TESTS:
        raise _wrong(f"unknown test '{test}' of '{field}'{did_you_mean(str(test), TESTS)}")
    wanted = _plain(wanted)
    if test == "exists":
        if not isinstance(wanted, bool):
            raise _wrong(f"'{field}.exists' is true or false, got {wanted!r}")
        return wanted
    if test in ("in", "nin"):
        if not isinstance(wanted, (list, tuple)) or not wanted:
            raise _wrong(f"'{field}.{test}' takes a list of values, got {wanted!r}")
        return [_checked_value(field, test, value) for value in wanted]
    if isinstance(wanted, (list, tuple)):
        raise _wrong(f"'{field}.{test}' takes one value, got {wanted!r}: use 'in' for several")
    if test in ("prefix", "contains") and not isinstance(wanted, str):
        raise _wrong(f"'{field}.{test}' takes a text, got {wanted!r}")
    if test in ORDERS and isinstance(wanted, bool):
        raise _wrong(f"'{field}.{test}' takes a number, a text or a date, got {wanted!r}")
    return _checked_value(field, test, wanted)


def _checked_value(field: str, test: str, value: Any) -> Any:
    value = _plain(value)
    if not isinstance(value, (bool, int, float, str)) or value != value:  # NaN
        raise _wrong(f"'{field}.{test}' takes a number, a text, a date or a truth value, got {value!r}")
    return value


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, Mapping)):
        return value
    try:
        return plain_value(value)
    except TypeError:
        return value


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, parameter="filter")
