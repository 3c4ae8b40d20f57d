"""Lists of another system as a retriever."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag import ConfigError, DataError, Document, Pipeline, Query, RecursiveChunker, Threshold
from rag.eval import Dataset, Split, evaluate
from rag.retrievers import BM25, Hybrid, Run

DOCUMENTS = [
    Document("a", "apples and pears", {"year": 1990}),
    Document("b", "pears alone", {"year": 2000}),
    Document("with space", "plums", {"year": 2010}),
]
LINES = """\
q1 Q0 b 1 2.5 other
q1 Q0 a 2 1.5 other
q1 Q0 gone 3 1.0 other
q2 Q0 with%20space 1 9 other
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "run.trec").write_text(LINES, encoding="utf-8")
    return str(tmp_path / "run.trec")


def ids(pipeline: Pipeline, *queries: Query) -> list[list[tuple[str, float]]]:
    return [[(hit.document.id, hit.score) for hit in result] for result in pipeline.search(queries)]


def test_lists_come_by_the_id_of_the_query_with_their_scores(path: str) -> None:
    pipeline = Pipeline(retriever=Run(path=path)).fit(DOCUMENTS)
    lists = ids(pipeline, Query("q2", "x"), Query("q1", "x"), Query("q3", "x"))
    assert lists == [[("with space", 9.0)], [("b", 2.5), ("a", 1.5)], []]
    assert f"{path} has lists for 2 queries; 1 of its 4 documents are not in the corpus" in pipeline.remarks.messages


def test_filters_and_deletions_are_respected_and_a_saved_index_needs_no_file(path: str, tmp_path: Path) -> None:
    pipeline = Pipeline(retriever=Run(path=path), chunker=RecursiveChunker(size=8, unit="characters")).fit(DOCUMENTS)
    pipeline.save(tmp_path / "index")
    Path(path).unlink()
    loaded = Pipeline.load(tmp_path / "index")
    assert ids(loaded, Query("q1", "x", filter={"year": {"lt": 2000}})) == [[("a", 1.5)]]
    loaded.delete(["b"])
    assert ids(loaded, Query("q1", "x")) == [[("a", 1.5)]]
    loaded.add([Document("gone", "back again", {"year": 2020})])
    assert ids(loaded, Query("q1", "x")) == [[("a", 1.5), ("gone", 1.0)]]


def test_it_is_fused_filtered_and_evaluated_as_any_retriever(path: str) -> None:
    pipeline = Pipeline(retriever=Hybrid(retrievers=[Run(path=path), BM25()])) >> Threshold(top_k=1)
    split = Split([Query("q1", "apples"), Query("q2", "plums")], {"q1": {"a": 1}, "q2": {"with space": 1}})
    dataset = Dataset("fruit", Pipeline(retriever=BM25()).fit(DOCUMENTS).corpus, {"test": split})
    evaluation = evaluate(pipeline, dataset, measures=["RR@10"], timed=False)
    assert evaluation.values["RR@10"]["q2"] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 Q0 x 1 2.5 other", "none of its 1 documents is in the corpus"),
        ("q1 Q0 a 1 high other", "run.trec:1: the score must be a number, got 'high'"),
        ("q1 Q0 a 1", "run.trec:1: expected 6 columns"),
        ("", "is empty: no run"),
    ],
)
def test_files_that_are_no_run_of_this_corpus(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.trec").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Pipeline(retriever=Run(path=str(tmp_path / "run.trec"))).fit(DOCUMENTS)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises((DataError, ConfigError), match=r"nowhere\.trec"):
        Pipeline(retriever=Run(path=str(tmp_path / "nowhere.trec"))).fit(DOCUMENTS)
