"""An evaluation from Python: saved, shown, as a table, compared."""

from __future__ import annotations

import json

import pytest

from rag import ConfigError, Corpus, Document, Pipeline, Query
from rag.eval import Dataset, Metrics, Split, compare, evaluate, read_run_values, render_report
from rag.eval.metrics import read_metrics
from rag.eval.runs.reading import values_of_evaluation
from rag.retrievers import BM25

TEXTS = {"d1": "red apples", "d2": "green pears", "d3": "blue plums and red plums", "d4": "apples and pears"}
QUERIES = [Query("q1", "red apples"), Query("q2", "plums"), Query("q3", "green things"), Query("q4", "pears")]
QRELS = {"q1": {"d1": 1}, "q2": {"d3": 2}, "q3": {"d2": 1}, "q4": {"d4": 1}}


@pytest.fixture(scope="module")
def evaluations():
    corpus = Corpus.from_documents(Document(id, text) for id, text in TEXTS.items())
    dataset = Dataset("fruit", corpus, {"test": Split(QUERIES, QRELS)})
    return [
        evaluate(Pipeline(retriever=BM25(k1=k1, language="en")), dataset, measures=["nDCG@10", "RR"], timed=False)
        for k1 in (1.2, 0.0)
    ]


def test_it_is_saved_as_a_run_folder(evaluations, tmp_path):
    folder = evaluations[0].save(str(tmp_path / "run"))
    assert folder == tmp_path / "run"
    assert json.loads((folder / "metrics.json").read_text()) == evaluations[0].metrics
    assert read_metrics(folder) == Metrics.model_validate(evaluations[0].metrics)


def test_its_report_is_that_of_the_folder(evaluations, tmp_path):
    folder = evaluations[0].save(tmp_path / "run")
    assert evaluations[0].report() == render_report(folder)


def test_as_a_table(evaluations):
    frame = evaluations[0].to_dataframe()
    assert list(frame.columns) == ["query_id", "query", "n_relevant", "n_returned", "nDCG@10", "RR"]
    assert dict(zip(frame["query_id"], frame["RR"], strict=True)) == evaluations[0].values["RR"]
    assert frame["nDCG@10"].mean() == pytest.approx(evaluations[0].mean("nDCG@10"))


def test_its_values_are_those_of_the_folder(evaluations, tmp_path):
    folder = evaluations[0].save(tmp_path / "run")
    assert values_of_evaluation(evaluations[0], "run") == read_run_values(folder)


def test_evaluations_and_folders_are_compared(evaluations, tmp_path):
    first, other = evaluations
    compared = compare({"a": first, "b": other.save(tmp_path / "b")}, baseline="a")
    (difference,) = [pair.difference for pair in compared.pairs if pair.measure == "RR"]
    assert difference == pytest.approx(other.mean("RR") - first.mean("RR"))
    assert compared.settings == {"retriever.k1": {"a": 1.2, "b": 0.0}}


def test_without_names_they_are_called_by_their_steps(evaluations):
    assert compare(evaluations).runs == ["bm25", "bm25 (2)"]
    assert compare([evaluations[0], values_of_evaluation(evaluations[1], "other")]).runs == ["bm25", "other"]


def test_one_alone_cannot_be_compared(evaluations):
    with pytest.raises(ConfigError, match="runs: at least two runs are needed, got 1"):
        compare(evaluations[:1])
