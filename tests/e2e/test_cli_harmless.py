"""Every command shows texts of data harmlessly, on results, notes and errors alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.test_cli import Runner, rag  # noqa: F401 - a fixture

HARMFUL = set("\x1b\x07\x9b\u202e\u2066")
ESC = "\x1b]0;owned\x07\x1b[2J\u202e\u2066[/red]"
HTML = "<img src=x onerror=alert(1)>"
PIPELINE = "type: pipeline\nretriever: {type: bm25, top_k: 10}\nstages: [{type: threshold, top_k: 2}]\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / f"data{ESC.replace('/', '')}"
    (folder / "qrels").mkdir(parents=True)
    documents = [
        {"_id": f"d{n}{ESC}{HTML}", "title": f"title {ESC}", "text": f"apple {'pear ' * n}{ESC}"} for n in range(12)
    ]
    queries = [{"_id": f"q{n}{ESC}{HTML}", "text": f"apple {ESC}", "metadata": {ESC: ESC}} for n in range(3)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    judged = [f"{query['_id']}\t{documents[n]['_id']}\t1\n" for query in queries for n in range(5)]
    judged.append(f"{queries[0]['_id']}\tgone{ESC}{HTML}\t1\n")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged), encoding="utf-8")
    (tmp_path / "p.yaml").write_text(PIPELINE, encoding="utf-8")
    return folder


def test_no_command_passes_on_what_would_command_a_terminal(rag: Runner, data: Path) -> None:  # noqa: F811
    evil = f"run{ESC.replace('/', '')}"
    commands: list[tuple[str | Path, ...]] = [
        ("index", "p.yaml", "--corpus", data / "corpus.jsonl", "--out", "saved"),
        ("search", "saved", f"apple {ESC}", "--explain"),
        ("search", "saved", f"apple {ESC}", "--explain", "--json"),
        ("datasets", "show", data),
        ("eval", "p.yaml", "--dataset", data, "--measures", "nDCG@10,R@100", "--out", evil),
        ("eval", "p.yaml", "--dataset", data, "--measures", "nDCG@10,R@100", "--set", "retriever.k1=2", "--out", "b"),
        ("report", evil, "--markdown"),
        ("compare", evil, "b", "--out", "compared"),
        ("compare", evil, "b", "--json"),
        ("store", "ls"),
    ]
    said = {}
    for command in commands:
        outcome = rag(*command)
        assert outcome.code == 0, outcome.err
        assert not HARMFUL & set(outcome.out + outcome.err), command
        said[command[0]] = outcome.out
    assert "\ufffd" in said["search"] + said["eval"] + said["compare"]
    assert "\\" + HTML in said["report"]
    assert HTML not in said["report"].replace("\\" + HTML, "")
    evaluated = rag("eval", "p.yaml", "--dataset", data, "--measures", "nDCG@10,R@100", "--out", "again").out
    assert "cut by top_k of stages.0 threshold" in evaluated
    assert "setting to turn: stages.0.top_k" in evaluated
    assert "the longest list has 2 documents" in evaluated
    compared = rag("compare", evil, "b").out
    assert "retriever.k1: " in compared
    for name in ("compare.html", "compare.md", "compare.tex"):
        assert not HARMFUL & set(Path("compared", name).read_text(encoding="utf-8"))
    report = Path(evil, "report.html").read_text(encoding="utf-8")
    assert not HARMFUL & set(report)
    assert HTML not in report


@pytest.mark.parametrize(
    "command",
    [("search", f"no{ESC}", "x"), ("eval", f"{ESC}.yaml"), ("compare", f"a{ESC}", "b"), ("datasets", "show", ESC)],
)
def test_errors_are_harmless(rag: Runner, command: tuple[str, ...]) -> None:  # noqa: F811
    assert not HARMFUL & set(rag.refused(*command))
