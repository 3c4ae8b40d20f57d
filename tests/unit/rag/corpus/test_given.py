"""What is given in Python: frames, tables, dictionaries, documents of LangChain."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from langchain_core.documents import Document as LangChainDocument

from rag import DataError, Document, read_corpus
from rag.corpus.readers.given import content_id

ROWS = [{"id": "a", "text": "x", "year": 1999}, {"id": "b", "text": "y", "year": None}]
DOCUMENTS = [Document("a", "x", {"year": 1999}), Document("b", "y")]


def frames():
    import pandas as pd
    import polars as pl

    yield "dictionaries", ROWS
    yield "an iterator", iter(ROWS)
    yield "arrow", pa.Table.from_pylist(ROWS)
    yield "polars", pl.DataFrame(ROWS)
    yield "pandas", pd.DataFrame(ROWS).astype({"year": "Int64"})


@pytest.mark.parametrize(("kind", "given"), list(frames()), ids=lambda value: value if isinstance(value, str) else "")
def test_tables_and_rows(kind, given):
    assert list(read_corpus(given)) == DOCUMENTS


def test_ids_are_made_of_the_content():
    rows = [{"text": "x", "n": 1}, {"text": "y"}, {"text": "x", "n": 2}, {"text": "x", "n": 1}]
    corpus = read_corpus(rows)
    assert corpus.ids()[:2] == [content_id("x"), content_id("y")]
    assert corpus.texts() == ["x", "y", "x"]
    assert read_corpus(rows[::-1]).ids()[2] == content_id("y")
    (remark,) = corpus.remarks
    assert (remark.code, remark.count, remark.examples) == ("copies_left_out", 1, ("row 3",))


def test_documents_of_langchain():
    given = [
        LangChainDocument("x", metadata={"source": "a.txt", "page": 3}),
        LangChainDocument(id="b", page_content="y"),
    ]
    assert list(read_corpus(given)) == [
        Document(content_id("x"), "x", {"source": "a.txt", "page": 3}),
        Document("b", "y"),
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (5, "cannot read documents from a int"),
        (b"x", "cannot read documents from a bytes"),
        ({"text": "x"}, "cannot read documents from a dict"),
        (pa.table({"a": [1]}), "row 0: no text field"),
    ],
)
def test_what_is_refused(given, expected):
    with pytest.raises(DataError, match=expected):
        read_corpus(given)


def test_columns_that_give_way_to_metadata_are_said(tmp_path):
    rows = [{"id": str(n), "text": "x", "year": n, "metadata": {"year": 5}} for n in (4, 5)]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    corpus = read_corpus(path)
    assert [document.metadata for document in corpus] == [{"year": 5}, {"year": 5}]
    (remark,) = corpus.remarks
    assert (remark.code, remark.count, remark.total) == ("columns_hidden", 1, 2)
    assert "in 1 rows the column 'year' gave way" in remark.message
