"""Measures of answers: against SQuAD's own counting, in corners, and through an evaluation with a real client."""

from __future__ import annotations

import collections
import json
import re
import string

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import Corpus, Document, Pipeline, Query, Store
from rag.answer import Answer, Citation
from rag.eval import evaluate
from rag.eval.datasets.base import Dataset, Split
from rag.eval.measures.answers import (
    citation_precision,
    exact_match,
    lexical_faithfulness,
    references_of,
    token_f1,
    token_recall,
)
from rag.eval.measures.interval import interval
from rag.eval.reports.answer_lines import answer_lines
from rag.eval.reports.report import render_report
from rag.eval.runs.folder import write_run
from rag.retrievers import BM25
from rag.summarizers import ChatModel, Generate
from tests.chat_server import asked, chat_server

# -- SQuAD 2.0's official script, word for word where it matters ----------------------------------------------------


def normalize_answer(s):
    def remove_articles(text):
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return " ".join(remove_articles(remove_punc(s.lower())).split())


def compute_f1(a_gold, a_pred):
    gold_toks, pred_toks = normalize_answer(a_gold).split(), normalize_answer(a_pred).split()
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return float(gold_toks == pred_toks), float(gold_toks == pred_toks)
    if num_same == 0:
        return 0.0, 0.0
    precision, recall = num_same / len(pred_toks), num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall), recall


TEXTS = st.text(alphabet=st.sampled_from("the an a cat dog, Cat's 3.5 -!éß\n\u2019"), max_size=40)
REFERENCES = st.lists(TEXTS, min_size=1, max_size=4)


@given(TEXTS, REFERENCES)
def test_they_are_what_squad_counts(answer, references):
    assert float(
        any(normalize_answer(answer) == normalize_answer(reference) for reference in references)
    ) == exact_match(answer, references)
    assert max(compute_f1(reference, answer)[0] for reference in references) == pytest.approx(
        token_f1(answer, references)
    )


@given(TEXTS, REFERENCES, st.randoms())
def test_invariants(answer, references, random):
    shuffled = random.sample(references, len(references))
    for measure in (exact_match, token_f1, token_recall):
        value = measure(answer, references)
        assert 0 <= value <= 1
        assert value == measure(answer, shuffled)
        assert value <= measure(answer, [*references, "more"])
    if exact_match(answer, references):
        assert 1 == token_f1(answer, references) == token_recall(answer, references)
    faithful = lexical_faithfulness(answer, references)
    assert faithful is None or 0 <= faithful <= 1
    assert lexical_faithfulness(answer, [answer]) in (None, 1.0)


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1", "recall"),
    [
        ("The Cat!", ["a cat"], 1.0, 1.0, 1.0),
        ("the cat sat on a mat", ["cat mat"], 0.0, 2 * 0.5 * 1 / 1.5, 1.0),
        ("cat cat cat", ["cat dog"], 0.0, 2 * (1 / 3) * 0.5 / (1 / 3 + 0.5), 0.5),
        ("in 1969", ["1968", "July 1969"], 0.0, 0.5, 0.5),
        ("a", ["the"], 1.0, 1.0, 1.0),
        ("cat", ["the"], 0.0, 0.0, 0.0),
        ("Katze", ["cat"], 0.0, 0.0, 0.0),
    ],
)
def test_golden_values(answer, references, exact, f1, recall):
    assert exact == exact_match(answer, references)
    assert f1 == pytest.approx(token_f1(answer, references))
    assert recall == token_recall(answer, references)


def test_lexical_faithfulness_counts_words_of_the_answer():
    passages = ["Cats sleep on the stove.", "Dogs don't."]
    assert lexical_faithfulness("The cats sleep; cats SLEEP!", passages) == 1.0
    assert lexical_faithfulness("cats fly", passages) == 0.5
    assert lexical_faithfulness("the ...", passages) is None
    assert lexical_faithfulness("cats", []) == 0.0


def test_citation_precision_is_by_the_judgments():
    answer = Answer("x", (Citation(1, "a"), Citation(2, "b"), Citation(3, "c"), Citation(4, "d")))
    assert citation_precision(answer, {"a": 2, "b": 0, "c": -1}) == 0.25
    assert citation_precision(Answer("x"), {"a": 1}) is None


def test_where_nothing_is_relevant_no_answer_is_right():
    query = Query("q", "x", {"answer": "Paris"})
    assert references_of(query, {"a": 0, "b": 1}) == ["Paris"]
    assert [] == references_of(query, {"a": 0, "b": -1}) == references_of(query, {})
    assert references_of(Query("q", "x"), {}) is None


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"answer": "Paris"}, ["Paris"]),
        ({"answer": 1969}, ["1969"]),
        ({"answers": ["a", "b"]}, ["a", "b"]),
        ({"answers": {"text": ["a"], "answer_start": [3]}}, ["a"]),
        ({"answers": []}, []),
        ({"answers": {"text": []}}, []),
        ({"answers": None, "answer": "a"}, ["a"]),
        ({"answer": " "}, None),
        ({"answers": [" ", ""]}, None),
        ({"answer": True}, None),
        ({"answer": float("nan")}, None),
        ({"answers": [1969.0, 3.5, float("nan")]}, ["1969", "3.5"]),
        ({"answers": [{"x": 1}]}, None),
    ],
)
def test_references_are_in_the_metadata(metadata, expected):
    assert references_of(Query("q", "x", metadata)) == expected


# -- through an evaluation ------------------------------------------------------------------------------------------

DOCUMENTS = [
    Document("cats", "Cats sleep on the warm stove."),
    Document("dogs", "A dog barks at the postman."),
    Document("fish", "Fish swim in cold water."),
]
QUERIES = {
    "where do cats sleep": ({"answers": ["on the stove", "the oven"]}, "On the warm stove [1].", {"cats": 1}),
    "whom does a dog hate": ({"answer": "the postman"}, "The postman [1][4].", {"fish": 1}),
    "do fish fly": ({"answers": []}, "The passages do not hold the answer.", {"fish": 0}),
    "fish or stove": ({"answers": []}, "Stove and whiskers.", {"cats": 1}),
    "cold": ({}, "No.", {"fish": 1}),
    "warm": ({"answer": "yes"}, None, {"cats": 1}),
}


def dataset(queries=QUERIES):
    asked_for = [Query(f"q{number}", text, metadata[0]) for number, (text, metadata) in enumerate(queries.items())]
    qrels = {query.id: queries[query.text][2] for query in asked_for}
    return Dataset("tiny", Corpus.from_documents(DOCUMENTS), {"test": Split(asked_for, qrels)})


def answered(request, number):
    text = QUERIES[asked(request).rpartition("Question: ")[2]][1]
    return {"body": text} if text else {"refusal": "I will not"}


def run(server, data, **options):
    writer = ChatModel("tiny", base_url=server.url, backoff=0.0, retries=0, price_input=1.0, price_output=1.0)
    pipeline = Pipeline(retriever=BM25(), stages=[Generate(writer=writer)])
    return evaluate(pipeline, data, measures=["AP"], **options)


def test_an_evaluation_measures_answers_and_pays_for_each_once(tmp_path):
    with chat_server(answered) as server:
        evaluation = run(server, dataset(), store=Store(tmp_path / "store"))
        assert len(server.requests) == 6  # none more to time queries
        again = run(server, dataset(), store=Store(tmp_path / "store"))
        assert len(server.requests) == 7  # the refusal is asked for again
    values = {name: list(of.values()) for name, of in evaluation.answers.items()}
    assert values["token_recall"] == [1.0, 1.0, 1.0, 0.0, None, 0.0]
    assert values["exact_match"] == [0.0, 1.0, 1.0, 0.0, None, 0.0]
    assert values["token_f1"] == [pytest.approx(0.8), 1.0, 1.0, 0.0, None, 0.0]
    assert values["lexical_faithfulness"] == [1.0, 1.0, None, pytest.approx(1 / 3), 0.0, None]
    assert values["citation_precision"] == [1.0, 0.0, None, None, None, None]
    assert values["abstained"] == [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert values["abstained_rightly"] == [None, None, 1.0, None, None, None]
    metrics = evaluation.metrics["answers"]
    recall = metrics["measures"]["token_recall"]
    some = np.array([[1.0], [1.0], [1.0], [0.0], [0.0]])
    assert recall == {"mean": 0.6, "ci95": list(interval(some)[0]), "n_queries": 5}
    assert ("stages.0 generate", 6, 5) == (metrics["stage"], metrics["n_queries"], metrics["with_references"])
    assert (2, 1, 1) == (metrics["citations"], metrics["dropped_citations"], metrics["failed"])
    assert metrics["problems"] == {"it refused: I will not": 1}
    assert metrics["costs"] == {"llm_calls": 6, "llm_tokens": 72, "money": pytest.approx(72e-6)}
    assert evaluation.metrics["costs"]["llm_tokens"] == 72
    assert evaluation.answers == again.answers
    assert again.metrics["answers"]["costs"] == metrics["costs"]
    notes = evaluation.metrics["notes"]
    assert "5 of 6 queries have a reference to compare answers with" in notes
    assert "1 of 6 queries have no answer, because of a problem" in notes
    assert "latencies exclude stages.0 generate: answers are not written again for timing" in notes
    lines = answer_lines(metrics)
    assert lines[0] == "answers of stages.0 generate: 6 calls, 72 tokens, cost 7.2e-05; 1 problem"
    assert any(line.startswith("  token recall: 0.6000 (") for line in lines)


def test_the_run_folder_and_the_report_have_them(tmp_path):
    with chat_server(answered) as server:
        folder = write_run(run(server, dataset()), tmp_path / "run")
    rows = {row["query_id"]: row for row in pq.read_table(folder / "per_query.parquet").to_pylist()}
    assert (1.0, None) == (rows["q0"]["token_recall"], rows["q4"]["token_recall"])
    assert rows["q0"]["answer"]["text"] == "On the warm stove [1]."
    assert rows["q0"]["answer"]["citations"] == [{"rank": 1, "id": "cats"}]
    assert rows["q0"]["answer"]["references"] == ["on the stove", "the oven"]
    assert (None, []) == (rows["q4"]["answer"]["references"], rows["q2"]["answer"]["references"])
    assert rows["q5"]["answer"]["problem"] == "it refused: I will not"
    html = render_report(folder)
    for wanted in (
        "Answers</h2>",
        "Token recall",
        "The postman [1][4].",
        "Citations dropped: 1.",
        "it refused: I will",
    ):
        assert wanted in html


def test_without_references_those_measures_are_left_out_and_it_is_said():
    with chat_server(lambda request, number: {"body": "yes"}) as server:
        evaluation = run(server, dataset({"cold": QUERIES["cold"]}), timed=False)
    measures = evaluation.metrics["answers"]["measures"]
    assert [measures[name] for name in ("token_recall", "token_f1", "exact_match", "citation_precision")] == [None] * 4
    assert measures["lexical_faithfulness"] == {"mean": 0.0, "ci95": None, "n_queries": 1}
    (note,) = [note for note in evaluation.metrics["notes"] if "reference" in note]
    assert "token recall, token F1 and exact match are left out" in note
    assert not any("latencies" in note for note in evaluation.metrics["notes"])


def test_an_answer_of_citations_only_says_nothing():
    with chat_server(lambda request, number: {"body": "[1]"}) as server:
        evaluation = run(server, dataset({"warm": QUERIES["warm"]}), timed=False)
    values = {name: value for name, of in evaluation.answers.items() for value in of.values()}
    assert {"token_recall": 0.0, "token_f1": 0.0, "exact_match": 0.0, "abstained": 0.0} | dict.fromkeys(
        ("lexical_faithfulness", "citation_precision", "abstained_rightly", "entropy")
    ) == values


def test_a_pipeline_that_writes_none_has_none(tmp_path):
    evaluation = evaluate(Pipeline(retriever=BM25()), dataset(), measures=["AP"], timed=False)
    assert (None, {}) == (evaluation.metrics["answers"], evaluation.answers)
    folder = write_run(evaluation, tmp_path / "run")
    assert "answer" not in pq.read_schema(folder / "per_query.parquet").names
    assert "Answers</h2>" not in render_report(folder)


def test_answers_that_nobody_wants_are_not_written():
    with chat_server(answered) as server:
        evaluation = run(server, dataset(), answer=False)
        assert ([], None) == (server.requests, evaluation.metrics["answers"])


def test_hostile_answers_do_no_harm_to_the_report(tmp_path):
    evil = "<script>alert(1)</script> {{ 7 * 7 }} \u202e\x01 [1]"
    with chat_server(lambda request, number: {"body": evil}) as server:
        html = render_report(write_run(run(server, dataset(), timed=False), tmp_path / "run"))
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert "{{ 7 * 7 }}" in html
    json.loads((tmp_path / "run" / "metrics.json").read_text())


def test_a_query_without_text_is_not_asked_and_counts_as_not_answered():
    texts = {"": ({"answer": "yes"}, "Never asked.", {"cats": 1}), "cold": QUERIES["cold"]}
    with chat_server(answered) as server:
        evaluation = run(server, dataset(texts), timed=False)
        assert len(server.requests) == 1
    assert evaluation.answers["token_f1"] == {"q0": 0.0, "q1": None}
    assert evaluation.metrics["answers"]["problems"] == {"the query has no text": 1}
    assert evaluation.metrics["answers"]["costs"] == {"llm_calls": 1, "llm_tokens": 12, "money": pytest.approx(12e-6)}
