"""The command line over a folder of files: converted, indexed, searched, brought up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.test_cli import Runner, rag  # noqa: F401 - a fixture
from tests.unit.rag.formats.made import pdf, text_page


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A page, a manual of two pages, and a file that cannot be read."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "returns.html").write_text(
        "<title>Returns</title><nav>Home</nav><p>Send goods back within thirty days.</p>"
    )
    pages = [text_page(["Opening words."]), text_page(["The warranty covers two years."])]
    (folder / "manual.pdf").write_bytes(pdf(pages, outline=[("Opening words.", 0)]))
    (folder / "broken.pdf").write_bytes(b"%PDF nothing")
    Path("p.yaml").write_text("type: pipeline\nchunker: {type: auto, size: 16}\nretriever: {type: bm25}\n")
    return folder


def test_convert_says_what_was_read_and_what_was_not(rag: Runner, docs: Path) -> None:  # noqa: F811
    done = rag("convert", "docs", "--out", "c.jsonl", "--unit", "page")
    assert (done.code, done.out.strip()) == (1, "c.jsonl: 3 documents (2 pdf, 1 html)")
    assert "broken.pdf: is not a PDF, or is damaged" in " ".join(done.err.split())
    rows = [json.loads(line) for line in Path("c.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["_id"] for row in rows] == ["manual.pdf#page=1", "manual.pdf#page=2", "returns.html"]
    assert rows[2]["text"] == "# Returns\n\nSend goods back within thirty days."
    skipped = rag("convert", "docs", "--out", "d.jsonl", "--on-error", "skip", "--json")
    assert skipped.code == 0
    assert [remark["code"] for remark in json.loads(skipped.out)["remarks"]] == ["files_skipped"]
    assert "broken.pdf: is not a PDF" in " ".join(
        rag.refused("convert", "docs", "--out", "e.jsonl", "--on-error", "stop").split()
    )
    again = rag("convert", "c.jsonl", "--out", "f.jsonl")
    assert (again.code, Path("f.jsonl").read_bytes()) == (0, Path("c.jsonl").read_bytes())
    assert "must end in .jsonl" in rag.refused("convert", "docs", "--out", "c.txt")


def test_hits_say_where_they_stand(rag: Runner, docs: Path) -> None:  # noqa: F811
    assert rag("index", "p.yaml", "--corpus", "docs", "--out", "index").code == 1
    shown = rag("search", "index", "how long does the warranty last?").out
    assert "p. 2" in shown
    assert "docs/manual.pdf#page=2" in shown
    hit = json.loads(rag("search", "index", "warranty", "--json").out)["hits"][0]
    assert hit["origin"] == {
        "source": "docs/manual.pdf",
        "page": 2,
        "last_page": 2,
        "headings": ["Opening words."],
        "link": "docs/manual.pdf#page=2",
    }
    assert [hit["passage"][start:end] for start, end in hit["matches"]] == ["warranty"]


def test_sync_reads_what_changed_and_knows_what_moved(rag: Runner, docs: Path) -> None:  # noqa: F811
    (docs / "broken.pdf").unlink()
    assert rag("index", "p.yaml", "--corpus", "docs", "--out", "index").code == 0
    (docs / "sub").mkdir()
    (docs / "manual.pdf").rename(docs / "sub" / "guide.pdf")
    (docs / "new.md").write_text("# New\n\ntext")
    done = rag("sync", "index", "--corpus", "docs")
    assert (
        done.out.strip() == "index: 1 added, 0 updated, 1 moved, 1 skipped, 0 deleted; 3 documents now"
        or done.out.strip() == ("index: 1 added, 0 updated, 1 moved, 1 skipped, 0 deleted; 3 documents")
    )
    hit = json.loads(rag("search", "index", "warranty", "--json").out)["hits"][0]
    assert (hit["id"], hit["origin"]["link"]) == ("manual.pdf", "docs/sub/guide.pdf#page=2")
    assert "0 added, 0 updated, 3 skipped, 0 deleted" in rag("sync", "index", "--corpus", "docs").out
