"""Conditions on metadata: the columns against a plain reading of every document, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import ConfigError, DataError, Document
from rag.corpus import Corpus
from rag.corpus.fields import Fields

# NumPy keeps texts of more than 15 bytes apart from short ones, and those of more than 255 in another way again.
TEXTS = ["a", "b", "ä", "", "a text of 16 byte", "a text of more than 15 bytes", "ä" * 200, "b" * 300]

scalars = st.one_of(st.integers(-5, 5), st.floats(-5, 5, width=16), st.sampled_from(TEXTS), st.booleans())
metadata = st.dictionaries(st.sampled_from(["x", "y"]), st.one_of(scalars, st.lists(scalars, max_size=3), st.none()))


def kind(value: Any) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float


@st.composite
def field_tests(draw: st.DrawFn) -> dict[str, Any]:
    test = draw(st.sampled_from(["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists"]))
    if test == "exists":
        return {test: draw(st.booleans())}
    if test in ("in", "nin"):
        return {test: draw(st.lists(scalars, min_size=1, max_size=3))}
    return {
        test: draw(scalars if test in ("eq", "ne") else scalars.filter(lambda scalar: not isinstance(scalar, bool)))
    }


conditions = st.recursive(
    st.dictionaries(st.sampled_from(["x", "y"]), field_tests(), max_size=2),
    lambda inner: st.one_of(
        st.builds(lambda some: {"and": some}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda some: {"or": some}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda condition: {"not": condition}, inner),
    ),
    max_leaves=4,
)


def passes(document: dict[str, Any], condition: dict[str, Any]) -> bool:
    """The grammar read document by document."""
    for name, value in condition.items():
        if name in ("and", "or"):
            if not (all if name == "and" else any)(passes(document, part) for part in value):
                return False
        elif name == "not":
            if passes(document, value):
                return False
        else:
            held = document.get(name)
            values = held if isinstance(held, list) else [] if held is None else [held]
            for test, wanted in value.items():
                if not one_test(held, values, test, wanted):
                    return False
    return True


def one_test(held: Any, values: list[Any], test: str, wanted: Any) -> bool:
    def equal(some: list[Any]) -> bool:
        return any(
            kind(value) is kind(wanted_value) and value == wanted_value for value in values for wanted_value in some
        )

    if test == "exists":
        return (held is not None) == wanted
    if test in ("eq", "ne"):
        return equal([wanted]) == (test == "eq")
    if test in ("in", "nin"):
        return equal(wanted) == (test == "in")
    alike = [value for value in values if kind(value) is kind(wanted)]
    compare = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}[test]
    return any(
        getattr(type(wanted)(v) if kind(wanted) is str else float(v), compare)(
            wanted if kind(wanted) is str else float(wanted)
        )
        for v in alike
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(metadata, min_size=1, max_size=8), conditions)
def test_columns_say_what_reading_every_document_says(
    documents: list[dict[str, Any]], condition: dict[str, Any]
) -> None:
    fields = Fields(json.dumps(document) for document in documents)
    try:
        mask = fields.mask(condition)
    except DataError:
        return  # a field that no document has, or holds nothing of that kind: below
    assert [passes(document, condition) for document in documents] == mask.tolist()


FIELDS = Fields(
    json.dumps(row)
    for row in [{"year": 1970, "tags": ["a", "b"]}, {"year": 1980.5, "draft": True}, {"author": {"name": "Zoë"}}, {}]
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"year": 1970}, [0]),
        ({"year": {"gte": 1970, "lt": 1980.5}}, [0]),
        ({"year": {"ne": 1970}}, [1, 2, 3]),
        ({"tags": "b"}, [0]),
        ({"tags": {"nin": ["b", "c"]}}, [1, 2, 3]),
        ({"author.name": "Zoë"}, [2]),
        ({"year": {"exists": True}, "draft": {"exists": False}}, [0]),
        ({"or": [{"draft": True}, {"author.name": {"gt": "Y"}}]}, [1, 2]),
    ],
)
def test_what_passes(condition: dict[str, Any], expected: list[int]) -> None:
    assert np.flatnonzero(FIELDS.mask(condition)).tolist() == expected


@pytest.mark.parametrize(
    ("condition", "error", "message"),
    [
        ({"yeer": 1}, DataError, "no document has the field 'yeer'; did you mean 'year'"),
        ({"year": "1970"}, DataError, "the field 'year' holds numbers, it cannot be compared with '1970'"),
        ({"draft": {"gt": 1}}, DataError, "'draft' holds truth values"),
        ({"year": {"gtt": 1}}, ConfigError, "unknown test 'gtt' of 'year'; did you mean 'gt'"),
        ({"year": {}}, ConfigError, "'year' has no test: choose from eq, ne"),
        ({"year": [1970]}, ConfigError, "takes one value, got \\[1970\\]: use 'in'"),
        ({"year": {"in": []}}, ConfigError, "'year.in' takes a list of values"),
        ({"year": {"gte": True}}, ConfigError, "takes a number, a text or a date, got True"),
        ({"year": {"eq": float("nan")}}, ConfigError, "got nan"),
        ({"year": {"exists": 1}}, ConfigError, "is true or false, got 1"),
        ({"and": {}}, ConfigError, "'and' takes a list of conditions"),
        ({"not": [1]}, ConfigError, "must be a mapping"),
        (["year"], ConfigError, "filter: must be a mapping"),
    ],
)
def test_what_is_refused(condition: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        FIELDS.mask(condition)


def test_a_corpus_sorted_by_a_field() -> None:
    years = [1980, None, 1970, 1975, 1970]
    documents = [Document(str(n), "text", {} if year is None else {"year": year}) for n, year in enumerate(years)]
    corpus = Corpus.from_documents(documents)
    assert corpus.sorted_by("year").ids() == ["2", "4", "3", "0", "1"]
    with pytest.raises(DataError, match="no document has the field 'size'"):
        corpus.sorted_by("size")
    with pytest.raises(DataError, match="cannot sort by 'year': it must be one number or one date for each document"):
        Corpus.from_documents([*documents, Document("x", "text", {"year": "old"})]).sorted_by("year")


def test_whole_numbers_are_told_apart_however_large() -> None:
    numbers = [2**53, 2**53 + 1, 2**53 + 2, 10**400, 1.5]
    corpus = Corpus.from_documents(Document(str(n), "", {"x": held, "y": 2.0**53}) for n, held in enumerate(numbers))
    for number, value in enumerate(numbers):
        assert np.flatnonzero(corpus.fields.mask({"x": value})).tolist() == [number]
        below = [n for n, other in enumerate(numbers) if other < value]
        assert below == np.flatnonzero(corpus.fields.mask({"x": {"lt": value}})).tolist()
    assert not corpus.fields.mask({"y": 2**53 + 1}).any()
    assert corpus.fields.mask({"y": {"lt": 2**53 + 1}}).all()
    assert corpus.sorted_by("x").ids() == ["4", "0", "1", "2", "3"]
