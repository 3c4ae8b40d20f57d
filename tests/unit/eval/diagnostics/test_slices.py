"""Measures by kind of query."""

from __future__ import annotations

import numpy as np

from rag import Corpus, Document, Pipeline, Query
from rag.eval import Dataset, Split, evaluate
from rag.eval.diagnostics.slices import slices_of
from rag.eval.runs.folder import write_run
from rag.retrievers import BM25

QUERIES = [
    Query("a", "one", metadata={"category": "short", "id": "a", "n": 1}),
    Query("b", "one two", metadata={"category": "short", "id": "b", "n": 2}),
    Query("c", "one two three four five", metadata={"category": "long", "id": "c", "n": 1, "tags": ["x"]}),
    Query("d", " ".join("abcdefghijklmnopqrstuvwxyz"), metadata={"id": "d"}),
]
QRELS = {"a": {"x": 1}, "b": {"x": 1, "y": 1, "z": 0}, "c": {}, "d": {f"d{n}": 1 for n in range(7)}}


def test_every_way_to_divide_and_its_means():
    table = np.array([[1.0, 0.1], [0.5, 0.2], [0.0, 0.3], [0.25, 0.4]])
    slices = {slice_.by: slice_.kinds for slice_ in slices_of(Split(QUERIES, QRELS), ["P@1", "AP"], table)}
    # Neither the id, which names a query, nor a list.
    assert list(slices) == ["metadata category", "metadata n", "relevant documents", "words in the query"]
    assert [(part.kind, part.n_queries) for part in slices["metadata category"]] == [("long", 1), ("short", 2)]
    assert slices["metadata category"][1].measures["P@1"].mean == 0.75
    assert slices["metadata category"][0].measures["P@1"].ci95 is None
    assert [part.kind for part in slices["metadata n"]] == ["1", "2"]
    low, high = slices["metadata category"][1].measures["AP"].ci95
    assert 0.1 <= low <= 0.15 <= high <= 0.2
    assert [part.kind for part in slices["relevant documents"]] == ["none", "1", "2 to 5", "more than 5"]
    assert [(part.kind, part.n_queries) for part in slices["words in the query"]] == [
        ("1 to 3", 2),
        ("4 to 8", 1),
        ("more than 20", 1),
    ]


def test_numbers_are_in_their_order():
    queries = [Query(f"q{n}", "one", metadata={"k": kind}) for n, kind in enumerate([10, 9, "nan", "b", 10, 9, 2, 2.5])]
    (by, *_) = slices_of(Split(queries + queries, {}), ["AP"], np.zeros((16, 1)))
    assert [part.kind for part in by.kinds] == ["2", "2.5", "9", "10", "b", "nan"]


def test_queries_that_are_all_alike_are_not_divided():
    queries = [Query("a", "one", metadata={"k": "v"}), Query("b", "two", metadata={"k": "v"})]
    assert slices_of(Split(queries, {"a": {"x": 1}, "b": {"x": 1}}), ["AP"], np.ones((2, 1))) == []


def test_they_are_in_the_run_and_its_report(tmp_path):
    documents = [Document("x", "one two"), Document("y", "three")]
    dataset = Dataset("d", Corpus.from_documents(documents), {"test": Split(QUERIES[:3], QRELS)})
    evaluation = evaluate(Pipeline(retriever=BM25()), dataset, measures=["nDCG@10"], timed=False)
    kinds = evaluation.metrics["slices"][0]["kinds"]
    assert {part["kind"]: part["measures"]["nDCG@10"]["mean"] for part in kinds} == {
        "long": 0.0,
        "short": (evaluation.values["nDCG@10"]["a"] + evaluation.values["nDCG@10"]["b"]) / 2,
    }
    page = (write_run(evaluation, tmp_path / "run") / "report.html").read_text()
    assert "By metadata category" in page
