"""The command line where documents are deleted, taken back, measured as they are, or left out in part."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag import templates
from tests.e2e.test_cli import Runner, rag  # noqa: F401 - a fixture

STARTER = Path(templates.__file__).parent / "starter" / "data"


@pytest.fixture
def index(rag: Runner, tmp_path: Path) -> Path:  # noqa: F811
    """Of a folder with ten files, two of them below another folder."""
    for n in range(10):
        file = tmp_path / "docs" / ("sub" if n > 7 else ".") / f"f{n}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"Text about word{n}.")
    Path("p.yaml").write_text("type: pipeline\nretriever: {type: bm25}\n")
    assert rag("index", "p.yaml", "--corpus", "docs", "--out", "index", "--keep", "2", "--store", "off").code == 0
    return tmp_path / "index"


def count(rag: Runner) -> int:  # noqa: F811
    return json.loads(rag("rollback", "index", "--list", "--json").out)["generations"][0]["documents"]


def test_sync_refuses_to_delete_much(rag: Runner, index: Path, tmp_path: Path) -> None:  # noqa: F811
    for n in range(3):
        (tmp_path / "docs" / f"f{n}.md").unlink()
    assert (" ".join(rag.refused("sync", "index", "--corpus", "docs").split())) == (
        "error: 3 of 10 documents (30%) are missing from the source and would be deleted, more than the 2 that "
        "max_deletes=20% allows: nothing was changed. If the source is complete and they should go, use "
        "--max-deletes 3 (in Python max_deletes=3)"
    )
    dry = rag("sync", "index", "--corpus", "docs", "--dry-run")
    assert (0, True) == (dry.code, "would be refused: 3 of 10 documents" in dry.err)
    assert "3 deleted" in dry.out
    for wrong in ("120%", "half", "-1", "1.5"):
        assert "max_deletes: must be a number of documents" in rag.refused(
            "sync", "index", "--corpus", "docs", "--max-deletes", wrong
        )
    assert "2 would" not in rag.refused("sync", "index", "--corpus", "docs", "--max-deletes", "2")
    assert count(rag) == 10
    assert rag("sync", "index", "--corpus", "docs", "--max-deletes", "30%").code == 0
    assert count(rag) == 7


def test_taken_back(rag: Runner, index: Path) -> None:  # noqa: F811
    assert rag("delete", "index", "f1.md").code == 0
    assert rag("delete", "index", "--filter", '{"path": {"contains": "sub"}}').code == 0
    listed = rag("rollback", "index", "--list").out.splitlines()
    assert [line.partition(" documents")[0] for line in listed] == [
        "index: now: 7",
        "index: 1 back: 9",
        "index: 2 back: 10",
    ]
    first, last = rag("rollback", "index").out.splitlines()
    assert first.startswith("index: now: 9 documents, written 20")
    assert last == "index: 1 earlier generations left"
    assert rag("rollback", "index").code == 0
    assert "cannot go back 1: earlier generations kept: none" in rag.refused("rollback", "index")
    assert count(rag) == 10
    assert rag("verify", "index").code == 0


def test_delete_by_filter(rag: Runner, index: Path) -> None:  # noqa: F811
    wanted = ("delete", "index", "--filter", '{"id": {"prefix": "sub/"}}')
    assert "2 deleted" in rag(*wanted, "--dry-run").out
    assert count(rag) == 10
    assert json.loads(rag(*wanted, "--json").out)["deleted"] == 2
    assert count(rag) == 8
    assert "give ids, or a condition with --filter" in rag.refused("delete", "index")
    assert "give ids, or a condition with --filter" in rag.refused(*wanted, "f1.md")
    assert "not JSON" in rag.refused("delete", "index", "--filter", "{")
    assert "unknown test 'startswith'" in rag.refused("delete", "index", "--filter", '{"id": {"startswith": "x"}}')
    assert "no document has the field 'pth'" in rag.refused("delete", "index", "--filter", '{"pth": "x"}')
    assert "no document would be left" in rag.refused("delete", "index", "--filter", "{}")
    said = rag("delete", "index", "--filter", '{"id": "f11.md"}')
    assert (0, True) == (said.code, "no document has id = 'f11.md'; the nearest value is 'f1.md'" in said.err)


@pytest.mark.parametrize("given", ["docs/sub/f8.md", "docs/sub", "{tmp}/docs/sub/f8.md", "docs/../docs/sub/f8.md"])
def test_a_file_of_an_indexed_folder_is_updated(rag: Runner, index: Path, tmp_path: Path, given: str) -> None:  # noqa: F811
    (tmp_path / "docs/sub/f8.md").write_text("Other text about apples.")
    given = given.format(tmp=tmp_path)
    changes = json.loads(rag("add", "index", "--corpus", given, "--json").out)
    assert (0, 1, 10) == (changes["added"], changes["updated"], changes["documents"])
    assert {hit["id"] for hit in json.loads(rag("search", "index", "apples", "--json").out)["hits"]} == {"sub/f8.md"}
    again = json.loads(rag("add", "index", "--corpus", given, "--json").out)
    assert (0, 0) == (again["added"], again["updated"])


def test_also_from_another_folder(rag: Runner, index: Path, tmp_path: Path, monkeypatch) -> None:  # noqa: F811
    (tmp_path / "docs/sub/f8.md").write_text("Other text about apples.")
    monkeypatch.chdir(tmp_path / "docs" / "sub")
    changes = json.loads(rag("add", index, "--corpus", "f8.md", "--json").out)
    assert (0, 1, 10) == (changes["added"], changes["updated"], changes["documents"])
    (tmp_path / "docs/sub/new.md").write_text("A new one.")
    assert json.loads(rag("add", index, "--corpus", "new.md", "--json").out)["added"] == 1


def test_a_field_is_left_out(rag: Runner, tmp_path: Path) -> None:  # noqa: F811
    pq.write_table(pa.Table.from_pylist([{"id": "a", "text": "lamp", "thumb": b"\x89"}]), tmp_path / "c.parquet")
    Path("p.yaml").write_text("type: pipeline\nretriever: {type: bm25}\n")
    make = ("index", "p.yaml", "--corpus", "c.parquet", "--out", "index", "--store", "off")
    message = " ".join(rag.refused(*make).split())
    assert "document 'a': its metadata field 'thumb' holds bytes" in message
    assert rag(*make, "--drop-field", "thumb").code == 0
    assert json.loads(rag("search", "index", "lamp", "--json").out)["hits"][0]["metadata"] == {}
    assert "holds bytes" in rag.refused("add", "index", "--corpus", "c.parquet")
    for verb in ("add", "sync"):
        assert "1 skipped" in rag(verb, "index", "--corpus", "c.parquet", "--drop-field", "thumb").out


def test_json_is_strict(rag: Runner, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "c.jsonl").write_text(
        '{"id": "a", "text": "lamp", "x": NaN, "y": [1e999, -1e999], "t": "2024-01-01"}\n'
    )
    Path("p.yaml").write_text("type: pipeline\nretriever: {type: bm25}\n")
    assert rag("index", "p.yaml", "--corpus", "c.jsonl", "--out", "index", "--store", "off").code == 0

    def refuse(name: str) -> None:
        raise AssertionError(name)

    out = rag("search", "index", "lamp", "--json", "--filter", '{"t": {"lt": "2024-01-01T00:00:01Z"}}').out
    (hit,) = json.loads(out, parse_constant=refuse)["hits"]
    assert hit["metadata"] == {"x": None, "y": [None, None], "t": "2024-01-01"}


def test_a_saved_index_is_measured_as_it_is(rag: Runner, tmp_path: Path) -> None:  # noqa: F811
    Path("p.yaml").write_text("type: pipeline\nretriever: {type: bm25}\n")
    fitted = rag("eval", "p.yaml", "--dataset", STARTER, "--out", "run", "--save", "index", "--json", "--store", "off")
    expected = json.loads(fitted.out)
    measure = ("eval", "index", "--dataset", STARTER, "--json", "--store", "off")
    same = json.loads(rag(*measure).out)
    assert same["run"] == "runs/index-data-test"
    assert expected["measures"] == same["measures"]
    assert expected["corpus"] == same["corpus"]
    assert (expected["notes"], []) == (same["notes"], same["fit"])
    rows = [json.loads(line) for line in (STARTER / "corpus.jsonl").read_text().splitlines()]
    relevant = (STARTER / "qrels" / "test.tsv").read_text().splitlines()[1].split("\t")[1]
    (tmp_path / "extra.jsonl").write_text(
        json.dumps({"_id": "extra", "text": "nothing"})
        + "\n"
        + json.dumps(next(row for row in rows if row["_id"] != relevant) | {"text": "other"})
    )
    assert rag("delete", "index", relevant).code == 0
    assert rag("add", "index", "--corpus", "extra.jsonl").code == 0
    other = json.loads(rag(*measure, "--out", "other").out)
    assert (
        f"the index does not hold the documents of data: of its {len(rows)}, 1 are not in the index, 1 have another "
        "text there, and it has 1 more"
    ) in other["notes"]
    missing = "relevant documents of the questions are not in the index and count as not found"
    assert any(missing in note for note in other["notes"])
    assert len(rows) == other["corpus"]["documents"]
    for option in (("--set", "retriever.top_k=3"), ("--save", "x"), ("--nulls", "0.5")):
        assert f"{option[0]}: index is a saved pipeline, which is measured as it is" in rag.refused(*measure, *option)
    assert "no saved pipeline" in rag.refused("eval", tmp_path, "--dataset", STARTER)
