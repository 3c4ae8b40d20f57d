"""Judging what runs have found: the pool, and the page's requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rag import DataError
from rag.eval import load_dataset
from rag.eval.cli.judge import pooled
from rag.eval.datasets.qrels import read_qrels
from rag.serving.judging import create_judging_app
from rag.serving.judgments import Judgments


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(f'{{"_id": "d{n}", "text": "text {n}"}}\n' for n in range(9)))
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "one"}\n{"_id": "q2", "text": "two"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td0\t1\nq2\td3\t3\n")
    return folder


RUNS = [
    {"q1": {"d0": 3.0, "d1": 2.0, "d2": 1.0}, "q2": {"d3": 1.0}},
    {"q1": {"d4": 9.0, "d1": 8.0, "nobody": 7.5, "d5": 7.0}},
]


def test_the_best_of_every_run_each_once_in_an_order_that_tells_nothing(dataset):
    loaded = load_dataset(str(dataset))
    orders = set()
    for seed in range(20):
        [first, second] = pooled(loaded, "test", RUNS, depth=2, judged=None, seed=seed)
        orders.add(tuple(document.id for document in first.documents))
        assert {document.id for document in first.documents} == {"d0", "d1", "d4"}
        assert [document.id for document in second.documents] == ["d3"]
    assert len(orders) > 2


def test_what_is_judged_already_is_left_out(dataset, tmp_path):
    loaded = load_dataset(str(dataset))
    kept = Judgments(tmp_path / "test.tsv", loaded.split("test").qrels)
    [task] = pooled(loaded, "test", RUNS, depth=2, judged=kept.of, seed=0)
    assert (task.id, sorted(document.id for document in task.documents)) == ("q1", ["d1", "d4"])


def test_marks_join_what_was_judged(dataset, tmp_path):
    loaded = load_dataset(str(dataset))
    file = tmp_path / "kept" / "test.tsv"
    kept = Judgments(file, loaded.split("test").qrels)
    tasks = pooled(loaded, "test", RUNS, depth=2, judged=kept.of, seed=0)
    with TestClient(create_judging_app(tasks, kept), base_url="http://localhost") as client:
        assert client.get("/page.json").json()["mode"] == "judge"
        [task] = client.get("/tasks").json()["tasks"]
        assert {document["grade"] for document in task["documents"]} == {None}
        for document, grade in (("d1", 2), ("d4", 0), ("d1", None), ("d1", 1)):
            answer = client.post("/judgments", json={"query_id": "q1", "document": document, "grade": grade})
            assert answer.status_code == 200
        assert client.post("/judgments", json={"query_id": "q1", "document": "d1", "grade": 3}).status_code == 422
        grades = {entry["id"]: entry["grade"] for entry in client.get("/tasks").json()["tasks"][0]["documents"]}
        assert grades == {"d1": 1, "d4": 0}
        assert client.get("/tasks", headers={"Host": "evil.example"}).status_code == 421
    assert dict(read_qrels(file)) == {"q1": {"d0": 1, "d1": 1, "d4": 0}, "q2": {"d3": 3}}
    assert Judgments(file, {}).of("q1") == {"d0": 1, "d1": 1, "d4": 0}


def test_ids_that_no_qrels_can_hold(tmp_path):
    kept = Judgments(tmp_path / "judged.tsv")
    for document in ("a\tb", "a\nb", ""):
        with pytest.raises(DataError, match="cannot be written into qrels"):
            kept.mark("q", document, 1, text="question")
    assert not (tmp_path / "judged.tsv").exists()


def test_a_file_of_something_else_is_left_alone(tmp_path):
    file = tmp_path / "judged.tsv"
    file.write_text("a shopping list\n")
    with pytest.raises(DataError, match=r"judged\.tsv:1: expected a line of judgments"):
        Judgments(file)
    assert file.read_text() == "a shopping list\n"
