"""Reading documents of every format, and what is wrong with them."""

from __future__ import annotations

import csv
import json
import re
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import Corpus, DataError, Document, read_corpus, read_documents

ROWS = [
    {"_id": "a", "title": "Cats", "text": "żółw 猫 🐕", "url": "http://x", "metadata": {"year": 1999}},
    {"_id": "b", "title": "", "text": 'two\nlines, "quoted"\n\nand a blank one'},
    {"_id": "c", "text": ""},
]
DOCUMENTS = [
    Document("a", "Cats\nżółw 猫 🐕", {"title": "Cats", "url": "http://x", "year": 1999}),
    Document("b", 'two\nlines, "quoted"\n\nand a blank one'),
    Document("c", ""),
]
FLAT = [{k: v for k, v in row.items() if k != "metadata"} for row in ROWS]
FLAT_DOCUMENTS = [Document("a", DOCUMENTS[0].text, {"title": "Cats", "url": "http://x"}), *DOCUMENTS[1:]]


def jsonl(path: Path, rows=ROWS) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def table(path: Path, delimiter: str, rows=FLAT) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["_id", "title", "text", "url"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def message_of(source, **options) -> str:
    with pytest.raises(DataError) as caught:
        list(read_corpus(source, **options))
    return str(caught.value)


# -- formats ------------------------------------------------------------------------------------------------------


def test_beir_folder(tmp_path):
    jsonl(tmp_path / "corpus.jsonl")
    (tmp_path / "notes.txt").write_text("not part of it")
    assert DOCUMENTS == list(read_corpus(tmp_path))


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".JSONL"])
def test_jsonl(tmp_path, suffix):
    assert DOCUMENTS == list(read_corpus(str(jsonl(tmp_path / f"x{suffix}"))))


def test_jsonl_with_blank_lines_a_byte_order_mark_and_crlf(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a", "text": "x"}\r\n\r\n  \n{"id": "b", "text": "y"}')
    assert list(read_corpus(path)) == [Document("a", "x"), Document("b", "y")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_keeps_line_breaks_and_blank_lines_inside_quotes(tmp_path, delimiter):
    assert list(read_corpus(table(tmp_path / "x.csv", delimiter), separator=delimiter)) == FLAT_DOCUMENTS


def test_in_tsv_a_line_is_a_row(tmp_path):
    message = message_of(table(tmp_path / "x.tsv", "\t"))
    assert message == (
        f"{tmp_path}/x.tsv:3: fewer values than the first line has columns (3 instead of 4); in TSV a "
        "line is a row: a file with line ends inside quotes is CSV, separated by tabs"
    )


def test_csv_with_blank_lines_between_rows(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id,text\n\n1,one\n   \n2,two\n\n")
    assert list(read_corpus(path)) == [Document("1", "one"), Document("2", "two")]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_any_text_goes_through_csv_and_jsonl(tmp_path_factory, texts):
    folder = tmp_path_factory.getbasetemp()
    rows = [{"_id": str(number), "text": text} for number, text in enumerate(texts)]
    expected = [Document(row["_id"], row["text"]) for row in rows]
    assert list(read_corpus(jsonl(folder / "any.jsonl", rows))) == expected
    assert list(read_corpus(table(folder / "any.csv", ",", rows))) == expected


def test_parquet(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet")
    assert DOCUMENTS == list(read_corpus(tmp_path / "x.parquet"))


def test_datasets_object():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset

        dataset = Dataset.from_list(FLAT)
    assert FLAT_DOCUMENTS == list(read_corpus(dataset))


def test_folder_of_texts_takes_relative_paths_as_ids(tmp_path):
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    files = {
        "b.txt": "bee",
        "a.md": "# ä",
        "sub/c.rst": "see",
        "sub/deep/d.MARKDOWN": "dee",
        "sub/x.dat": "<p>",
        "e.TXT": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    expected = {name: text for name, text in files.items() if not name.endswith("dat")}
    documents = list(read_corpus(tmp_path))
    assert {document.id: document.text for document in documents} == expected
    assert sorted(expected) == [document.id for document in documents]
    assert str(tmp_path / "a.md") == documents[0].metadata["path"]


def test_one_text_file(tmp_path):
    (tmp_path / "x.md").write_text("# one")
    metadata = {"title": "one", "path": str(tmp_path / "x.md"), "format": "markdown"}
    assert [Document("x.md", "# one", metadata)] == list(read_corpus(tmp_path / "x.md"))


def test_documents_corpora_and_generators():
    corpus = read_corpus(DOCUMENTS)
    assert DOCUMENTS == list(corpus)
    assert corpus is read_corpus(corpus)
    assert DOCUMENTS == list(read_corpus(document for document in DOCUMENTS))


@pytest.mark.parametrize("field", ["_id", "id", "doc_id", "docid"])
@pytest.mark.parametrize("text_field", ["text", "contents", "content", "body"])
def test_usual_names_of_fields(tmp_path, field, text_field):
    assert list(read_corpus(jsonl(tmp_path / "x.jsonl", [{field: "1", text_field: "x"}]))) == [Document("1", "x")]


def test_named_fields(tmp_path):
    path = jsonl(tmp_path / "x.jsonl", [{"id": "1", "key": "k", "text": "x", "abstract": "y"}])
    corpus = read_corpus(path, id_field="key", text_field="abstract")
    assert list(corpus) == [Document("k", "y", {"id": "1", "text": "x"})]


def test_whole_numbers_become_ids_as_written(tmp_path):
    path = jsonl(tmp_path / "x.jsonl", [{"id": 7, "text": "x"}, {"id": "007", "text": "y"}])
    assert read_corpus(path).ids() == ["7", "007"]


def test_a_title_stands_before_the_text(tmp_path):
    rows = [{"id": "1", "title": "T", "text": None}, {"id": "2", "title": 5, "text": "x"}]
    assert list(read_corpus(jsonl(tmp_path / "x.jsonl", rows))) == [
        Document("1", "T", {"title": "T"}),
        Document("2", "x", {"title": 5}),
    ]


def test_documents_are_read_as_they_are_asked_for(tmp_path):
    path = jsonl(tmp_path / "x.jsonl")
    path.write_text(path.read_text(encoding="utf-8") + "broken\n", encoding="utf-8")
    documents = read_documents(path)
    assert DOCUMENTS == [next(documents) for _ in DOCUMENTS]
    with pytest.raises(DataError, match="x.jsonl:4: not JSON"):
        next(documents)


def test_a_line_of_a_megabyte(tmp_path):
    text = "word " * 250_000
    for path in (
        jsonl(tmp_path / "x.jsonl", [{"_id": "1", "text": text}]),
        table(tmp_path / "x.csv", ",", [{"_id": "1", "text": text}]),
    ):
        assert list(read_corpus(path)) == [Document("1", text)]


# -- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.jsonl", "", "the corpus is empty: no document to index"),
        ("x.csv", "", "the corpus is empty: no document to index"),
        ("x.csv", "id,text\n", "the corpus is empty: no document to index"),
        ("x.jsonl", '{"id": "1", "text": "x"}\n{"id": ', "{}:2: not JSON: Expecting value at column 8"),
        ("x.jsonl", "[1]\n", "{}:1: expected a JSON object, got [1]"),
        ("x.jsonl", "[" * 200_000, "{}:1: not JSON that can be read: maximum recursion depth exceeded"),
        ("x.jsonl", '{"id": "1", "text": "x", "n": ' + "9" * 5000 + "}", "{}:1: not JSON that can be read: Exceeds"),
        ("x.jsonl", b'{"id": "1", "text": "x"}\n\n{"id": "2", "text": "\xff"}', "{}:3: not valid UTF-8: byte 0xff at"),
        ("x.csv", b"id,text\n1,\xe9\n", "{}:2: not valid UTF-8: byte 0xe9 at offset 2; save it as UTF-8"),
        ("x.tsv", "id\ttext\n".encode("utf-16"), "{}:1: not valid UTF-8: byte 0xff at offset 0 (it looks like UTF-16)"),
        ("x.yaml", b"type: dataset", "{}: expected documents; rag datasets convert"),
        ("x.jsonl", '{"text": "x"}', "{}:1: no id field '_id or id or doc_id or docid' (--id-field"),
        ("x.jsonl", '{"id": "1", "txt": "x"}', "{}:1: no text field 'text or contents or content or body' (--text"),
        ("x.jsonl", '{"id": "1", "text": "x"}\n{"_id": "2", "text": "y"}', "{}:2: the id 'id' is missing"),
        ("x.jsonl", '{"id": "1", "text": "x"}\n{"id": "2"}', "{}:2: 'text' is missing"),
        ("x.jsonl", '{"id": "1", "text": 5}', "{}:1: 'text' must be a string, got 5"),
        ("x.jsonl", '{"id": "1", "text": ["x"]}', "{}:1: 'text' must be a string, got ['x']"),
        ("x.jsonl", '{"id": null, "text": "x"}', "{}:1: the id 'id' must be a non-empty string, got None"),
        ("x.jsonl", '{"id": "", "text": "x"}', "{}:1: the id 'id' must be a non-empty string, got ''"),
        ("x.jsonl", '{"id": 1.5, "text": "x"}', "{}:1: the id 'id' must be a non-empty string, got 1.5"),
        ("x.jsonl", '{"id": true, "text": "x"}', "{}:1: the id 'id' must be a non-empty string, got True"),
        ("x.jsonl", '{"id": ["1"], "text": "x"}', "{}:1: the id 'id' must be a non-empty string, got ['1']"),
        (
            "x.jsonl",
            '{"id": 1, "text": "x"}\n{"id": "1", "text": "y"}',
            "{}:2: two documents have the id '1': ids must be unique in a corpus",
        ),
        ("x.jsonl", '{"id": "1", "text": "\\ud800"}', "{}:1: a document holds text that is not valid Unicode (a lone"),
        ("x.csv", "id,text\n1,x,y\n", "{}:2: more values than the first line has columns"),
        ("x.csv", "id,text\n\n1,x\n\n2,x,y\n", "{}:5: more values than the first line has columns"),
        ("x.csv", "id,text\n,x\n", "{}:2: the id 'id' must be a non-empty string, got ''"),
        ("x.parquet", "no parquet", "{}: cannot be read as Parquet: "),
        ("x.docx", "", "{}: is empty"),
        ("x.dat", "", "{}: unknown format '.dat' (valid: .1, .2, "),
        ("x", "", "{}: unknown format '' (valid: "),
    ],
)  # fmt: skip
def test_files_that_are_wrong(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = message_of(path)
    assert message.startswith(expected.replace("{}", str(path), 1))
    assert "\n" not in message


def test_paths_that_are_wrong(tmp_path):
    assert (
        message_of(tmp_path / "no.jsonl")
        == f"{tmp_path}/no.jsonl: no such file or folder (a dataset on the Hub is written hf:owner/name)"
    )
    (tmp_path / "x.dat").write_text("")
    assert message_of(tmp_path) == (
        f"{tmp_path}: the folder has neither a corpus.jsonl nor any document, nor a table; it has 1 .dat"
    )
    assert re.fullmatch("a{200}: cannot be read: File name too long", message_of("a" * 5000))


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.txt"])
def test_a_file_that_cannot_be_read(tmp_path, name):
    (tmp_path / name).symlink_to("/proc/self/mem")  # opens, and fails when read, for root too
    assert message_of(tmp_path / name) == f"{tmp_path / name}: cannot be read: Input/output error"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ([], "the corpus is empty: no document to index"),
        (["text"], "text: no such file or folder"),
        ([Document("a", "x"), "text"], "expected a rag.Document, got str: 'text'"),
        ([{"id": "1", "text": "x"}, "y"], "row 1: expected a dictionary as those before, got str: 'y'"),
        ([{"txt": "x"}], "row 0: no text field 'text or contents or content or body' (--text-field names another)"),
        ([Document("a", "x"), Document("a", "y")], "two documents have the id 'a': ids must be unique in a corpus"),
        ([Document(1, "x")], "a document's id must be a non-empty string, got 1"),
        ([Document("", "x")], "a document's id must be a non-empty string, got ''"),
        ([Document("a", None)], "document 'a': its text must be a string, got NoneType"),
        ([Document("a", b"x")], "document 'a': its text must be a string, got bytes"),
        ([Document("a", "x", {"y": object()})], "document 'a': its metadata field 'y' holds object, which is not JSON"),
        ([Document("a", "x", "no mapping")], "document 'a': its metadata is not JSON: "),
        ([Document("a", "\ud800")], "a document holds text that is not valid Unicode"),
        (5, "cannot read documents from a int"),
        (None, "cannot read documents from a NoneType"),
    ],
)
def test_objects_that_are_wrong(source, expected):
    assert message_of(source).startswith(expected)


def test_a_dataset_on_the_hub_that_cannot_be_had_offline():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert message_of("hf:no-such/dataset#train").startswith("hf:no-such/dataset#train: cannot load the dataset: ")


def test_documents_without_text_are_told_in_one_line(caplog):
    read_corpus([Document("a", "x"), Document("b", ""), Document("c", " \n")])
    assert caplog.messages == [
        "2 of 3 documents have no text (such as b); they are kept, but nothing in them can match"
    ]


def test_nothing_half_written_is_left(tmp_path):
    path = tmp_path / "corpus.arrow"
    message_of([Document("a", "x"), Document("a", "y")], path=path)
    assert list(tmp_path.iterdir()) == []
    Corpus.from_documents([Document("a", "x")], path=path)
    assert list(tmp_path.iterdir()) == [path]
