"""Evaluations and run folders, on the starter dataset."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import ir_measures
import pyarrow.parquet as pq
import pytest

import rag.templates
from rag import ArtifactError, ConfigError, Corpus, Document, Pipeline, Query, Stage
from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.eval import Evaluation, evaluate, load_dataset
from rag.eval.datasets.base import Dataset, Split
from rag.eval.runs.folder import write_run
from rag.retrievers import BM25, Dense, Flat
from rag.store.store import Store
from tests.fakes import WordEmbedder

DATA = Path(rag.templates.__file__).parent / "starter" / "data"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset(DATA)


@pytest.fixture(scope="module")
def evaluation(dataset: Dataset) -> Evaluation:
    return evaluate(Pipeline(retriever=BM25(top_k=5)), dataset, measures=["nDCG@10", "R@5"])


def test_metrics_have_the_documented_keys(evaluation: Evaluation) -> None:
    metrics = evaluation.metrics
    assert ("data", "test", 8) == (metrics["dataset"], metrics["split"], metrics["n_queries"])
    assert list(metrics["measures"]) == ["nDCG@10", "R@5"]
    low, high = metrics["measures"]["nDCG@10"]["ci95"]
    assert 0 <= low <= metrics["measures"]["nDCG@10"]["mean"] <= high <= 1
    assert set(metrics["latency_ms"]) == {"p50", "p95", "n_queries"}
    assert 0 < metrics["latency_ms"]["p50"] <= metrics["latency_ms"]["p95"]
    assert [stage["name"] for stage in metrics["stages"]] == ["retriever"]
    assert (12, 12, 32) == (*list(metrics["corpus"].values())[:2], len(metrics["corpus"]["fingerprint"]))
    assert evaluation.pipeline.fingerprint == metrics["config_fingerprint"]
    assert "python" in metrics["versions"]
    json.dumps(metrics)


def test_means_are_over_all_judged_queries(evaluation: Evaluation) -> None:
    values = evaluation.values["nDCG@10"]
    assert set(evaluation.split.qrels) == set(values)
    assert sum(values.values()) / len(values) == pytest.approx(evaluation.mean("nDCG@10"))


def test_the_run_folder(evaluation: Evaluation, tmp_path: Path) -> None:
    folder = write_run(evaluation, tmp_path / "runs" / "one")
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml",
        "run.trec",
        "metrics.json",
        "per_query.parquet",
        "report.html",
    }
    assert [path.name for path in folder.parent.iterdir()] == ["one"]  # nothing half-written beside it
    assert evaluation.metrics == json.loads((folder / "metrics.json").read_text())
    assert evaluation.pipeline.fingerprint == Pipeline.from_yaml(folder / "config.yaml").fingerprint
    run = list(ir_measures.read_trec_run(str(folder / "run.trec")))
    measured = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], evaluation.split.qrels, run)
    assert evaluation.mean("nDCG@10") == pytest.approx(measured[ir_measures.nDCG @ 10])
    rows = pq.read_table(folder / "per_query.parquet").to_pylist()
    first = next(row for row in rows if row["query_id"] == "q1")
    assert evaluation.values["R@5"]["q1"] == first["R@5"]
    assert {key: value for key, value in first["expected"][0].items() if key not in ("rank", "ranks", "lost_at")} == {
        "id": "returns",
        "title": "Returning goods",
        "grade": 2,
        "link": "",
    }
    assert [hit.document.id for hit in evaluation.results[0]] == [returned["id"] for returned in rows[0]["returned"]]


def test_a_run_replaces_a_run_and_nothing_else(evaluation: Evaluation, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(evaluation, folder)
    (folder / "metrics.json").write_text("{}")
    write_run(evaluation, folder)
    assert evaluation.metrics == json.loads((folder / "metrics.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("keep")
    with pytest.raises(ArtifactError, match="holds other files than a run"):
        write_run(evaluation, other)
    assert [path.name for path in other.iterdir()] == ["mine.txt"]
    with pytest.raises(ArtifactError, match="is a file"):
        write_run(evaluation, other / "mine.txt")


def tiny(*documents: Document, query: Query, relevant: str) -> Dataset:
    return Dataset("tiny", Corpus.from_documents(documents), {"test": Split([query], {query.id: {relevant: 1}})})


def test_a_document_that_is_the_query_can_be_left_out() -> None:
    data = tiny(Document("q", "red fox"), Document("d", "fox"), query=Query("q", "red fox"), relevant="d")
    pipeline = Pipeline(retriever=BM25())
    assert evaluate(pipeline, data, measures=["RR"]).mean("RR") == 0.5
    assert evaluate(pipeline, data, measures=["RR"], ignore_identical_ids=True).mean("RR") == 1.0


def test_one_query_has_no_interval_and_nothing_found_counts_zero(tmp_path: Path) -> None:
    data = tiny(Document("a b", "cat"), query=Query("q 1", "dog"), relevant="a b")
    measured = evaluate(Pipeline(retriever=BM25()), data, measures=["AP"])
    assert measured.metrics["measures"]["AP"] == {"mean": 0.0, "ci95": None}
    assert {
        "1 of 1 queries got no document; they count 0 (1 in SetP, SetR and SetF where nothing is relevant)",
        "one query only: no interval can be given",
    } <= set(measured.metrics["notes"])
    write_run(measured, tmp_path / "run")


def test_white_space_in_ids_does_not_break_the_columns(tmp_path: Path) -> None:
    data = tiny(Document("a b", "cat"), query=Query("q 1", "cat"), relevant="a b")
    folder = write_run(evaluate(Pipeline(retriever=BM25()), data, measures=["AP"]), tmp_path / "run")
    fields = (folder / "run.trec").read_text().split()
    assert fields[:4] == ["q%201", "Q0", "a%20b", "1"]
    assert len(fields) == 6


class Learner(Stage):
    """Learns which documents are ever relevant."""

    type = "learner"
    needs = frozenset({"training"})

    def fit(self, context) -> None:  # type: ignore[no-untyped-def]
        super().fit(context)
        self.seen = {query.id for query in context.training.queries}

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        return candidates


def test_learning_is_from_the_train_split_only(dataset: Dataset) -> None:
    learner = Learner()
    evaluate(Pipeline(retriever=BM25(), stages=[learner]), dataset, measures=["AP"])
    assert {query.id for query in dataset.split("train").queries} == learner.seen
    with pytest.raises(ConfigError, match=r"stages\.0 .* learns from judged training queries"):
        evaluate(Pipeline(retriever=BM25(), stages=[Learner()]), dataset, split="train", measures=["AP"])


def test_every_measure_sees_tied_documents_in_the_order_that_is_returned(tmp_path: Path) -> None:
    data = Dataset(
        "ties",
        Corpus.from_documents([Document("c", "fox"), Document("a", "fox"), Document("b", "fox")]),
        {"test": Split([Query("q", "fox")], {"q": {"c": 1}})},
    )
    measured = evaluate(Pipeline(retriever=BM25()), data, measures=["RR", "RR@10", "P@1", "AP", "nDCG@10"])
    assert ["c", "a", "b"] == [hit.document.id for hit in measured.results[0]] == list(measured.run["q"])
    assert dict.fromkeys(["RR", "RR@10", "P@1", "AP", "nDCG@10"], 1.0) == {
        name: value["q"] for name, value in measured.values.items()
    }
    written = (write_run(measured, tmp_path / "run") / "run.trec").read_text().splitlines()
    scores = [float(line.split()[4]) for line in written]
    assert scores == sorted(set(scores), reverse=True)
    assert scores[0] == pytest.approx(scores[2], rel=1e-6)


def test_a_folder_that_only_looks_like_a_run_is_left_alone(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ArtifactError, match="holds other files than a run"):
        write_run(evaluation, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


class Slow(WordEmbedder):
    """Takes its time over queries.

    Args:
        size: Length of the vectors.
    """

    type = "fake_slow_words"

    def embed_queries(self, *args: Any, **options: Any) -> Any:
        time.sleep(0.3)
        return super().embed_queries(*args, **options)


def test_seconds_that_were_spent_earlier_are_said_to_be(dataset: Dataset, tmp_path: Path) -> None:
    def note() -> tuple[list[str], float]:
        pipeline = Pipeline(retriever=Dense(embedder=Slow(), index=Flat()))
        metrics = evaluate(pipeline, dataset, measures=["AP"], timed=False, store=Store(tmp_path)).metrics
        return [text for text in metrics["notes"] if "were spent earlier" in text], metrics["costs"]["seconds"]

    first, again = note(), note()
    assert first[0] == []
    assert again[1] >= 0.3
    (said,) = again[0]
    assert said.startswith(f"of the {again[1]:.3g} s counted for searching, most were")
