"""Public objects on a dataset of a thousand queries: none prints more than a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ir_measures import RR, nDCG

from rag import Corpus, Document, Pipeline, Query, Store, Threshold
from rag.batch import QueryBatch
from rag.eval import Dataset, Split, compare, evaluate, read_run_values
from rag.hpo import SweepResult, plan, recommend, tune
from rag.hpo.sweep import sweep_from_config
from rag.retrievers import BM25

N = 1000


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    documents = [
        Document(f"d{n}", f"topic {n % 37} and thing {n % 11} of {n} " * 8, {"title": f"T{n}"}) for n in range(N)
    ]
    queries = [Query(f"q{n}", f"topic {n % 37} thing {n % 11} number {n}") for n in range(N)]
    qrels = {query.id: {f"d{n}": 1} for n, query in enumerate(queries)}
    parts = {"train": slice(0, 300), "dev": slice(300, 600), "test": slice(0, N)}
    splits = {name: Split(queries[part], {q.id: qrels[q.id] for q in queries[part]}) for name, part in parts.items()}
    return Dataset("many", Corpus.from_documents(documents), splits)


def small(dataset: Dataset) -> Dataset:
    """A few documents and their queries."""
    documents = dataset.corpus.documents(range(60))
    split = dataset.splits["test"]
    splits = {
        name: Split(split.queries[part], {query.id: split.qrels[query.id] for query in split.queries[part]})
        for name, part in {"dev": slice(0, 30), "test": slice(30, 60)}.items()
    }
    return Dataset("few", Corpus.from_documents(documents), splits)


SWEEP = {
    "pipeline": {"type": "pipeline", "retriever": {"type": "bm25", "k1": {"tune": "float", "low": 0.5, "high": 2.0}}},
    "n_trials": 3,
}


@pytest.fixture(scope="module")
def swept(dataset: Dataset) -> SweepResult:
    return tune(SWEEP, small(dataset))


@pytest.fixture(scope="module")
def objects(dataset: Dataset, swept: SweepResult, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pipeline = Pipeline(retriever=BM25(top_k=20)) >> Threshold(top_k=10)
    evaluation = evaluate(pipeline, dataset, measures=["nDCG@10", "RR@10"], timed=False)
    folder = evaluation.save(tmp_path_factory.mktemp("run") / "run")
    results = pipeline.search(dataset.splits["test"].queries, explain=True)
    compared = compare({"a": evaluation, "b": evaluation})
    batch = QueryBatch(dataset.splits["test"].queries)
    sweep = sweep_from_config(SWEEP)
    return {
        "dataset": dataset,
        "split": dataset.splits["test"],
        "training": dataset.splits["test"].training,
        "corpus": dataset.corpus,
        "document": dataset.corpus[0],
        "query": dataset.splits["test"].queries[0],
        "pipeline": pipeline,
        "passages": pipeline.passages,
        "costs": pipeline.fit_costs,
        "remarks": pipeline.remarks,
        "batch": batch,
        "candidates": pipeline.run(batch),
        "results": results,
        "result": results[0],
        "hits": results[0].hits,
        "hit": results[0][0],
        "evaluation": evaluation,
        "metrics": evaluation.record,
        "results of an evaluation": evaluation.results,
        "run values": read_run_values(folder),
        "compared": compared,
        "pair": compared.pairs[0],
        "sweep": sweep,
        "sweep result": swept,
        "trial": swept.trials[0],
        "trials": list(swept.trials),
        "tested": swept.tested,
        "plan": plan(sweep, dataset),
        "recommendation": recommend(small(dataset), encoder="lsa", budget="1s"),
        "store": Store(folder.parent / "store"),
    }


def test_they_print_a_few_lines(objects: dict[str, Any]) -> None:
    lengths = {name: len(repr(thing)) for name, thing in objects.items()}
    assert {name: length for name, length in lengths.items() if not 0 < length < 2000} == {}


def test_notebooks_show_pages_of_moderate_size(objects: dict[str, Any]) -> None:
    pages = {name: thing._repr_html_() for name, thing in objects.items() if hasattr(thing, "_repr_html_")}
    assert {"dataset", "pipeline", "results", "evaluation", "compared", "sweep result"} <= pages.keys()
    assert {name: len(page) for name, page in pages.items() if len(page) > 30_000} == {}


def test_evaluations_are_reported_drawn_and_tabulated(objects: dict[str, Any], tmp_path: Path) -> None:
    evaluation = objects["evaluation"]
    page = evaluation.report(tmp_path / "x.html")
    assert page == tmp_path / "x.html"
    assert page.read_text(encoding="utf-8") == evaluation.report()
    assert list(evaluation.plot.stages().data[0].x) == ["retriever", "stages.0 threshold"]
    assert sum(evaluation.plot.distribution("RR@10").data[0].y) == N
    assert len(evaluation.to_dataframe()) == N
    assert evaluation.to_dict()["n_queries"] == N


def test_sweeps_are_saved_reported_drawn_and_tabulated(swept: SweepResult, tmp_path: Path) -> None:
    assert {path.name for path in swept.save(tmp_path / "sweep").iterdir()} >= {
        "best.yaml",
        "report.html",
        "sweep.json",
    }
    assert "<html" in swept.report()
    assert len(swept.plot.progress().data) == 3
    assert len(swept.to_dataframe()) == len(swept.trials)
    with pytest.raises(Exception, match="single objective has no front"):
        swept.plot.front()


def test_comparisons_are_saved_and_tabulated(objects: dict[str, Any], tmp_path: Path) -> None:
    compared = objects["compared"]
    assert (compared.save(tmp_path / "compared") / "compare.html").read_text(encoding="utf-8") == compared.report()
    frame = compared.to_dataframe()
    assert frame["verdict"].tolist() == [pair.verdict.kind for pair in compared.pairs]


def test_pipelines_are_compared_on_a_dataset_with_measures_of_ir_measures(dataset: Dataset) -> None:
    shallow, deep = Pipeline(retriever=BM25(top_k=1)), Pipeline(retriever=BM25(top_k=10))
    few = small(dataset)
    compared = compare({"shallow": shallow, "deep": deep}, few, split="dev", measures=[nDCG @ 10, RR @ 10])
    own = evaluate(deep, few, split="dev", measures=["nDCG@10"], timed=False)
    assert compared.measures == ["nDCG@10", "RR@10"]
    assert compared.means["deep"]["nDCG@10"] == pytest.approx(own.mean("nDCG@10"))
    with pytest.raises(Exception, match="dataset: must be given to compare pipelines"):
        compare([shallow, deep])


def test_splits_as_tables(dataset: Dataset) -> None:
    frame = dataset.splits["dev"].to_dataframe()
    assert frame.iloc[0].tolist() == ["q300", "topic 4 thing 3 number 300", "d300", 1]
    unjudged = Split([Query("q", "text")], {"q": {}}).to_dataframe("pyarrow")
    assert unjudged.to_pylist() == [{"query_id": "q", "query": "text", "document_id": None, "grade": None}]
