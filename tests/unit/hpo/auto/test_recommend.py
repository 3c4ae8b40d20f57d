"""``recommend``: the ladder, the choice and the learning curve."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import pytest

from rag import ArtifactError, ConfigError, Pipeline
from rag.eval import load_dataset
from rag.eval.datasets.base import Dataset
from rag.hpo import recommend
from rag.hpo.auto.recommended import write_recommendation
from rag.store.store import Store
from tests.unit.hpo.auto.test_auto import parts


@pytest.fixture(scope="module")
def judged() -> Dataset:
    whole = load_dataset("python-reference")
    return Dataset(whole.name, whole.corpus, parts(whole.split("test"), train=0.6, test=0.4))


@pytest.mark.slow
def test_the_ladder_and_its_files(judged, tmp_path):
    recommendation = recommend(judged, encoder="lsa", budget="5m", store=Store(tmp_path / "store"))
    assert [rung.name for rung in recommendation.rungs][:4] == ["BM25", "dense", "hybrid", "+ feedback"]
    assert recommendation.left_out["hybrid + reranker"] == "no cross-encoder named (--scorer)"
    assert recommendation.compared_on == "train"
    best = max(rung.tuned for rung in recommendation.rungs)
    assert recommendation.chosen.tuned <= best
    assert all(rung.latency_ms > 0 for rung in recommendation.rungs)
    write_recommendation(recommendation, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "recommend.json").read_text())["choice"] == recommendation.choice
    assert Pipeline.from_yaml(tmp_path / "out" / "recommended.yaml").spec.to_config() == recommendation.chosen.config
    assert recommendation.choice in (tmp_path / "out" / "report.html").read_text()
    if "+ learned rank" not in recommendation.left_out:
        assert recommendation.curve[-1][0] == len(judged.split("train").queries)


def test_only_test_questions_are_told_apart_on_them(judged, tmp_path):
    only = Dataset("d", judged.corpus, {"test": judged.splits["test"]})
    recommendation = recommend(only, encoder="lsa", budget="0.01s")
    assert [rung.name for rung in recommendation.rungs] == ["BM25"]  # the first is always measured
    assert recommendation.left_out["dense"] == "the budget was used up"
    assert recommendation.compared_on.startswith("test, since there is no other split")


def test_what_is_no_measure_is_refused(judged):
    with pytest.raises(ConfigError, match="objective: must be a measure of ranked lists"):
        recommend(judged, objective="latency_p50_ms")


def test_a_folder_of_something_else_is_left_alone(judged, tmp_path):
    recommendation = recommend(
        Dataset("d", judged.corpus, {"test": judged.splits["test"]}), encoder="lsa", budget="0.01s"
    )
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(ArtifactError, match="holds other files than a recommendation"):
        write_recommendation(recommendation, tmp_path)


def test_no_rung_is_begun_that_takes_too_long_to_embed(monkeypatch):
    from rag import Corpus, Document, Query
    from rag.eval.datasets.base import Split
    from rag.hpo.auto import bounds

    corpus = Corpus.from_documents(Document(str(n), f"word{n} text") for n in range(50))
    queries = [Query(f"q{n}", f"word{n}") for n in range(8)]
    test = Split(queries, {query.id: {query.id[1:]: 1} for query in queries})
    monkeypatch.setattr(bounds, "_TRIED", 4)
    monkeypatch.setattr(bounds, "_QUESTIONS", {"test": 5})
    ticks = itertools.count(0, 100)  # seconds: whatever is timed takes a hundred
    monkeypatch.setattr(bounds, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    recommendation = recommend(Dataset("d", corpus, {"test": test}), encoder="lsa", budget="60s")
    assert [rung.name for rung in recommendation.rungs] == ["BM25"]
    assert recommendation.left_out["dense"].startswith("embedding 50 documents would take about 21 minutes")
    assert recommendation.left_out["hybrid"] == recommendation.left_out["dense"]
    assert recommendation.left_out["3 of 8 test questions"] == "5 drawn at random are asked"
