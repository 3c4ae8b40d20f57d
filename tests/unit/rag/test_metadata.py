"""Values of metadata: numbers, dates and the rest, in files, in Python and in filters."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import ConfigError, Corpus, DataError, Document, Pipeline
from rag.corpus import read_corpus
from rag.corpus.fields import Fields
from rag.metadata import instant, strict_json
from rag.retrievers import BM25

TOKYO = dt.timezone(dt.timedelta(hours=9))


def corpus_of(*metadata):
    return Corpus.from_documents(Document(f"d{n}", "word", fields) for n, fields in enumerate(metadata))


def passing(corpus, condition):
    return np.flatnonzero(corpus.fields.mask(condition)).tolist()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (decimal.Decimal("9.50"), 9.5),
        (decimal.Decimal("10.00"), 10),
        (decimal.Decimal(2**60), 2**60),
        (np.float32(1.5), 1.5),
        (np.float64(2.5), 2.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1, 2]), [1, 2]),
        ((1, 2), [1, 2]),
        ([decimal.Decimal("1.5")], [1.5]),
        ({"a": {"b": np.int8(4)}}, {"a": {"b": 4}}),
        (dt.date(2024, 1, 31), "2024-01-31"),
        (dt.datetime(2024, 1, 31, 20, 0, tzinfo=TOKYO), "2024-01-31T20:00:00+09:00"),
        (np.datetime64("2024-01-31T20:00"), "2024-01-31T20:00:00"),
        (pd.Timestamp("2024-01-31", tz="UTC"), "2024-01-31T00:00:00+00:00"),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (dt.time(8, 30), "08:30:00"),
    ],
    ids=repr,
)
def test_what_becomes_of_a_value(value, expected):
    (document,) = corpus_of({"x": value})
    assert document.metadata["x"] == expected
    assert type(expected) is type(document.metadata["x"])


@pytest.mark.parametrize(
    ("metadata", "field", "kind"),
    [
        ({"thumb": b"\x89PNG"}, "thumb", "bytes"),
        ({"key": uuid.uuid4()}, "key", "UUID"),
        ({"author": {"photo": bytearray(b"x")}}, "author.photo", "bytearray"),
        ({"some": [1, {2}]}, "some", "a list with set"),
        ({"half": Fraction(1, 2)}, "half", "Fraction"),
    ],
)
def test_what_is_no_json_is_named_and_can_be_left_out(metadata, field, kind):
    documents = [Document("a", "word"), Document("b", "word", {"kept": 1, **metadata})]
    message = (
        f"document 'b': its metadata field '{field}' holds {kind}, which is not JSON: give it as text, or leave it out "
        f"(--drop-field {field}; in Python drop_fields=['{field}'])"
    )
    with pytest.raises(DataError) as caught:
        Pipeline(retriever=BM25()).fit(documents)
    assert message == str(caught.value)
    pipeline = Pipeline(retriever=BM25()).fit(documents, drop_fields=[field])
    assert {name: value for name, value in pipeline.corpus[1].metadata.items() if value != {}} == {"kept": 1}
    with pytest.raises(DataError):
        pipeline.add(documents)
    assert pipeline.add(documents, drop_fields=[field]).skipped == 2
    assert pipeline.sync(documents, drop_fields=[field]).skipped == 2
    assert documents[1].metadata.keys() == {"kept", *metadata}  # what was given is as it was


def test_a_field_to_leave_out_that_is_not_there_is_said(caplog):
    Corpus.from_documents([Document("a", "word", {"thumb": 1})], drop_fields=["thump"])
    assert "no document has the field 'thump' that is to be left out; did you mean 'thumb'?" in caplog.text
    with pytest.raises(DataError, match="drop_fields takes a list of names"):
        Corpus.from_documents([Document("a", "word")], drop_fields="thumb")


# -- dates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 10**6),
        ("1970-01-01 00:00:01", 10**6),
        ("1970-01-01t09:00+09:00", 0),
        ("1970-01-01T00:00:00.5+0000", 500_000),
        ("1969-12-31T23:59:59.999999999-00:00", -1),
        ("2024-13-01", None),
        ("2024-02-30", None),
        ("2024-01-01T25:00", None),
        ("2024-01-01x", None),
        ("20240101", None),
        ("2024-W01-1", None),
        ("2024-01", None),
        ("", None),
        ("٢٠٢٤-٠١-٠١", None),
    ],
)
def test_points_in_time(text, expected):
    assert instant(text) == expected


moments = st.datetimes(
    dt.datetime(1900, 1, 1),
    dt.datetime(2100, 1, 1),
    timezones=st.sampled_from([dt.UTC, TOKYO, ZoneInfo("Europe/Berlin")]),
)


@given(st.lists(moments, min_size=1, max_size=6), moments)
def test_dates_compare_as_points_in_time_however_they_are_written(given, wanted):
    corpus = corpus_of(*({"t": moment} for moment in given))
    for test, compare in (("gt", "__gt__"), ("gte", "__ge__"), ("lt", "__lt__"), ("lte", "__le__"), ("eq", "__eq__")):
        expected = [n for n, moment in enumerate(given) if getattr(moment.astimezone(dt.UTC), compare)(wanted)]
        for written in (wanted, wanted.isoformat(), wanted.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")):
            assert passing(corpus, {"t": {test: written}}) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"t": {"gte": "2024-01-01T20:00:00Z"}}, [0, 2]),
        ({"t": {"lt": dt.date(2024, 1, 2)}}, [0, 1]),
        ({"t": {"gte": "2024"}}, [0, 1, 2]),
        ({"t": {"lt": "2024-01"}}, []),
        ({"t": "2024-01-02"}, [2]),
        ({"t": {"in": [dt.datetime(2024, 1, 1, 23, tzinfo=dt.UTC), np.datetime64("2024-01-02")]}}, [0, 2]),
        ({"t": {"ne": "2024-01-02T00:00:00+00:00"}}, [0, 1, 3]),
        ({"t": {"prefix": "2024-01-01"}}, [0]),
        ({"t": "yesterday"}, []),
    ],
)
def test_dates_in_filters(condition, expected):
    corpus = corpus_of(
        {"t": "2024-01-01T23:00:00Z"}, {"t": "2024-01-02T01:00:00+09:00"}, {"t": dt.date(2024, 1, 2)}, {}
    )
    assert passing(corpus, condition) == expected


def test_dates_are_not_compared_with_other_things():
    corpus = corpus_of({"t": "2024-01-01", "n": 1, "mixed": "2024-01-01"}, {"mixed": "never"})
    for condition in ({"t": 3}, {"t": {"gt": "yesterday"}}, {"t": True}):
        with pytest.raises(DataError, match="the field 't' holds dates, it cannot be compared with"):
            corpus.fields.mask(condition)
    with pytest.raises(DataError, match="the field 'n' holds numbers, it cannot be compared with '2024-01-01'"):
        corpus.fields.mask({"n": dt.date(2024, 1, 1)})
    assert passing(corpus, {"mixed": "never"}) == [1]
    assert passing(corpus, {"mixed": {"gte": "2023-01-01"}}) == [0]
    assert corpus.fields.field("n").kinds == ["numbers"]


def test_sorted_by_a_date():
    corpus = corpus_of({"t": "2024-01-02"}, {}, {"t": "2024-01-02T03:00:00+09:00"}, {"t": "2023-05-05"})
    assert corpus.sorted_by("t").ids() == ["d3", "d2", "d0", "d1"]


def test_files_of_every_kind_hold_the_same_dates_and_numbers(tmp_path):
    rows = [
        {"id": "a", "text": "word", "price": decimal.Decimal("9.50"), "t": dt.datetime(2024, 1, 1, 23, tzinfo=dt.UTC)},
        {"id": "b", "text": "word", "price": decimal.Decimal("10.00"), "t": dt.datetime(2024, 1, 2, 1, tzinfo=TOKYO)},
    ]
    types = [
        ("id", pa.string()),
        ("text", pa.string()),
        ("price", pa.decimal128(6, 2)),
        ("t", pa.timestamp("us", "UTC")),
    ]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(types)), tmp_path / "c.parquet")
    lines = [{**row, "price": float(row["price"]), "t": row["t"].isoformat()} for row in rows]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    documents = [Document(row["id"], "word", {"price": row["price"], "t": row["t"]}) for row in rows]
    for source in (tmp_path / "c.parquet", tmp_path / "c.jsonl", documents):
        corpus = read_corpus(source)
        assert passing(corpus, {"price": {"gte": 10}}) == [1]
        assert passing(corpus, {"price": decimal.Decimal(10)}) == [1]
        assert passing(corpus, {"t": {"gte": "2024-01-01T20:00:00Z"}}) == [0]
        assert passing(corpus, {"t": {"gte": dt.datetime(2024, 1, 1, 20, tzinfo=dt.UTC)}}) == [0]
        assert passing(corpus, {"t": "2024-01-01T16:00Z"}) == [1]


# -- ids, parts of texts, values that are not there ------------------------------------------------------------------

PAGES = [
    Document("manual/a.md", "word", {"url": "https://x.org/a", "tags": ["red car", "blue"], "id": 7}),
    Document("manual/b.md", "word", {"url": "https://y.org/b", "tags": "Red"}),
    Document("notes", "word", {"year": 1970, "lang": "english"}),
]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"id": "notes"}, [2]),
        ({"id": {"in": ["notes", "manual/a.md"]}}, [0, 2]),
        ({"id": {"prefix": "manual/"}}, [0, 1]),
        ({"id": {"nin": ["notes"]}}, [0, 1]),
        ({"metadata.id": 7}, [0]),
        ({"url": {"prefix": "https://x"}}, [0]),
        ({"url": {"prefix": "https://"}, "id": {"contains": "b.md"}}, [1]),
        ({"url": {"contains": "org"}}, [0, 1]),
        ({"tags": {"contains": "ed"}}, [0, 1]),
        ({"tags": {"prefix": "red"}}, [0]),
        ({"tags": {"contains": ""}}, [0, 1]),
        ({"not": {"url": {"contains": "x.org"}}}, [1, 2]),
    ],
)
def test_ids_and_parts_of_texts(condition, expected):
    corpus = Corpus.from_documents(PAGES)
    assert passing(corpus, condition) == expected


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8), st.text(max_size=4))
def test_parts_of_any_text(texts, part):
    fields = Fields(json.dumps({"x": text}) for text in texts)
    for test, passes in (("prefix", str.startswith), ("contains", str.__contains__)):
        assert [passes(text, part) for text in texts] == fields.mask({"x": {test: part}}).tolist()


def test_parts_are_texts():
    fields = Corpus.from_documents(PAGES).fields
    with pytest.raises(ConfigError, match=r"'url\.prefix' takes a text, got 5"):
        fields.mask({"url": {"prefix": 5}})
    with pytest.raises(DataError, match="the field 'year' holds numbers, it has no texts to look for '19' in"):
        fields.mask({"year": {"prefix": "19"}})


def test_a_value_that_no_document_has_is_said_with_the_nearest(caplog):
    pipeline = Pipeline(retriever=BM25()).fit(PAGES)
    result = pipeline.search("word", filter={"lang": "englsh"})
    assert ([], ["filter: no document has lang = 'englsh'; the nearest value is 'english'"]) == (
        list(result),
        [remark.message for remark in result.remarks],
    )
    assert "nearest value is 'english'" in caplog.text
    for condition, message in (
        ({"year": 1974}, "no document has year = 1974; the nearest value is 1970"),
        ({"id": {"in": ["note", "notes"]}}, "no document has id = 'note'; the nearest value is 'notes'"),
        ({"or": [{"lang": {"ne": "zzz"}}, {"year": 1970}]}, "no document has lang = 'zzz'"),
        ({"not": {"tags": "red cat"}}, "no document has tags = 'red cat'; the nearest value is 'red car'"),
    ):
        assert [entry.message for entry in pipeline.search("word", filter=condition).remarks] == [f"filter: {message}"]
    assert pipeline.search("word", filter={"lang": "english", "year": {"gt": 1800}}).remarks == ()
    pipeline.delete(["notes"])
    (remark,) = pipeline.search("word", filter={"lang": "english"}).remarks
    assert remark.message == "filter: no document has lang = 'english'"


def test_the_nearest_of_very_many_texts_is_soon_known():
    fields = Fields(json.dumps({"x": f"item {n:06d} of many"}) for n in range(30_000))
    (remark,) = fields.remarks({"x": "item 012345 of mny"})
    assert remark.message.endswith("the nearest value is 'item 012345 of many'")


# -- what is there no more -------------------------------------------------------------------------------------------


def test_a_field_filters_as_before_when_its_last_document_went(tmp_path):
    rest = [Document(f"x{n}", "cat") for n in range(9)]
    pipeline = Pipeline(retriever=BM25()).fit([Document("a", "cat", {"year": 1, "by": {"name": "Z"}}), *rest])

    def check(pipeline):
        for condition, expected in (
            ({"year": {"exists": False}}, 9),
            ({"year": 1}, 0),
            ({"year": {"gte": 0}}, 0),
            ({"year": {"ne": 1}}, 9),
            ({"by.name": "Z"}, 0),
        ):
            assert len(pipeline.search("cat", filter=condition, top_k=50)) == expected
        with pytest.raises(DataError, match="the field 'year' holds numbers, it cannot be compared with 'x'"):
            pipeline.search("cat", filter={"year": "x"})
        with pytest.raises(DataError, match="no document has the field 'yeer'; did you mean 'year'"):
            pipeline.search("cat", filter={"yeer": 1})

    pipeline.delete(["a"])
    check(pipeline)
    pipeline.compact()
    check(pipeline)
    pipeline.save(tmp_path / "index")
    loaded = Pipeline.load(tmp_path / "index")
    check(loaded)
    loaded.add([Document("new", "dog")])
    loaded.delete(["new"])
    loaded.compact()
    check(loaded)


def test_a_field_that_changed_metadata_no_longer_have_filters_as_before(tmp_path):
    pipeline = Pipeline(retriever=BM25()).fit([Document("a", "cat", {"year": 1}), Document("b", "cat")])
    assert pipeline.add([Document("a", "cat")]).updated == 1
    assert len(pipeline.search("cat", filter={"year": {"exists": False}})) == 2
    pipeline.save(tmp_path / "index")
    assert len(Pipeline.load(tmp_path / "index").search("cat", filter={"year": {"ne": 1}})) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x", ["x", "y"]),
        (["x"], "y"),
        (1, "y"),
        ("x", 1),
        (True, 1),
        ({"a": 1}, "x"),
        (1, {"a": "x"}),
        ("x", None),
        ([], [1]),
    ],
)
def test_add_takes_what_fit_takes(first, second):
    documents = [Document("a", "cat", {"tags": first}), Document("b", "cat", {"tags": second})]
    fitted = Pipeline(retriever=BM25()).fit(documents)
    added = Pipeline(retriever=BM25()).fit(documents[:1])
    assert added.add(documents[1:]).added == 1
    assert list(fitted.corpus) == list(added.corpus)
    for condition in ({"tags": "x"}, {"tags": 1}, {"tags": {"exists": True}}):
        try:
            expected = passing(fitted.corpus, condition)
        except DataError:
            continue
        assert passing(added.corpus, condition) == expected


# -- strict JSON -----------------------------------------------------------------------------------------------------


def test_strict_json_has_no_nan():
    value = {"a": float("nan"), "b": [float("inf"), -float("inf"), 1.5], 3: ("x", None, True, 10**400)}
    assert strict_json(value) == {"a": None, "b": [None, None, 1.5], "3": ["x", None, True, 10**400]}
