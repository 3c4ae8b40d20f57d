"""``tune(..., auto=True)``: what is made of a pipeline and its data, and what comes of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import rag.templates
from rag import ConfigError, DataError, Pipeline
from rag.eval import load_dataset
from rag.eval.datasets.base import Dataset, Split
from rag.hpo import tune
from rag.hpo.auto.data import facts_of
from rag.hpo.auto.moves import _nodes, derive
from rag.hpo.auto.run import auto_config, seconds_of, written
from rag.hpo.sweep import read_sweep, sweep_from_config
from rag.store.store import Store

DATA = Path(rag.templates.__file__).parent / "starter" / "data"
LSA = {"type": "lsa", "dim": 16}
HYBRID = {
    "type": "pipeline",
    "retriever": {
        "type": "hybrid",
        "weights": [0.6, 0.4],
        "retrievers": [{"type": "bm25"}, {"type": "dense", "embedder": LSA, "index": {"type": "flat"}}],
    },
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("python-reference")


@pytest.fixture(scope="module")
def judged(dataset) -> Dataset:
    """The test questions in three parts."""
    whole = dataset.split("test")
    return Dataset(dataset.name, dataset.corpus, parts(whole, train=0.5, dev=0.25, test=0.25))


def parts(whole: Split, **shares: float) -> dict[str, Split]:
    order = np.random.default_rng(0).permutation(len(whole.queries))
    edges = np.round(np.cumsum([0.0, *shares.values()]) * len(order)).astype(int)
    splits = {}
    for name, first, last in zip(shares, edges[:-1], edges[1:], strict=True):
        queries = [whole.queries[row] for row in sorted(order[first:last].tolist())]
        splits[name] = Split(queries, {query.id: whole.qrels[query.id] for query in queries})
    return splits


def test_the_space_begins_with_the_pipeline(judged):
    config = auto_config(Pipeline.from_config(HYBRID), judged)
    space = sweep_from_config(config).space
    built = space.pipeline(space.start)
    assert built.spec.to_config() == Pipeline.from_config(HYBRID).spec.to_config()
    assert {"feedback", "learned_rank", "retriever.fusion", "retriever.weights.1", "retriever.retrievers.0.k1"} <= {
        parameter.name for parameter in space.parameters
    }


def test_what_data_do_not_allow_is_said(judged):
    pipeline = Pipeline.from_config(HYBRID)
    without = Dataset("d", judged.corpus, {"dev": judged.splits["dev"], "test": judged.splits["test"]})
    left_out = derive(pipeline, facts_of(without)).left_out
    assert left_out["memory"] == left_out["learned_rank"] == "no training questions: only test, or dev, is judged"
    assert left_out["reranker"] == "no scorer named (--scorer)"
    few = Dataset("d", judged.corpus, parts(judged.split("train"), train=0.2, test=0.8))
    n = len(few.split("train").queries) * 2 // 3
    said = derive(pipeline, facts_of(few)).left_out["learned_rank"]
    assert said == f"{n} training questions (2 of 3 parts of the training questions), and 20 are needed"


def test_adapted_queries_are_a_choice_and_a_source(judged):
    enough = Dataset("d", judged.corpus, parts(judged.split("train"), train=0.8, test=0.2))
    derived = derive(Pipeline.from_config(HYBRID), facts_of(enough))
    if "adapted" in derived.left_out:
        assert derived.left_out["adapted"] == derived.left_out["learned_rank"]
        return
    dense = next(node for node in _nodes(derived.config["retriever"]) if node.get("type") == "dense")
    assert [option["type"] for option in dense["embedder"]["options"]] == ["lsa", "adapted"]
    sources = derived.config["stages"][0]["of"]["sources"]
    assert "adapted" in [source.get("embedder", {}).get("type") for source in sources]
    words = derive(Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25"}}), facts_of(enough))
    assert words.left_out["adapted"] == "no dense retriever"


def test_only_test_is_never_tuned_on(dataset):
    only = Dataset("d", dataset.corpus, {"test": dataset.splits["test"]})
    with pytest.raises(DataError, match="the test questions are never tuned on: split its judgments"):
        tune(HYBRID, only, auto=True)


def test_too_few_questions_are_refused(judged):
    queries = judged.split("dev").queries[:3]
    dev = Split(queries, {query.id: judged.split("dev").qrels[query.id] for query in queries})
    with pytest.raises(DataError, match="has 3 questions: at least 5 are needed"):
        tune(HYBRID, Dataset("d", judged.corpus, {"dev": dev, "test": judged.splits["test"]}), auto=True)


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600.0), ("90s", 90.0), ("1.5h", 5400.0), (30, 30.0)])
def test_budgets(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["soon", "-3m", "0", "3", "", "10 days", 0, -5.0])
def test_budgets_that_are_none(text):
    with pytest.raises(ConfigError, match=r"budget: must be a time such as 90s, 10m or 1h"):
        seconds_of(text)


@pytest.mark.slow
def test_it_wins_and_is_never_worse_on_the_tuning_questions(judged, tmp_path):
    result = tune(HYBRID, judged, auto=True, budget="12s", out=tmp_path / "out", store=Store(tmp_path / "store"))
    assert result.win is not None
    first, best = result.trials[0], result.best
    assert best.metrics["nDCG@10"] >= first.metrics["nDCG@10"]
    kept = [note for note in result.notes if note.split("(")[0].rstrip().endswith("kept")]
    assert len(result.win.by) == len(kept)
    saved = Pipeline.from_yaml(tmp_path / "out" / "best.yaml")
    assert saved.spec.to_config() == result.pipeline.spec.to_config()
    assert result.win.sentence in (tmp_path / "out" / "report.html").read_text().replace("&gt;", ">")
    assert result.verdict == result.win.sentence


def test_the_written_sweep_is_the_same(judged, tmp_path):
    config = auto_config(Pipeline.from_config(HYBRID), judged, budget="1m")
    path = tmp_path / "sweep.yaml"
    path.write_text(written(config, "python-reference"))
    assert read_sweep(path).space.fingerprint == sweep_from_config(config).space.fingerprint
    assert len(path.read_text().splitlines()) < 400


def test_a_budget_too_small_for_a_change_says_so(judged):
    result = tune(HYBRID, judged, auto=True, budget="0.4s")
    assert result.best == result.trials[0]
    assert result.win.sentence.startswith(
        "The budget was too small to try anything: measuring the pipeline itself took"
    )
    assert not any(" of " in note and "trials: the time limit" in note for note in result.notes)
    (late,) = (note for note in result.notes if note.startswith("left out: no time was left for a trial of "))
    assert re.search(r"; a budget of (\d+ s|\d+ min \d+ s|\d+ h \d+ min) would do$", late)


def test_a_pipeline_of_vectors_may_get_words(judged):
    config = {"type": "pipeline", "retriever": HYBRID["retriever"]["retrievers"][1]}
    derived = derive(Pipeline.from_config(config), facts_of(judged))
    assert "hybrid" in derived.opened.gains
    space = sweep_from_config({"pipeline": derived.config}).space
    joined = space.pipeline(space.complete({"hybrid": "on"})).retriever
    assert [part.type for part in joined.retrievers] == ["bm25", "dense"]


def test_a_pipeline_of_words_has_no_memory(judged):
    derived = derive(Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25"}}), facts_of(judged))
    assert derived.left_out["memory"] == "the pipeline has no encoder to tell which questions are alike"
    assert derived.left_out["hybrid"] == "no encoder named (--encoder)"
    assert [source["type"] for source in derived.config["stages"][0]["of"]["sources"]] == ["feedback"]


def test_scorers_and_encoders_named_are_tried(judged):
    scorer = {"type": "max_sim", "embedder": {"type": "tests.fakes:HashedTokens"}}
    derived = derive(Pipeline.from_config(HYBRID), facts_of(judged), encoders=[{"type": "lsa", "dim": 8}])
    assert derived.opened.costs["encoder"] == "encode"
    derived = derive(Pipeline.from_config(HYBRID), facts_of(judged), scorers=[scorer])
    assert derived.opened.costs["reranker"] == "score"


def test_a_sweep_is_no_pipeline(judged):
    with pytest.raises(ConfigError, match="auto=True takes a pipeline"):
        tune(3, judged, auto=True)
    with pytest.raises(ConfigError, match="a pipeline has nothing to tune"):
        tune(Pipeline.from_config(HYBRID), judged)


def test_a_cost_cannot_be_walked(judged):
    with pytest.raises(ConfigError, match="objective: must be one measure of ranked lists"):
        tune(HYBRID, judged, auto=True, objectives=["latency_p50_ms"])
