"""Answers by the command line: asked, measured, judged, compared with people."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.chat_server import asked, chat_server
from tests.e2e.test_cli import rag, starter  # noqa: F401 - fixtures

PIPELINE = """
type: pipeline
retriever: {{type: bm25, top_k: 3}}
stages:
  - {{type: generate, writer: {{type: chat_model, model: tiny, base_url: "{url}", retries: 0}}}}
"""
JUDGE = 'type: claims\nmodel: {{type: chat_model, model: judge, base_url: "{url}", retries: 0}}\n'


def answer(request, number):
    text = asked(request)
    if "Split the answer" in text:
        return {"body": '["Within 30 days."]'}
    if "numbered claims" in text:
        return {"body": '{"1": "supported"}' if "30 days" in text.partition("<claims>")[0] else '{"1": "not there"}'}
    return {"refusal": "not this"} if "refuse" in text.rpartition("Question: ")[2] else {"body": "Within 30 days [1]."}


@pytest.fixture
def server(starter):  # noqa: F811
    with chat_server(answer) as running:
        (starter / "p.yaml").write_text(PIPELINE.format(url=running.url))
        (starter / "judge.yaml").write_text(JUDGE.format(url=running.url))
        yield running


def test_search_answers_first(rag, server, starter):  # noqa: F811
    corpus = starter / "data" / "corpus.jsonl"
    assert rag("index", starter / "p.yaml", "--corpus", corpus, "--out", "kept").code == 0
    out = rag("search", "kept", "send it back").out
    assert out.startswith("Within 30 days [1].\n\n 1. ")
    searched = json.loads(rag("search", "kept", "send it back", "--json").out)
    assert list(searched) == ["query", "answer", "hits", "costs", "remarks"]
    assert searched["answer"]["citations"] == [{"rank": 1, "id": searched["hits"][0]["id"]}]
    assert (1, False, "") == (
        searched["costs"]["llm_calls"],
        searched["answer"]["abstained"],
        searched["answer"]["problem"],
    )
    assert rag("search", "kept", "refuse to send it back").out.startswith("no answer: it refused: not this\n\n 1. ")


SUMMARIES = """
type: pipeline
retriever:
  type: keyed
  keys:
    - type: summary
      summarizer: {{type: chat_model, model: tiny, base_url: "{url}", retries: 0}}
      retriever: {{type: bm25}}
"""


@pytest.mark.parametrize("command", ["eval", "index"])
def test_a_run_without_its_summaries_is_no_success(rag, starter, command):  # noqa: F811
    """Every call answered 429, and the exit code was 0 (case A1)."""
    failing = True

    def summarize(request, number):
        return {"status": 429, "body": "slow down"} if failing else {"body": "in short"}

    with chat_server(summarize) as server:
        (starter / "p.yaml").write_text(SUMMARIES.format(url=server.url))
        data = starter / "data"
        given = {"eval": ("--dataset", data), "index": ("--corpus", data / "corpus.jsonl")}[command]
        call = (command, starter / "p.yaml", *given, "--out", "out", "--store", "store")
        outcome = rag(*call)
        n = len((data / "corpus.jsonl").read_text().splitlines())
        said = f"chat_model 'tiny' gave nothing for {n} of {n} texts ("
        assert (1, True, True) == (outcome.code, said in outcome.err, "more than 0.05 (max_failed)" in outcome.err)
        if command == "eval":
            metrics = json.loads(Path("out/metrics.json").read_text())
            (calls,) = metrics["calls"]
            assert ("fitting retriever", n, n) == (calls["stage"], calls["asked"], calls["failed"])
            assert [n, n] == [sum(calls["problems"].values()), metrics["remarks"][0]["count"]]
            assert said in metrics["incomplete"]
            assert said in Path("out/report.html").read_text().replace("&#39;", "'")
            assert rag(*call, "--max-failed", "1").code == 0
        else:
            assert not Path("out").exists()
        failing = False
        outcome = rag(*call)
        assert (0, False) == (outcome.code, said in outcome.out + outcome.err)


def test_eval_measures_judges_and_compares_with_people(rag, server, starter, tmp_path):  # noqa: F811
    pipeline, data, judge = starter / "p.yaml", starter / "data", starter / "judge.yaml"
    (tmp_path / "labels.csv").write_text("query_id,label\nq1,faithful\nq2,unfaithful\n")
    command = ("eval", pipeline, "--dataset", data, "--judge", judge, "--judge", judge, "--labels", "labels.csv")
    text = rag(*command).out
    assert "answers of stages.0 generate: 8 calls, 96 tokens; 0 problems" in text
    assert "judge claims: 8 answers, 16 calls, 192 tokens; claims: " in text
    assert "agreement of claims and claims 2: 100.0% of 8 answers" in text
    assert "note: no query has a reference ('answers' or 'answer' in its metadata)" in text
    asked_for = len(server.requests)
    evaluated = json.loads(rag(*command, "--json").out)
    assert asked_for == len(server.requests)  # all of it was in the store
    between = [pair["between"] for pair in evaluated["answers"]["agreement"]]
    assert between == [["claims", "claims 2"], ["claims", "labels"], ["claims 2", "labels"]]
    assert "As judged by claims 2" in (tmp_path / evaluated["run"] / "report.html").read_text(encoding="utf-8")
    markdown = rag("report", evaluated["run"], "--markdown").out
    assert "\n\n- answers of stages.0 generate: 8 calls, 96 tokens; 0 problems\n  - lexical faithfulness: " in markdown
    assert "\n- judge claims 2: 8 answers, 16 calls" in markdown
    assert "\n- agreement of claims and labels: " in markdown
    plain = json.loads(rag("eval", pipeline, "--dataset", data, "--json").out)
    assert ([], 8) == (plain["answers"]["judges"], plain["answers"]["costs"]["llm_calls"])


def test_runs_are_compared_by_their_answers(rag, server, starter, tmp_path):  # noqa: F811
    data, judge = ("--dataset", starter / "data"), ("--judge", starter / "judge.yaml")
    for name, n in (("one", 1), ("two", 2)):
        setting = ("--set", f"stages.0.n_passages={n}", "--out", name)
        assert rag("eval", starter / "p.yaml", *data, *judge, *setting, "--measures", "AP").code == 0
    compared = json.loads(rag("compare", "one", "two", "--json").out)
    assert compared["measures"][0] == "AP"
    assert {"lexical_faithfulness", "citation_precision", "faithfulness (claims)"} <= set(compared["measures"])
    assert not {"abstained", "token_f1"} & set(compared["measures"])  # neither good nor bad; no reference
    chosen = json.loads(rag("compare", "one", "two", "--measures", "citation_precision", "--json").out)
    assert chosen["measures"] == ["citation_precision"]
    assert "one has no nDCG@10 (it has AP, " in rag.refused("compare", "one", "two", "--measures", "nDCG@10")


def test_what_is_wrong_is_said_before_any_work(rag, server, starter, tmp_path):  # noqa: F811
    pipeline, plain, judge = starter / "p.yaml", starter / "pipeline.yaml", starter / "judge.yaml"
    data = ("--dataset", starter / "data")
    err = rag.refused("eval", plain, *data, "--judge", judge)
    assert "judge: nothing to judge: the pipeline has no stage that writes answers" in err
    assert "labels are compared with those of a judge" in rag.refused("eval", pipeline, *data, "--labels", "x.csv")
    (tmp_path / "l.jsonl").write_text('{"query_id": "q1", "label": 1}\n{"query_id": "nobody", "label": 1}\n')
    err = rag.refused("eval", pipeline, *data, "--judge", judge, "--labels", "l.jsonl")
    assert "l.jsonl:2: no such query: 'nobody'" in err
    assert "cannot be read" in rag.refused("eval", pipeline, *data, "--judge", judge, "--labels", "none.csv")
    (tmp_path / "bad.yaml").write_text("type: claims\nmodle: 1\n")
    err = rag.refused("eval", pipeline, *data, "--judge", "bad.yaml")
    assert re.search(r"bad.yaml:2:1: unknown argument 'modle' of 'claims'; did you mean 'model'", err)
    assert server.requests == []
    assert not (tmp_path / "runs").exists()


def test_a_judge_is_checked_and_described(rag, server, starter):  # noqa: F811
    judge = starter / "judge.yaml"
    assert re.fullmatch(rf"{judge}: ok \(a judge, fingerprint \w+\)\n", rag("check", judge).out)
    assert "passing: 1.0" in rag("check", judge, "--resolved").out
    assert "passing" in rag("components", "judge", "claims").out
    assert "n_passages" in rag("components", "stage", "generate").out
