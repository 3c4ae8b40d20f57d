"""``rag check`` on files that are no pipelines."""

from __future__ import annotations

import json

import pytest

from tests.e2e.test_cli import rag  # noqa: F401 - a fixture


def test_a_writer_and_any_other_component_are_checked(rag, tmp_path):  # noqa: F811
    (tmp_path / "w.yaml").write_text("type: chat_model\nmodel: m\ntask: questions\n")
    (tmp_path / "r.yaml").write_text("type: dense\nembedder: {type: lsa}\n")
    (tmp_path / "j.yaml").write_text("type: claims\nmodel: {extends: w.yaml, unset: task}\n")
    for name, kind in (("w", "summarizer"), ("r", "retriever"), ("j", "judge")):
        assert rag("check", f"{name}.yaml").out.startswith(f"{name}.yaml: ok (a {kind}, fingerprint ")
    assert "temperature: 0.0" in rag("check", "w.yaml", "--resolved").out
    (tmp_path / "w.yaml").write_text("type: chat_model\nmodel: m\ntask: qestions\nretrys: 3\n")
    outcome = rag("check", "w.yaml")
    assert (2, 3) == (outcome.code, len(outcome.err.splitlines()))
    assert "w.yaml:3:7: task: must be 'summary', 'questions', 'answer' or 'prompt', got 'qestions'" in outcome.err
    assert "w.yaml:4:1: unknown argument 'retrys' of 'chat_model'; did you mean 'retries'?" in outcome.err


def test_all_mistakes_of_a_dataset_file_are_told_at_once(rag, tmp_path):  # noqa: F811
    (tmp_path / "d.csv").write_text("sku,body\na,text\n")
    (tmp_path / "q.csv").write_text("nr,question\n1,what\n")
    (tmp_path / "s.yaml").write_text(
        "type: dataset\n"
        "corpus: {path: d.csv, id: skuu, text: bodi}\n"
        "queries: {path: q.csv, text: qestion}\n"
        "qrels: {path: j.tsv}\n"
    )
    places = [line.partition("s.yaml:")[2][:5] for line in rag("check", "s.yaml").err.splitlines()]
    assert [position.strip() for position in places if position] == ["2:27:", "2:39:", "3:30:", "4:15:"]


def test_a_table_that_is_none_does_not_hide_the_others(rag, tmp_path):  # noqa: F811
    (tmp_path / "s.yaml").write_text("type: dataset\ncorpus: d.csv\nqueries: {pth: q.csv, relevant: a}\nnmae: x\n")
    said = rag("check", "s.yaml").err
    assert [text in said for text in ("2:9: corpus: expected a table", "3:11: queries", "4:1: unknown")] == [True] * 3


@pytest.mark.parametrize("kind", ["pipeline", "sweep", "dataset", "judge", "summarizer"])
def test_every_kind_of_file_has_a_schema(rag, kind):  # noqa: F811
    assert json.loads(rag("schema", kind).out)["title"] == f"rag {kind}"
