"""``rag tune --auto`` and ``rag recommend`` on the starter's data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rag.templates
from tests.e2e.test_cli import Runner

STARTER = Path(rag.templates.__file__).parent / "starter"
PIPELINE = "type: pipeline\nretriever: {type: bm25}\n"


@pytest.fixture
def rag_cli(capsys, monkeypatch, tmp_path) -> Runner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAG_STORE", str(tmp_path / "store"))
    (tmp_path / "p.yaml").write_text(PIPELINE)
    return Runner(capsys, monkeypatch)


def test_a_plan_computes_nothing(rag_cli, tmp_path):
    done = rag_cli("tune", "p.yaml", "--auto", "--dataset", STARTER / "data", "--plan", "--json")
    assert done.code == 0
    plan = json.loads(done.out)
    assert {"retriever.k1", "retriever.b", "feedback"} <= {move["parameter"] for move in plan["moves"]}
    assert plan["left_out"]["reranker"] == "no scorer named (--scorer)"
    assert not (tmp_path / "sweeps").exists()


def test_a_written_sweep_can_be_checked(rag_cli):
    assert rag_cli("tune", "p.yaml", "--auto", "--dataset", STARTER / "data", "--write", "s.yaml").code == 0
    checked = rag_cli("check", "s.yaml")
    assert checked.code == 0
    assert "s.yaml: ok (" in checked.out


def test_it_runs(rag_cli, tmp_path):
    done = rag_cli("tune", "p.yaml", "--auto", "--dataset", STARTER / "data", "--budget", "5s", "--out", "o", "--json")
    assert done.code == 0
    tuned = json.loads(done.out)
    assert tuned["verdict"]
    assert tuned["win"]["measure"] == "nDCG@10"
    assert rag_cli("check", tmp_path / "o" / "best.yaml").code == 0


def test_recommend(rag_cli, tmp_path):
    done = rag_cli("recommend", STARTER / "data", "--encoder", "lsa", "--budget", "5s", "--out", "r", "--json")
    assert done.code == 0
    recommended = json.loads(done.out)
    assert recommended["choice"] in {rung["name"] for rung in recommended["rungs"]}
    assert (tmp_path / "r" / "report.html").exists()


def test_judgments_enter_a_kept_pipeline(rag_cli, tmp_path):
    from rag import LSA, Document, Pipeline, Query, Training
    from rag.retrievers import BM25, Hybrid, QueryMemory

    texts = ["statins lower cholesterol", "tulips flower in spring", "the heart beats"]
    memory = QueryMemory(embedder=LSA(dim=2))
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    judged = Training([Query("a", "spring flowers")], {"a": {"1": 1}})
    Pipeline(retriever=Hybrid(retrievers=[BM25(), memory])).fit(documents, training=judged).save(tmp_path / "kept")
    (tmp_path / "q.jsonl").write_text('{"_id": "b", "text": "cholesterol"}\n')
    (tmp_path / "clicks.tsv").write_text("query-id\tcorpus-id\tscore\nb\t2\t1\nb\tgone\t1\n")
    arguments = ("remember", "kept", "--queries", "q.jsonl", "--qrels", "clicks.tsv")
    done = rag_cli(*arguments, "--weight", 0.3, "--json")
    assert done.code == 0
    assert json.loads(done.out) == {
        "folder": "kept",
        "changed": 2,
        "queries": 1,
        "documents_missing": 1,
        "values": 0,
    }
    hits = Pipeline.load(tmp_path / "kept").search("cholesterol")
    assert "2" in [hit.document.id for hit in hits]
    (tmp_path / "q.jsonl").write_text('{"_id": "c", "text": "cholesterol"}\n')
    done = rag_cli(*arguments)
    assert done.code == 2
    assert "1 of 1 judged queries, such as 'b', are not in q.jsonl" in done.err
    assert rag_cli(*arguments, "--weight", 0).code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budget", "5m"), "--budget needs --auto"),
        (("--auto",), "name a dataset: --dataset"),
        (("--auto", "--dataset", "D", "--budget", "soon"), "budget: must be a time such as 90s, 10m or 1h, got 'soon'"),
        (("--auto", "--dataset", "D", "--workers", "2"), "--auto excludes --trials"),
        (
            ("--auto", "--dataset", "D", "--objective", "latency_p50_ms"),
            "objective: must be one measure of ranked lists",
        ),
    ],
)
def test_bad_input_is_one_message(rag_cli, arguments, message):
    given = [str(STARTER / "data") if argument == "D" else argument for argument in arguments]
    done = rag_cli("tune", "p.yaml", *given)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
