"""Conditions on metadata: which documents a query may find.

One grammar, wherever a filter is given: in Python, on the command line, in LangChain, in a dataset's queries::

    {"year": {"gte": 1970, "lt": 1980}}                          # all tests of a field must hold
    {"lang": "en", "year": {"gte": 1970}}                        # all fields must hold; a plain value means eq
    {"or": [{"lang": {"in": ["en", "de"]}}, {"not": {"draft": True}}]}

Tests are ``eq, ne, in, nin, gt, gte, lt, lte`` and ``exists``. A list in a document's metadata passes a test when one
of its values does. A document without the field passes ``ne``, ``nin`` and ``exists: false``, and no other test: ``ne``
is the opposite of ``eq``, ``nin`` of ``in``. Fields of nested mappings are named with dots: ``author.name``.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from rag.corpus.fields import Field, Fields

__all__ = ["Condition", "Mask", "check_condition", "condition_key", "matching"]

Condition = Mapping[str, Any]
"""A filter as users write it."""

Mask = npt.NDArray[np.bool_]
"""Documents that pass, bool [n_documents]."""

_TESTS = ("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists")
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def condition_key(condition: Condition) -> str:
    """A text that equal conditions share, as JSON.

    Raises:
        ConfigError: It is no condition.
    """
    check_condition(condition)
    return json.dumps(condition, sort_keys=True, separators=(",", ":"))


def check_condition(condition: Any) -> None:
    """Look at a condition without any documents.

    Raises:
        ConfigError: It is none: an unknown test, a value that is no number, text or truth value, an empty list.
    """
    if not isinstance(condition, Mapping):
        raise _wrong(f"must be a mapping such as {{'year': {{'gte': 1970}}}}, got {condition!r}")
    for name, value in condition.items():
        if name in ("and", "or"):
            if not isinstance(value, (list, tuple)) or not value:
                raise _wrong(f"'{name}' takes a list of conditions, got {value!r}")
            for one in value:
                check_condition(one)
        elif name == "not":
            check_condition(value)
        elif not isinstance(name, str):
            raise _wrong(f"a field's name is a text, got {name!r}")
        elif isinstance(value, Mapping):
            if not value:
                raise _wrong(f"'{name}' has no test: choose from {', '.join(_TESTS)}")
            for test, wanted in value.items():
                _check_test(name, test, wanted)
        else:
            _check_test(name, "eq", value)


def matching(condition: Condition, fields: Fields) -> Mask:
    """The documents that pass a condition (see :func:`check_condition`), bool [n_documents].

    Raises:
        DataError: No document has a field it names, or a field holds values of another kind.
    """
    mask = np.ones(fields.n_documents, dtype=bool)
    for name, value in condition.items():
        if name == "and":
            for one in value:
                mask &= matching(one, fields)
        elif name == "or":
            mask &= np.logical_or.reduce([matching(one, fields) for one in value])
        elif name == "not":
            mask &= ~matching(value, fields)
        else:
            field = fields.field(name)
            for test, wanted in value.items() if isinstance(value, Mapping) else (("eq", value),):
                mask &= _passing(field, test, wanted)
    return mask


def _passing(field: Field, test: str, wanted: Any) -> Mask:
    if test == "exists":
        return field.present if wanted else ~field.present
    if test == "eq":
        return field.equal([wanted])
    if test == "ne":
        return ~field.equal([wanted])
    if test == "in":
        return field.equal(wanted)
    if test == "nin":
        return ~field.equal(wanted)
    return field.ordered(_ORDER[test], wanted)


def _check_test(field: str, test: Any, wanted: Any) -> None:
    if test not in _TESTS:
        raise _wrong(f"unknown test '{test}' of '{field}'{did_you_mean(str(test), _TESTS)}")
    if test == "exists":
        if not isinstance(wanted, bool):
            raise _wrong(f"'{field}.exists' is true or false, got {wanted!r}")
    elif test in ("in", "nin"):
        if not isinstance(wanted, (list, tuple)) or not wanted:
            raise _wrong(f"'{field}.{test}' takes a list of values, got {wanted!r}")
        for one in wanted:
            _check_value(field, test, one)
    else:
        if isinstance(wanted, (list, tuple)):
            raise _wrong(f"'{field}.{test}' takes one value, got {wanted!r}: use 'in' for several")
        _check_value(field, test, wanted)
        if test in _ORDER and isinstance(wanted, bool):
            raise _wrong(f"'{field}.{test}' takes a number or a text, got {wanted!r}")


def _check_value(field: str, test: str, value: Any) -> None:
    if not isinstance(value, (bool, int, float, str)) or value != value:  # NaN
        raise _wrong(f"'{field}.{test}' takes a number, a text or a truth value, got {value!r}")


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, parameter="filter")
