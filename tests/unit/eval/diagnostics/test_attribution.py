"""Where relevant documents are lost, on pipelines whose losses are known."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from rag import Corpus, Document, Pipeline, Query, Threshold
from rag.eval import Dataset, Split, evaluate
from rag.eval.diagnostics.attribution import NOT_IN_CORPUS
from rag.eval.runs.folder import write_run
from rag.rerankers import Rerank
from rag.retrievers import BM25, Hybrid
from rag.store.store import Store
from tests.fakes import CountingScorer

DOCUMENTS = [Document(f"d{n}", "apple " * (10 - n) + "pear " * n) for n in range(10)]
QUERIES = [Query("apples", "apple"), Query("pears", "pear"), Query("nothing", "apple")]
QRELS = {
    "apples": {"d0": 2, "d1": 1, "d8": 1, "gone": 1},
    "pears": {"d9": 1, "d0": 1},
    "nothing": {"d0": 0},
}


def measured(**options):
    dataset = Dataset("d", Corpus.from_documents(DOCUMENTS), {"test": Split(QUERIES, QRELS)})
    return evaluate(Pipeline(**options), dataset, measures=["nDCG@2"], timed=False)


def test_every_relevant_document_that_is_not_returned_has_a_stage_to_blame():
    evaluation = measured(
        retriever=BM25(top_k=10),
        stages=[Rerank(scorer=CountingScorer(), budget=6, scores="scorer"), Threshold(top_k=2)],
    )
    returned = {query: set(documents) for query, documents in evaluation.run.items()}
    relevant = {(q, d) for q, grades in QRELS.items() for d, grade in grades.items() if grade > 0}
    assert {pair for pair in relevant if pair[1] not in returned[pair[0]]} == set(evaluation.lost_at)
    assert evaluation.lost_at["apples", "gone"] == NOT_IN_CORPUS
    assert evaluation.lost_at["pears", "d0"] == "retriever"  # it does not have the word
    assert evaluation.lost_at["apples", "d8"] == "stages.0 rerank"  # it stands below the budget
    lost = evaluation.metrics["attribution"]
    assert lost["relevant"] == 6
    assert lost["not_in_corpus"] == 1
    assert [stage["name"] for stage in lost["stages"]] == ["retriever", "stages.0 rerank", "stages.1 threshold"]
    left = [stage["left"] for stage in lost["stages"]]
    assert left[0] == 4
    assert sorted(left, reverse=True) == left
    assert left[-1] == sum(d in returned[q] for q, d in relevant)
    assert lost["relevant"] == left[-1] + sum(stage["lost"] for stage in lost["stages"]) + lost["not_in_corpus"]


def test_recall_and_the_best_possible_order_by_hand():
    evaluation = measured(retriever=BM25(top_k=10))
    (stage,) = evaluation.metrics["attribution"]["stages"]
    # 3 of 4 and 1 of 2; "nothing" has nothing relevant and does not count.
    assert stage["recall"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    # Apples: d0 and d1 first is as good as it gets; pears: one of two; nothing counts 0.
    gain, second = 1.0, 0.6309297535714575
    pears = gain / (gain + second)
    assert stage["oracle"] == pytest.approx((1 + pears + 0) / 3)
    assert stage["oracle"] >= evaluation.mean("nDCG@2")


def test_it_is_in_the_run_folder(tmp_path):
    evaluation = measured(retriever=BM25(top_k=1))
    folder = write_run(evaluation, tmp_path / "run")
    rows = {row["query_id"]: row for row in pq.read_table(folder / "per_query.parquet").to_pylist()}
    assert {document["id"]: document["lost_at"] for document in rows["apples"]["expected"]} == {
        "d0": None,
        "d1": "retriever",
        "d8": "retriever",
        "gone": NOT_IN_CORPUS,
    }
    page = (folder / "report.html").read_text()
    assert "Where relevant documents are lost" in page
    assert "lost at retriever" in page


def test_a_hybrid_shows_what_each_of_its_retrievers_found(tmp_path):
    hybrid = Hybrid(retrievers=[BM25(top_k=10), BM25(top_k=3, k1=0.1)], top_k=4)
    dataset = Dataset("d", Corpus.from_documents(DOCUMENTS), {"test": Split(QUERIES, QRELS)})
    for store in (None, Store(tmp_path / "store"), Store(tmp_path / "store")):
        stages = [Threshold(top_k=2)]
        evaluation = evaluate(
            Pipeline(retriever=hybrid, stages=stages), dataset, measures=["AP"], timed=False, store=store
        )
        names = ["retriever.0 bm25", "retriever.1 bm25", "retriever", "stages.0 threshold"]
        assert names == [stage.name for stage in evaluation.stages]
        assert [int(stage.counts[0]) for stage in evaluation.stages] == [10, 3, 4, 2]
        alone = [hit.document.id for hit in Pipeline(retriever=BM25(top_k=10)).fit(DOCUMENTS).search("apple")]
        assert alone.index("d8") + 1 == evaluation.ranks["apples", "d8"][0] == 9
        assert evaluation.ranks["apples", "d8"][1:] == [None] * 3
        assert evaluation.lost_at["apples", "d8"] == "retriever"
        assert [stage["name"] for stage in evaluation.metrics["attribution"]["stages"]] == [
            "retriever",
            "stages.0 threshold",
        ]
    table = pq.read_table(write_run(evaluation, tmp_path / "run") / "per_query.parquet").to_pylist()
    assert names == [stage["name"] for stage in table[0]["stages"]]
    assert {len(document["ranks"]) for row in table for document in row["expected"] if document["ranks"]} == {
        len(names)
    }
