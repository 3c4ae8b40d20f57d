"""What does not fit together in a dataset is counted and said, or refused, wherever the dataset comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag import Corpus, Document, Pipeline, Query, Threshold
from rag.batch import QueryBatch
from rag.errors import DataError
from rag.eval import evaluate, load_dataset
from rag.eval.comparison.comparing import compare_runs
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.duplicates import repeated_documents
from rag.eval.datasets.qrels import read_qrels
from rag.eval.measures.latency import time_alone
from rag.eval.reports.markdown import as_markdown
from rag.eval.runs.folder import write_run
from rag.eval.runs.reading import read_run_values
from rag.retrievers import BM25, Hybrid, Keyed, TextKey

CORPUS = [
    {"_id": "d1", "text": "returns within thirty days"},
    {"_id": "d2 ", "text": "parcels take three days"},
    {"_id": "d3", "text": "two years of warranty"},
    {"_id": "d4", "text": "two years of warranty"},
    {"_id": "d5", "text": " "},
    {"_id": "d6", "text": ""},
]
QUERIES = [
    {"_id": "q1", "text": "returns"},
    {"_id": "q2", "text": "parcels"},
    {"_id": "q3", "text": ""},
    {"_id": "q4", "text": None},
    {"_id": "q5", "text": "who is the king of France"},
    {"_id": "q6", "text": "never judged"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1.0\nq2\td2 \t2\nq3\td3\t1\nq4\td3\t1\nq5\t\t0\n"


def folder(path: Path, qrels: str = QRELS, queries: list[dict[str, Any]] = QUERIES) -> Path:
    (path / "qrels").mkdir(parents=True, exist_ok=True)
    for name, rows in (("corpus", CORPUS), ("queries", queries)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (path / "qrels" / "test.tsv").write_text(qrels, encoding="utf-8")
    return path


def table(path: Path, qrels: str = QRELS) -> Path:
    folder(path, qrels)
    text = "corpus: {path: corpus.jsonl}\nqueries: {path: queries.jsonl}\n"
    text += "qrels: {path: qrels/test.tsv, query: query-id, document: corpus-id, grade: score}\n"
    (path / "shop.yaml").write_text(text, encoding="utf-8")
    return path / "shop.yaml"


def hub(path: Path, qrels: str = QRELS) -> str:
    folder(path, qrels)
    rows = [line.split("\t") for line in qrels.splitlines()[1:]]
    judged = [{"query-id": q, "corpus-id": d, "score": float(s)} for q, d, s in rows]
    (path / "qrels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in judged), encoding="utf-8")
    configs = "".join(
        f"- config_name: {name}\n  data_files: [{{split: test, path: {name}.jsonl}}]\n"
        for name in ("corpus", "queries", "qrels")
    )
    (path / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    return f"hf:{path}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``datasets`` takes folders of one name for one data set."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("make", [folder, table, hub])
def test_the_same_rules_hold_wherever_it_comes_from(make: Any, tmp_path: Path) -> None:
    dataset = load_dataset(make(tmp_path / "mine"))
    split = dataset.split("test")
    assert [query.id for query in split.queries] == ["q1", "q2", "q3", "q4", "q5"]
    assert split.qrels == {"q1": {"d1": 1}, "q2": {"d2 ": 2}, "q3": {"d3": 1}, "q4": {"d3": 1}, "q5": {}}
    assert [note for note in dataset.notes if "documents have no text" not in note] == [
        "test: 2 of 5 queries have no text (such as 'q3'): they find nothing and count 0",
        "1 of 6 queries have no judgment and are left out",
        "1 of 6 documents have the text of another (such as 'd4' that of 'd3'): where only one is judged, the other "
        "counts as a miss",
    ]
    assert [query.id for query in split.training.queries] == ["q1", "q2", "q5"]


@pytest.mark.parametrize("make", [folder, table, hub])
def test_a_dataset_whose_judgments_name_no_document_is_refused(make: Any, tmp_path: Path) -> None:
    path = make(tmp_path / "mine", "query-id\tcorpus-id\tscore\nq1\td1 \t1\nq2\td2\t1\nq3\tD3\t1\n")
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    assert str(caught.value).startswith("no document that is judged, such as 'd1 ' [")
    for part in (
        "only blanks differ from 'd1']",
        "only blanks differ from 'd2 ']",
        "only case differs from 'd3'",
        "; 2 differ from one that is there only in blanks",
        "is in the corpus, with ids such as 'd1'",
    ):
        assert part in str(caught.value)


def test_ids_are_compared_as_they_are_written(tmp_path: Path) -> None:
    dataset = load_dataset(folder(tmp_path, QRELS.replace("d2 ", "d2").replace("q5\t", "q1 \t")))
    path = tmp_path / "qrels" / "test.tsv"
    assert [note for note in dataset.notes if note.startswith("test: ")][:2] == [
        "test: 1 judged queries are not among the queries and are left out (such as "
        f"'q1 ' [{path}:6; only blanks differ from 'q1']; 1 differ from one that is there only in blanks)",
        "test: judgments name 1 documents, of 3, that are not in the corpus (such as "
        f"'d2' [{path}:3; only blanks differ from 'd2 ']; 1 differ from one that is there only in blanks); relevant "
        "ones count as missed; 1 queries have no other relevant document",
    ]


def test_the_nearest_of_many_ids_is_named(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    rows = "".join(f'{{"_id": "doc-{n:05}", "text": "number {n}"}}\n' for n in range(5000))
    (tmp_path / "corpus.jsonl").write_text(rows)
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "number"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("q\tdoc-00001\t1\nq\tdoc-4321\t1\n")
    assert "'doc-4321' [" in load_dataset(tmp_path).notes[0]
    assert "nearest 'doc-" in load_dataset(tmp_path).notes[0]


def test_a_split_of_which_nothing_is_there_cannot_be_measured(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "qrels" / "dev.tsv").write_text("q1\tx1\t1\n")
    (path / "qrels" / "train.tsv").write_text("q3\td1\t1\n")
    (path / "qrels" / "old.tsv").write_text("Q1\td1\t1\n")
    (path / "qrels" / "more.csv").write_text("q1,d1,1\n")
    dataset = load_dataset(path)
    assert any("1 files of qrels are not read (qrels/more.csv)" in note for note in dataset.notes)
    with pytest.raises(DataError, match="judges 1 documents, such as 'x1', none of which is in the corpus: nothing to"):
        dataset.split("dev")
    with pytest.raises(DataError, match="split 'train' of dataset '.*' has no query with a text: nothing to measure"):
        dataset.split("train")
    with pytest.raises(DataError, match="no query with a judgment: nothing to measure; .*only case differs from 'q1'"):
        dataset.split("old")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("q\ta\t1.0\nq\tb\t0.0\n", {"a": 1, "b": 0}),
        ("q 0 a 2.0\nq 0 b -1.0\n", {"a": 2, "b": -1}),
        ("q\t0\ta b\t 1 \n", {"a b": 1}),
    ],
)
def test_grades_with_a_point_and_ids_with_blanks(tmp_path: Path, text: str, expected: dict[str, int]) -> None:
    (tmp_path / "qrels.tsv").write_text(text)
    assert read_qrels(tmp_path / "qrels.tsv") == {"q": expected}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q\ta\t0.5\n", ":1: the grade must be a whole number, got '0.5'"),
        ("q\ta\tnan\n", ":1: the grade must be a whole number, got 'nan'"),
        (
            "query\tdoc\tlabel\nq\ta\t1\n",
            ":1: the grade must be a whole number, got 'label'; the line looks like a header: call its last column "
            "score, relevance, grade or rel, or leave it out",
        ),
        (
            "q,a,1\n",
            ":1: expected 3 columns (query, document, grade) or TREC's 4, got 1; they are separated by tabs or blanks, "
            "not by commas",
        ),
        ("q\t\t1\n", ":1: query 'q' has a grade above 0, 1, for a document without an id"),
        ("\ta\t1\n", ":1: the query has no id"),
    ],
)
def test_what_cannot_be_a_judgment(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "qrels.tsv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_qrels(tmp_path / "qrels.tsv")
    assert str(caught.value) == f"{tmp_path}/qrels.tsv{message}"


def test_questions_that_nothing_answers_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("id,text\na,returns\nb,parcels\n")
    (tmp_path / "q.csv").write_text("id,text,docs\n1,returns?,a\n2,the king?,\n3,both?,a ; b\n3,both?,\n")
    text = 'corpus: {path: d.csv}\nqueries: {path: q.csv, relevant: docs, separator: ";"%s}\n'
    (tmp_path / "x.yaml").write_text(text % "")
    dataset = load_dataset(tmp_path / "x.yaml")
    assert dataset.split("test").qrels == {"1": {"a": 1}, "3": {"a": 1, "b": 1}}
    assert dataset.notes == ("1 of 3 queries have no judgment and are left out",)
    (tmp_path / "x.yaml").write_text(text % ", empty: unanswerable")
    dataset = load_dataset(tmp_path / "x.yaml")
    assert dataset.split("test").qrels == {"1": {"a": 1}, "2": {}, "3": {"a": 1, "b": 1}}
    assert dataset.notes == ()
    rows = [{"id": 1, "text": "a", "docs": {"a": grade}} for grade in (1, 2)]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "x.yaml").write_text("corpus: {path: d.csv}\nqueries: {path: q.jsonl, relevant: docs}\n")
    with pytest.raises(DataError, match=r"q\.jsonl:2: document 'a' is judged 2 for query '1', before 1"):
        load_dataset(tmp_path / "x.yaml")


def test_what_was_left_out_reaches_the_run(tmp_path: Path) -> None:
    """A query without text counts 0 and stops nobody; metrics, report, Markdown say the same."""
    pipeline = Pipeline(retriever=BM25(top_k=3))
    dataset = load_dataset(folder(tmp_path / "mine"))
    evaluation = evaluate(pipeline, dataset, measures=["R@3", "SetP", "NumQ"])
    assert evaluation.values["R@3"] == {"q1": 1.0, "q2": 1.0, "q3": 0.0, "q4": 0.0, "q5": 0.0}
    assert evaluation.run["q3"] == {}
    assert evaluation.metrics["measures"]["R@3"]["mean"] == 0.4
    assert [result.query.id for result in evaluation.results] == ["q1", "q2", "q3", "q4", "q5"]
    remarks = {remark["code"]: remark for remark in evaluation.metrics["remarks"]}
    assert tuple(remarks["queries_without_text"][key] for key in ("count", "total", "examples")) == (2, 5, ["q3", "q4"])
    assert tuple(remarks["nothing_relevant"][key] for key in ("count", "total", "examples")) == (1, 5, ["q5"])
    assert tuple(remarks["queries_unjudged"][key] for key in ("count", "total")) == (1, 6)
    assert tuple(remarks["documents_equal"][key] for key in ("count", "total")) == (1, 6)
    assert [remark["message"] for remark in evaluation.metrics["remarks"]] == evaluation.metrics["notes"]
    run = write_run(evaluation, tmp_path / "run")
    for note in ("2 of 5 queries have no text", "1 of 5 queries have nothing relevant"):
        assert note in (run / "report.html").read_text(encoding="utf-8")
        assert note in as_markdown(run)


def test_filters_that_no_document_passes_reach_the_run() -> None:
    corpus = Corpus.from_documents(
        [Document("a", "wing lift", {"lang": "englsh"}), Document("b", "wing", {"lang": "de"})]
    )
    filters = ({"lang": "englsh"}, {"lang": "english"}, None)
    queries = [Query(str(number), "wing", filter=asked) for number, asked in enumerate(filters)]
    dataset = Dataset("mine", corpus, {"test": Split(queries, {query.id: {"a": 1} for query in queries})})
    evaluation = evaluate(Pipeline(retriever=BM25()), dataset, measures=["R@3"], timed=False)
    remark = next(entry for entry in evaluation.metrics["remarks"] if entry["code"] == "filter_value_unknown")
    why = "'1': no document has lang = 'english'; the nearest value is 'englsh'"
    expected = (1, 3, [why], f"filters of 1 of 3 queries ask for a value that no document has (such as {why})")
    assert tuple(remark[key] for key in ("count", "total", "examples", "message")) == expected
    assert evaluation.values["R@3"] == {"0": 1.0, "1": 0.0, "2": 1.0}


def test_it_is_asked_in_a_batch_as_if_it_were_not_there() -> None:
    corpus = Corpus.from_documents([Document("a", "wing lift"), Document("b", "wing heat")])
    queries = [Query("0", " "), Query("1", "wing lift"), Query("2"), Query("3", "heat")]
    qrels = {query.id: {"a": 1} for query in queries}
    evaluation = evaluate(
        Pipeline(retriever=BM25()), Dataset("d", corpus, {"test": Split(queries, qrels)}), timed=False
    )
    alone = Pipeline(retriever=BM25()).fit(corpus).search([queries[1], queries[3]])
    assert [[hit.document.id for hit in result] for result in evaluation.results] == [
        [],
        [hit.document.id for hit in alone[0]],
        [],
        [hit.document.id for hit in alone[1]],
    ]
    blank = "test: 2 of 4 queries have no text (such as '0'): they find nothing and count 0"
    assert blank == evaluation.metrics["notes"][0]
    assert len(time_alone(evaluation.pipeline, queries)) == 2


def test_equal_documents_are_found_but_not_empty_or_deleted_ones() -> None:
    texts = ["x", "y", "x", "", " ", "x", "y"]
    corpus = Corpus.from_documents([Document(str(n), text) for n, text in enumerate(texts)])
    assert repeated_documents(corpus).tolist() == [[0, 2], [0, 5], [1, 6]]
    alive = [True, True, False, True, True, True, False]
    assert repeated_documents(corpus.with_alive(np.array(alive))).tolist() == [[0, 5]]


def test_traces_of_parts_and_filters_have_a_row_for_every_query() -> None:
    corpus = Corpus.from_documents([Document("a", "wing lift"), Document("b", "wing heat"), Document("c", "boat")])
    queries = [Query("0"), Query("1", "wing lift"), Query("2", "\n"), Query("3", "heat")]
    qrels = {query.id: {"a": 1} for query in queries}
    pipeline = Pipeline(
        retriever=Hybrid(retrievers=[BM25(top_k=3), BM25(k1=0.5, top_k=2)]), stages=[Threshold(min_relative=0.5)]
    )
    evaluation = evaluate(pipeline, Dataset("d", corpus, {"test": Split(queries, qrels)}), timed=False)
    only = Split([queries[1], queries[3]], {"1": {"a": 1}, "3": {"a": 1}})
    alone = evaluate(pipeline, Dataset("d", corpus, {"test": only}), timed=False)
    assert [stage.name for stage in alone.stages] == [stage.name for stage in evaluation.stages]
    for ours, theirs in zip(evaluation.stages, alone.stages, strict=True):
        assert len(ours.best) == 4
        assert ours.counts[[0, 2]].tolist() == [0, 0]
        assert theirs.counts.tolist() == ours.counts[[1, 3]].tolist()
        assert theirs.best.documents.tolist() == ours.best.rows(np.array([1, 3])).documents.tolist()
    assert evaluation.run == {"1": alone.run["1"], "3": alone.run["3"], "0": {}, "2": {}}


def test_a_batch_of_queries_without_text_and_keys_that_matched() -> None:
    corpus = Corpus.from_documents([Document("a", "wing lift", {"title": "x"}), Document("b", "boat")])
    pipeline = Pipeline(retriever=Keyed(keys=[TextKey(retriever=BM25())]))
    pipeline.fit(corpus)
    batch = QueryBatch([Query("0"), Query("1", "lift"), Query("2")], trace={})
    candidates = pipeline.run(batch)
    assert candidates.counts.tolist() == [0, 1, 0]
    hit = pipeline.results(batch, candidates)[1][0]
    assert hit.document.id == "a"
    assert {"retriever"} <= set(hit.explanation)
    bare = QueryBatch([Query("0"), Query("1", " ")], trace={})
    assert pipeline.run(bare).counts.tolist() == [0, 0]
    assert list(bare.trace or {}) == ["retriever"]


def test_a_comparison_says_so_too(tmp_path: Path) -> None:
    (tmp_path / "a.trec").write_text("q Q0 a 1 1 x\nr Q0 b 1 1 x\n")
    (tmp_path / "b.trec").write_text("q Q0 c 1 1 x\n")
    qrels = {"q": {"a": 1}, "r": {"a": 0}}
    runs = [read_run_values(tmp_path / f"{name}.trec", measures=["Accuracy", "RR"], qrels=qrels) for name in "ab"]
    comparison = compare_runs(runs)
    assert comparison.notes == [
        "judgments: 1 of 2 queries have nothing relevant (such as 'r'); measures of rankings count 0 for them, SetP, "
        "SetR and SetF 1 where nothing is returned",
        "b.trec: 1 of 2 judged queries are not in the run file and count 0",
        "b.trec: none of the documents it lists is judged for its query: are these its judgments?",
    ]
    assert comparison.means["a.trec"] == {"Accuracy": 0.5, "RR": 0.5}
