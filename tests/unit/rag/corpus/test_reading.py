"""Delimited files, encodings, packed files, parts and folders: every row is read, refused or counted."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rag import ArtifactError, ConfigError, Corpus, DataError, Document, Pipeline, read_corpus, read_documents
from rag.remarks import Remarks
from rag.retrievers import BM25

EXAMPLES = int(os.environ.get("RAG_FUZZ_EXAMPLES", "60"))
"""Files of each fuzz; set RAG_FUZZ_EXAMPLES for more."""


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(source, **options) -> dict[str, str]:
    return {document.id: document.text for document in read_corpus(source, **options)}


def message_of(source, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_corpus(source, **options)
    return str(caught.value)


# -- delimited files ----------------------------------------------------------------------------------------------


def test_a_quote_in_tsv_is_a_character_unless_it_opens_and_closes_the_cell(tmp_path):
    path = file(
        tmp_path,
        "x.tsv",
        'id\ttext\n1\t"To be\n2\tor not"\n3\t"to ""be"""\n4\t"To be" or "not"\n5\t"a\tb"\n6\t"\n7\t""\n8\t5\'11"\r\n',
    )
    assert texts(path) == {
        "1": '"To be',
        "2": 'or not"',
        "3": 'to "be"',
        "4": '"To be" or "not"',
        "5": "a\tb",
        "6": '"',
        "7": "",
        "8": "5'11\"",
    }


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.csv", 'id,text\n1,"apple\n2,pear\n3,plum\n', "{}:2: a quote in the row that begins here is never closed"),
        ("x.csv", 'id,text\n0,x\n1,"apple" pie\n', "{}:3: text behind a closing quote (a quote inside"),
        ("x.csv", 'id,text\n1,"a\nb" c\n', "{}:3: text behind a closing quote, in the row that begins at {}:2 (a"),
        ("x.csv", "id,lang,text\n1,en,apple\n2,en\n", "{}:3: fewer values than the first line has columns (2"),
        ("x.csv", 'id,text\n1,"a\nb"\n2\n', "{}:4: fewer values than the first line has columns (1 instead of 2)"),
        ("x.tsv", "id\ttext\n1\ta\tb\n", "{}:2: more values than the first line has columns (3 instead of 2)"),
        ("x.csv", "id,text,text\n1,a,b\n", "{}:1: two columns are called 'text'"),
        ("x.csv", "id;text\n1;a\n", "{}:2: no id field '_id or id or doc_id or docid' (--id-field names another); it "
         "has: id;text; are columns separated by ';'? then say so"),
        ("x.csv", "id,text\r1,a\r2,b\r", "{}:1: a carriage return inside a cell without quotes"),
        ("x.tsv", "id\ttext\r1\ta\r", "{}:1: lines end with a carriage return alone"),
        ("x.json", '[{"id": "1", "text": "a"},\n {"id": "2", "text": }]', "{}:2: not JSON: Expecting value at col"),
        ("x.json", '[{"id": "1", "text": "a"}', "{}:1: not JSON: the array is not closed at column 26"),
        ("x.json", '[{"id": "1", "text": "a"}] x', "{}:1: not JSON: something follows the array"),
        ("x.json", '[{"id": "1", "text": "a"}\n{}]', "{}:2: not JSON: Expecting ',' or ']' at column 1"),
        ("x.json", "[1]", "{}:1: expected a JSON object, got 1]"),
        ("x.jsonl.gz", b"no gzip", "{}: cannot be read: Not a gzipped file"),
        ("x.jsonl.gz", gzip.compress(b'{"id": "1", "text": "a"}\n', mtime=0)[:-9], "{}: cannot be read: the compress"),
        ("x.jsonl", '{"id": "1", "content": {"body": "x"}}', "{}:1: 'content' must be a string, got {'body': 'x'} (a "
         "field inside it is named with a dot: content.body)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path, name, content, expected):
    path = file(tmp_path, name, content)
    message = message_of(path)
    assert message.startswith(expected.replace("{}", str(path)))
    assert "\n" not in message


def test_rows_of_empty_cells_are_counted(tmp_path, caplog):
    corpus = read_corpus(file(tmp_path, "x.csv", "id,text\n1,a\n,\n\n2,b\n , \n"))
    assert corpus.ids() == ["1", "2"]
    assert corpus.remarks.messages == ["2 rows have only empty cells and were left out"]
    assert caplog.messages == corpus.remarks.messages


def test_separators_and_encodings(tmp_path):
    content = "id;text\n1;naïve café\n2;żółw\n".replace("żółw", "über")
    for encoding in ("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        path = file(tmp_path, f"{encoding}.csv", content.encode(encoding))
        assert texts(path, separator=";", encoding=encoding) == {"1": "naïve café", "2": "über"}
    assert texts(file(tmp_path, "x.csv", 'id\ttext\n1\t"a\nb"\n'), separator="tab") == {"1": "a\nb"}
    assert "not valid utf-16-le, here or soon after" in message_of(
        file(tmp_path, "y.csv", content.encode("utf-16-le") + b"\x00"), separator=";", encoding="utf-16-le"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ";;"}, "separator: must be one character"),
        ({"separator": '"'}, "separator: must be one character"),
        ({"encoding": "utf-9"}, "encoding: unknown encoding 'utf-9'; did you mean 'utf-"),
        ({"encoding": "base64"}, "encoding: unknown encoding 'base64'"),
        ({"on_error": "ignore"}, "on_error: must be 'report', 'stop' or 'skip', got 'ignore'"),
    ],
)
def test_options_that_are_wrong(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_corpus([Document("a", "x")], **options)


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.tsv", "x.json", "x.txt"])
def test_a_byte_order_mark_is_dropped(tmp_path, name):
    content = {
        "x.jsonl": '{"id": "1", "text": "a"}', "x.csv": "id,text\n1,a", "x.tsv": "id\ttext\n1\ta",
        "x.json": '[{"id": "1", "text": "a"}]', "x.txt": "a",
    }[name]  # fmt: skip
    assert list(texts(file(tmp_path, name, b"\xef\xbb\xbf" + content.encode())).values()) == ["a"]


@pytest.mark.parametrize("pack", [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_packed_files(tmp_path, pack):
    suffix, compress = pack
    for name, content in (
        ("x.jsonl", '{"id": "1", "text": "a"}'), ("x.csv", 'id,text\n1,"a"\n'), ("x.tsv", "id\ttext\n1\ta\n"),
        ("x.json", ' [ {"id": "1",\n"text": "a"} ] '), ("x.NDJSON", '{"id": "1", "text": "a"}'),
    ):  # fmt: skip
        assert texts(file(tmp_path, f"{name}.{suffix}", compress(content.encode()))) == {"1": "a"}


def test_nested_fields_by_dotted_names(tmp_path):
    row = {"meta": {"key": "1", "lang": "en"}, "content": {"body": "a", "head": "T"}, "a.b": "own name"}
    path = file(tmp_path, "x.jsonl", json.dumps(row))
    fields = {"id_field": "meta.key", "text_field": "content.body", "title_field": "content.head"}
    assert list(read_corpus(path, **fields)) == [
        Document("1", "T\na", {"meta": {"lang": "en"}, "a.b": "own name", "title": "T"})
    ]
    assert texts(path, id_field="meta.key", text_field="a.b") == {"1": "own name"}
    assert "no text field 'content.bod'" in message_of(path, id_field="meta.key", text_field="content.bod")


@pytest.mark.parametrize(
    ("value", "metadata"),
    [('{"lang": "en"}', {"lang": "en"}), ("plain", {"metadata": "plain"}), ("{no", {"metadata": "{no"}),
     ([1], {"metadata": [1]}), ("", {}), (None, {}), ({"lang": "en"}, {"lang": "en"})],
)  # fmt: skip
def test_what_stands_under_metadata_is_kept(tmp_path, value, metadata):
    path = file(tmp_path, "x.jsonl", json.dumps({"id": "1", "text": "a", "metadata": value}))
    assert read_corpus(path)[0].metadata == metadata


# -- parts and folders --------------------------------------------------------------------------------------------


def part(folder: Path, name: str, *ids: str) -> Path:
    return file(folder, name, "".join(json.dumps({"id": id, "text": f"text {id}"}) + "\n" for id in ids))


def test_parts_in_a_folder_a_pattern_and_a_list(tmp_path):
    paths = [part(tmp_path, f"p/part-000{number}.jsonl", f"{number}a", f"{number}b") for number in range(3)]
    expected = ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert read_corpus(tmp_path / "p").ids() == expected
    assert read_corpus(f"{tmp_path}/*/part-*.jsonl").ids() == expected
    assert read_corpus(paths[:2]).ids() == expected[:4]
    assert read_corpus([str(tmp_path / "p"), paths[0]]).ids() == expected
    assert message_of(f"{tmp_path}/q*") == f"{tmp_path}/q*: no file matches"


def test_texts_of_a_pattern_and_a_list_have_ids_of_their_own(tmp_path):
    paths = [file(tmp_path, f"{name}/README.md", name) for name in "ab"]
    assert texts(f"{tmp_path}/**/*.md") == {"a/README.md": "a", "b/README.md": "b"}
    assert texts(paths) == {"a/README.md": "a", "b/README.md": "b"}


def test_a_folder_says_what_it_did_not_read(tmp_path, caplog):
    for number in range(22):
        file(tmp_path, f"{number:02}.dat", "<p>")
    file(tmp_path, "LICENSE", "free")
    file(tmp_path, ".git/x.txt", "hidden")
    message = f"{tmp_path}: the folder has neither a corpus.jsonl nor any document, nor a table"
    assert message_of(tmp_path) == f"{message}; it has 22 .dat, 1 without suffix"
    file(tmp_path, "x.md", "read")
    corpus = read_corpus(tmp_path)
    (remark,) = corpus.remarks
    assert remark.message == f"{tmp_path}: 23 of 24 files were not read: 22 .dat, 1 without suffix (read were: .md)"
    assert (remark.code, remark.count, remark.total, remark.examples[0]) == ("files_not_read", 23, 24, "00.dat")
    assert caplog.messages == [remark.message]
    corpus.write(tmp_path / "kept.arrow")
    assert list(Corpus.open(tmp_path / "kept.arrow").remarks) == [remark]


def test_a_beir_folder_is_read_whole_and_what_lies_beside_it_is_said(tmp_path):
    part(tmp_path, "corpus.jsonl", "1")
    file(tmp_path, "queries.jsonl", "")
    file(tmp_path, "qrels/test.tsv", "")
    assert len(read_corpus(tmp_path).remarks) == 0
    part(tmp_path, "more.jsonl", "2")
    assert read_corpus(tmp_path).remarks.messages == [
        f"{tmp_path}: 1 of 2 files were not read: 1 .jsonl (read were: .jsonl)"
    ]
    (tmp_path / "corpus.jsonl").rename(tmp_path / "x")
    file(tmp_path, "corpus.jsonl.gz", gzip.compress((tmp_path / "x").read_bytes()))
    assert read_corpus(tmp_path).ids() == ["1"]


def test_a_snapshot_of_the_hub(tmp_path):
    revision = tmp_path / "datasets--me--set" / "snapshots" / "abc"
    blobs = tmp_path / "datasets--me--set" / "blobs"
    file(tmp_path, "datasets--me--set/refs/main", "abc")
    file(revision, "README.md", "---\nlicense: mit\n---")
    blobs.mkdir()
    (revision / "data").mkdir()
    for split, ids in (("train", "abcd"), ("test", "ef")):
        for number in range(2):
            rows = [{"id": id, "text": id} for id in ids[number::2]]
            pq.write_table(pa.Table.from_pylist(rows), blobs / f"{split}{number}")
            (revision / f"data/{split}-0000{number}-of-00002.parquet").symlink_to(blobs / f"{split}{number}")
    for folder in (revision, revision.parent.parent):
        corpus = read_corpus(folder)
        assert corpus.ids() == ["a", "c", "b", "d"]
        assert "3 of 5 files were not read: 2 .parquet, 1 .md" in corpus.remarks.messages[0]
    assert read_corpus(f"{revision}/data/test-*.parquet").ids() == ["e", "f"]
    (blobs / "train1").unlink()
    assert "train-00001-of-00002.parquet: is a broken link" in message_of(revision)


def test_tables_of_which_it_is_not_clear_what_is_wanted(tmp_path):
    part(tmp_path, "test.jsonl", "1")
    part(tmp_path, "dev.jsonl", "2")
    assert message_of(tmp_path).startswith(f"{tmp_path}: has parts of several tables (dev, test): name the files")
    file(tmp_path, "x.csv", "id,text\n")
    assert message_of(tmp_path).startswith(f"{tmp_path}: has tables of several formats (2 .jsonl, 1 .csv): name those")


# -- skipping -----------------------------------------------------------------------------------------------------


def test_bad_rows_and_files_are_skipped_and_counted(tmp_path, caplog):
    file(tmp_path, "p/a.csv", 'id,text\n1,"apple\n2,pear\n3\n,x\n2,again\n4,plum\n')
    file(tmp_path, "p/b.csv", b"id,text\n5,\xff\n6,x\n")
    file(tmp_path, "p/c.csv", "id,id\n")
    corpus = read_corpus(tmp_path / "p", on_error="skip")
    assert corpus.ids() == ["2", "4", "6"]
    rows, files = corpus.remarks
    assert (rows.code, rows.count, rows.total) == ("rows_skipped", 5, 8)
    assert [re.sub(r".*/p/(\w\.csv:\d+): .*", r"\1", text) for text in rows.examples] == [
        "a.csv:2", "a.csv:4", "a.csv:5", "a.csv:6", "b.csv:2",
    ]  # fmt: skip
    assert (files.code, files.count, files.examples) == (
        "files_skipped", 1, (f"{tmp_path}/p/c.csv:1: two columns are called 'id'",),
    )  # fmt: skip
    assert caplog.messages == corpus.remarks.messages


def test_the_first_ten_are_named(tmp_path):
    remarks = Remarks()
    lines = [f'{{"id": "{number}"' + (', "text": "x"}' if number < 2 else "") for number in range(20)]
    documents = list(read_documents(file(tmp_path, "x.jsonl", "\n".join(lines)), on_error="skip", remarks=remarks))
    (remark,) = remarks
    assert (len(documents), remark.count, remark.total, len(remark.examples)) == (2, 18, 20, 10)
    assert message_of(tmp_path / "x.jsonl").startswith(f"{tmp_path}/x.jsonl:3: not JSON")


def test_nothing_but_bad_rows_is_an_error_that_names_them(tmp_path):
    path = file(tmp_path, "x.jsonl", "[1]\n")
    assert message_of(path, on_error="skip") == (
        "the corpus is empty: no document to index; 1 of 1 rows could not be read and were skipped: "
        f"{path}:1: expected a JSON object, got [1]"
    )


# -- fuzz ---------------------------------------------------------------------------------------------------------

ODD = st.sampled_from(
    ['"', '""', ",", ";", "\t", "\n", "\r\n", "\r", " ", "\u2028", "\x0b", "\x85", "\ufeff", "'", "\\"]
)
CELL = st.lists(ODD | st.text(st.characters(codec="utf-8"), max_size=5), max_size=6).map("".join)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzz
@given(cells=st.lists(CELL, min_size=1, max_size=6), encoding=ENCODINGS, separator=st.sampled_from(",;\t|"),
       quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), end=st.sampled_from(["\n", "\r\n"]),
       packed=st.booleans())  # fmt: skip
def test_fuzz_csv_as_it_was_written(tmp_path, cells, encoding, separator, quoting, end, packed):
    if any("\r" in cell for cell in cells):
        quoting = csv.QUOTE_ALL  # Python's writer leaves a carriage return bare where lines end with line feeds
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerows([["id", "text"], *([str(number), cell] for number, cell in enumerate(cells))])
    data = text.getvalue().encode(encoding)
    path = file(tmp_path, "x.csv.gz" if packed else "x.csv", gzip.compress(data, 1, mtime=0) if packed else data)
    read_texts = [document.text for document in read_documents(path, separator=separator, encoding=encoding)]
    assert read_texts == cells


@fuzz
@given(cells=st.lists(CELL, min_size=1, max_size=6), encoding=ENCODINGS)
@example(cells=["a", "\ufeffb"], encoding="utf-8-sig")
@example(cells=['"To be', "pear", "plum"], encoding="utf-8")
@example(cells=['"To be', 'or not"'], encoding="utf-8")
def test_fuzz_tsv_without_quoting(tmp_path, cells, encoding):
    # As most programs write it: nothing is quoted. What opens and closes with a quote is the one thing they cannot say.
    cells = [re.sub(r"[\t\n\r]", " ", cell).strip('"') if re.fullmatch('".*"', cell) else cell for cell in cells]
    cells = [re.sub(r"[\t\n\r]", " ", cell) for cell in cells]
    cells = [cell.strip('"') if re.fullmatch('".*"', cell) else cell for cell in cells]
    lines = ["id\ttext", *(f"{number}\t{cell}" for number, cell in enumerate(cells))]
    path = file(tmp_path, "x.tsv", ("\n".join(lines) + "\n").encode(encoding))
    read_texts = [document.text for document in read_documents(path, encoding=encoding)]
    assert read_texts == cells


@fuzz
@given(cells=st.lists(CELL, min_size=1, max_size=6), cut=st.integers(1, 40))
def test_fuzz_a_file_that_ends_too_early_loses_no_row_before_its_end(tmp_path, cells, cut):
    doubled = [cell.replace('"', '""') for cell in cells]
    rows = [f'"{number}","{cell}"\n' for number, cell in enumerate(doubled)]
    kept = "".join(rows)[:-cut]
    n_whole = sum(len("".join(rows[: number + 1])) <= len(kept) for number in range(len(rows)))
    path = file(tmp_path, "x.csv", "id,text\n" + kept)
    try:
        read_texts = [document.text for document in read_documents(path)]
    except DataError as error:
        assert re.match(rf"{re.escape(str(path))}:\d+: ", str(error))  # noqa: PT017
    else:
        assert read_texts[:n_whole] == cells[:n_whole]


@fuzz
@given(rows=st.lists(CELL, min_size=1, max_size=6), name=st.sampled_from(["x.csv", "x.tsv"]))
def test_fuzz_files_of_any_characters_are_read_or_refused_with_a_line(tmp_path, rows, name):
    mark = "\t" if name.endswith("tsv") else ","
    lines = [f"id{mark}text", *(f"{number}{mark}{row}" for number, row in enumerate(rows))]
    path = file(tmp_path, name, "\n".join(lines))
    try:
        n_read = sum(1 for _ in read_documents(path))
    except DataError as error:
        assert re.match(rf"{re.escape(str(path))}:\d+: ", str(error))  # noqa: PT017
    else:
        quotes = name == "x.csv" and any('"' in row for row in rows)
        assert n_read >= len(rows) or quotes  # in CSV, quotes may join rows: that is what they are for
    remarks = Remarks()
    n_kept = sum(1 for _ in read_documents(path, on_error="skip", remarks=remarks))
    assert n_kept + sum(remark.count for remark in remarks) >= (n_kept if '"' in "".join(rows) else len(rows))


def test_a_saved_pipeline_is_a_source_of_the_documents_it_has_now(tmp_path):
    pipeline = Pipeline(retriever=BM25())
    pipeline.fit([Document("a", "apples"), Document("b", "bananas", {"n": 1}), Document("c", "cherries")])
    pipeline.delete(["a"])
    pipeline.save(tmp_path / "index")
    assert list(read_corpus(tmp_path / "index")) == [Document("b", "bananas", {"n": 1}), Document("c", "cherries")]
    (tmp_path / "more.jsonl").write_text('{"id": "d", "text": "dates"}\n')
    with pytest.raises(DataError, match="is a saved pipeline, which cannot be one of several sources: name it alone"):
        read_corpus([tmp_path / "index", tmp_path / "more.jsonl"])
    (corpus,) = (tmp_path / "index").glob("data-*/corpus.arrow")
    corpus.write_bytes(corpus.read_bytes()[:-8])
    with pytest.raises(ArtifactError, match="damaged"):
        read_corpus(tmp_path / "index")


def test_a_row_of_very_many_fields_is_not_listed_whole(tmp_path):
    (tmp_path / "wide.json").write_text(json.dumps([{str(n): n for n in range(2000)}]))
    with pytest.raises(DataError) as refused:
        read_corpus(tmp_path / "wide.json")
    assert str(refused.value).endswith("28, 29, and 1,970 more")
