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
    found = json.loads(done.out)
    assert found["verdict"]
    assert found["win"]["measure"] == "nDCG@10"
    assert rag_cli("check", tmp_path / "o" / "best.yaml").code == 0


def test_recommend(rag_cli, tmp_path):
    done = rag_cli("recommend", STARTER / "data", "--encoder", "lsa", "--budget", "5s", "--out", "r", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["choice"] in {rung["name"] for rung in found["rungs"]}
    assert (tmp_path / "r" / "report.html").exists()


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
    given = [str(STARTER / "data") if one == "D" else one for one in arguments]
    done = rag_cli("tune", "p.yaml", *given)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
