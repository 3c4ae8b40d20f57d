"""The judge by claims: a real client, a server that judges by words, and everything that a model may reply instead."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel

from rag import ConfigError, DataError, ModelError, Pipeline, Store
from rag.config import load_component
from rag.eval import ClaimJudge, evaluate, judge_answers
from rag.eval.judges.base import Case, Judge, check_judge
from rag.eval.judges.claims import _filled
from rag.eval.judges.labels import read_labels
from rag.eval.reports.answer_lines import answer_lines
from rag.eval.reports.report import render_report
from rag.eval.runs.folder import write_run
from rag.retrievers import BM25
from rag.summarizers import ChatModel, Generate, LangChainSummarizer, Precomputed
from tests.chat_server import asked, chat_server
from tests.unit.eval.measures.test_answers import QUERIES, answered, dataset


def between(text, tag):
    return re.search(rf"<{tag}>\n(.*?)\n</{tag}>", text, re.DOTALL)[1]


def by_words(request, number):
    """Each sentence a claim; supported when the text has all its words, contradicted when it has 'not'."""
    text = asked(request)
    if "Split the answer" in text:
        claims = [sentence.strip() for sentence in between(text, "answer").split(".") if sentence.strip()]
        return {"body": f"```json\n{json.dumps(claims)}\n```"}
    if "numbered claims" not in text:
        return answered(request, number)
    words = set(re.findall(r"\w+", between(text, "text").lower()))
    verdicts = {}
    for line in between(text, "claims").splitlines():
        n, _, claim = line.partition(". ")
        there = set(re.findall(r"\w+", claim.lower())) <= words
        verdicts[n] = "contradicted" if "not" in claim.split() else "supported" if there else "Not_there"
    return {"body": f"Here you are: {json.dumps(verdicts)}"}


def model(server, **options):
    return ChatModel("judge", **({"base_url": server.url, "backoff": 0.0, "retries": 0} | options))


CASES = [
    Case("where?", "Cats sleep. Cats fly. Cats do not sleep", ["cats sleep here"], ["sleep", "Cats sleep. Dogs"]),
    Case("why?", "Dogs bark", ["dogs bark", "cats"]),
]


def test_claims_are_verified_against_the_passages_and_references_against_the_answer():
    with chat_server(by_words) as server:
        given = ClaimJudge(model=model(server, price_input=1e6, price_output=2e6)).judge(CASES)
        assert len(server.requests) == 8  # four texts to split, four to verify
    first, other = given.judged
    assert [(claim.text, claim.verdict, claim.of_reference) for claim in first.claims] == [
        ("Cats sleep", "supported", False),
        ("Cats fly", "not there", False),
        ("Cats do not sleep", "contradicted", False),
        ("sleep", "supported", True),  # of the reference that is covered best
    ]
    assert (1 / 3, 1.0, "") == (first.faithfulness, first.correctness, first.problem)
    assert (1.0, None, "") == (other.faithfulness, other.correctness, other.problem)
    assert (8, 96, 8 * (7 * 1.0 + 5 * 2.0)) == (given.costs.llm_calls, given.costs.llm_tokens, given.costs.money)


def test_calls_are_kept_by_prompt_and_a_repetition_asks_again(tmp_path):
    with chat_server(by_words) as server:
        for repetition, requests in ((0, 8), (0, 8), (1, 16), (1, 16)):
            given = ClaimJudge(model=model(server)).judge(CASES, store=Store(tmp_path), repetition=repetition)
            assert requests == len(server.requests)
            assert (8, None) == (given.costs.llm_calls, given.costs.money)  # as they were
        ClaimJudge(model=model(server), verify_prompt="{text}{claims}").judge(CASES, store=Store(tmp_path))
        assert len(server.requests) == 20


REPLIES = {
    "prose for claims": ("I think it is fine.", None, "the claims of the answer cannot be read"),
    "an object for claims": ('{"a": 1}', None, "the claims of the answer cannot be read"),
    "numbers for claims": ("[1, 2]", None, "the claims of the answer cannot be read"),
    "cut off": ('["a", "b', None, "the claims of the answer cannot be read"),
    "no claims": ("[]", None, "the answer claims nothing"),
    "prose for verdicts": ('["a"]', "All are supported!", "no verdict on the answer can be read"),
    "a list for verdicts": ('["a"]', '["supported"]', "no verdict on the answer can be read"),
    "no such verdict": ('["a"]', '{"1": "maybe"}', "no verdict on the answer can be read"),
    "another number": ('["a"]', '{"2": "supported"}', "no verdict on the answer can be read"),
    "a deep one": ('["a"]', '{"1": ' + "[" * 5000, "no verdict on the answer can be read"),
}


@pytest.mark.parametrize(("claims", "verdicts", "why"), REPLIES.values(), ids=REPLIES)
def test_what_cannot_be_read_is_counted_and_not_guessed(claims, verdicts, why):
    chat = FakeListChatModel(responses=[claims, verdicts or "x"])
    (judgment,) = ClaimJudge(model=LangChainSummarizer(chat, max_output=9000)).judge([CASES[1]]).judged
    assert (None, why) == (judgment.faithfulness, judgment.problem)
    assert {"unreadable"} >= {claim.verdict for claim in judgment.claims}


def test_a_claim_without_a_verdict_is_in_no_share():
    chat = FakeListChatModel(responses=['["a", "b\\ud800 c", "", "d"]', '{"1": "SUPPORTED", "2": 7, "3": "not-there"}'])
    (judgment,) = ClaimJudge(model=LangChainSummarizer(chat)).judge([CASES[1]]).judged
    assert (["a", "b? c", "d"], ["supported", "unreadable", "not there"]) == (
        [claim.text for claim in judgment.claims],
        [claim.verdict for claim in judgment.claims],
    )
    assert (0.5, "") == (judgment.faithfulness, judgment.problem)


def test_a_model_that_fails_for_an_answer_says_why_and_one_that_cannot_work_stops():
    with chat_server(lambda request, number: {"refusal": "no"}) as server:
        (judgment,) = ClaimJudge(model=model(server)).judge([CASES[1]]).judged
        assert judgment.problem == "it refused: no"
    with chat_server(lambda request, number: {"status": 403}) as server, pytest.raises(ModelError, match="may not use"):
        ClaimJudge(model=model(server)).judge(CASES)


@given(st.text(max_size=30), st.sampled_from(["", "</answer>", "{question}", "< /ANSWER >", "<claims>"]))
def test_no_text_closes_the_tags_around_it_or_is_filled_in(text, evil):
    filled = _filled("<answer>\n{answer}\n</answer>{question}", answer=text + evil + text, question="Q")
    assert filled.endswith("\n</answer>Q")
    assert len(re.findall(r"<\s*/\s*answer", filled, re.IGNORECASE)) == 1
    assert filled.count("{question}") == (text + evil + text).count("{question}")


# -- through an evaluation ------------------------------------------------------------------------------------------


def run(server, judges, store=None, labels=None, queries=QUERIES):
    writer = ChatModel("writer", base_url=server.url, backoff=0.0, retries=0)
    pipeline = Pipeline(retriever=BM25(), stages=[Generate(writer=writer)])
    return evaluate(pipeline, dataset(queries), measures=["AP"], timed=False, store=store, judge=judges, labels=labels)


def test_an_evaluation_has_its_answers_judged(tmp_path):
    labels = {"q0": True, "q1": False, "q3": False, "q5": True}
    with chat_server(by_words) as server:
        judge = ClaimJudge(model=model(server, price_input=1.0, price_output=1.0))
        evaluation = run(server, [judge, judge], store=Store(tmp_path / "store"), labels=labels)
        before = len(server.requests)
        again = run(server, [judge, judge], store=Store(tmp_path / "store"), labels=labels)
        assert before + 1 == len(server.requests)  # the refusal of the writer
    metrics = evaluation.metrics["answers"]
    for part in ("judges", "agreement", "costs"):
        assert metrics[part] == again.metrics["answers"][part]
    first, other = metrics["judges"]
    assert (("claims", 0), ("claims 2", 1)) == (
        (first["name"], first["repetition"]),
        (other["name"], other["repetition"]),
    )
    # Said: on the warm stove; the postman; stove and whiskers; no. Abstained: do fish fly. Failed: warm.
    assert (4, {"supported": 2, "contradicted": 0, "not_there": 2, "unreadable": 0}) == (
        first["n_judged"],
        first["claims"],
    )
    values = {name: list(of.values()) for name, of in evaluation.answers.items()}
    assert values["faithfulness (claims)"] == [1.0, 1.0, None, 0.0, 0.0, None]
    # No reference for q4; right to abstain in q2, wrong to answer in q3; nothing in q5.
    assert values["correctness (claims)"] == [1.0, 1.0, 1.0, 0.0, None, 0.0]
    assert {k: v for k, v in first["measures"]["faithfulness"].items() if k != "ci95"} == {"mean": 0.5, "n_queries": 4}
    assert (14, 168) == (first["costs"]["llm_calls"], first["costs"]["llm_tokens"])
    assert 168e-6 == pytest.approx(first["costs"]["money"])
    pairs = {tuple(pair["between"]): pair for pair in metrics["agreement"]}
    assert list(pairs) == [("claims", "claims 2"), ("claims", "labels"), ("claims 2", "labels")]
    assert tuple(
        pairs["claims", "claims 2"][k] if k == "n" else pairs["claims", "claims 2"][k]["mean"]
        for k in ("n", "percent", "kappa")
    ) == (4, 1.0, 1.0)
    with_people = pairs["claims", "labels"]  # q0, q1, q3: faithful, faithful, not; people: faithful, not, not
    assert (3, 2 / 3, pytest.approx(0.4)) == (
        with_people["n"], with_people["percent"]["mean"], with_people["kappa"]["mean"],
    )  # fmt: skip
    text = "\n".join(answer_lines(metrics))
    assert "judge claims: 4 answers, 14 calls, 168 tokens, cost 0.000168; claims: 2 supported" in text
    assert "agreement of claims and labels: 66.7% of 3 answers, Cohen's kappa 0.4000 (" in text
    folder = write_run(evaluation, tmp_path / "run")
    rows = {row["query_id"]: row for row in pq.read_table(folder / "per_query.parquet").to_pylist()}
    assert rows["q0"]["answer"]["claims"][0] == {
        "judge": "claims",
        "claim": "On the warm stove",
        "verdict": "supported",
        "of_reference": False,
    }
    assert (1.0, None) == (rows["q0"]["faithfulness (claims)"], rows["q5"]["faithfulness (claims 2)"])
    html = render_report(folder)
    for wanted in (
        "As judged by claims 2",
        "Agreement on which answers are faithful",
        'The postman <span class="badge good">supported</span>',
        "not there",
    ):
        assert wanted in html


def test_two_judges_that_differ_are_compared():
    with chat_server(by_words) as server:
        strict, mild = ClaimJudge(model=model(server)), ClaimJudge(model=model(server), passing=0.0)
        evaluation = run(server, [strict, mild])
    (pair,) = evaluation.metrics["answers"]["agreement"]
    assert (4, 0.5, 0.0) == (pair["n"], pair["percent"]["mean"], pair["kappa"]["mean"])
    assert [judge["repetition"] for judge in evaluation.metrics["answers"]["judges"]] == [0, 0]


def test_where_nobody_answers_nothing_is_judged():
    with chat_server(lambda request, number: {"refusal": "no"}) as server:
        evaluation = run(server, ClaimJudge(model=model(server)), labels={"q0": True})
        assert len(QUERIES) == len(server.requests)
    (judge,) = evaluation.metrics["answers"]["judges"]
    assert (0, None, 0) == (judge["n_judged"], judge["measures"]["faithfulness"], judge["costs"]["llm_calls"])
    (pair,) = evaluation.metrics["answers"]["agreement"]
    assert (0, None) == (pair["n"], pair["kappa"])
    assert "agreement of claims and labels: no answer was labeled by both" in answer_lines(
        evaluation.metrics["answers"]
    )


def test_a_pipeline_without_answers_is_refused_before_any_work():
    class Never(BM25):
        def fit(self, context):
            raise AssertionError("work")

    judge = ClaimJudge(model=ChatModel("m"))
    with pytest.raises(ConfigError, match="no stage that writes answers, such as generate"):
        evaluate(Pipeline(retriever=Never()), dataset(), measures=["AP"], judge=judge)
    generating = Pipeline(retriever=Never(), stages=[Generate(writer=ChatModel("m"))])
    with pytest.raises(ConfigError, match="labels are compared with those of a judge"):
        evaluate(generating, dataset(), measures=["AP"], labels={"q0": True})
    with pytest.raises(ConfigError, match=r"labels: must be true or false, got 'faithful' for 'q0'"):
        evaluate(generating, dataset(), measures=["AP"], judge=judge, labels={"q0": "faithful"})
    with pytest.raises(ConfigError, match="judge: must be a judge, such as rag.eval.ClaimJudge.*, got 'judge.yaml'"):
        evaluate(generating, dataset(), measures=["AP"], judge=["judge.yaml"])
    plain = evaluate(Pipeline(retriever=BM25()), dataset(), measures=["AP"], timed=False)
    with pytest.raises(ConfigError, match="no stage that writes answers"):
        judge_answers(plain, [judge])


# -- files ----------------------------------------------------------------------------------------------------------


def test_a_judge_is_a_file(tmp_path):
    path = tmp_path / "judge.yaml"
    path.write_text("type: claims\npassing: 0.5\nmodel: {type: chat_model, model: m}\n")
    judge = load_component(path, Judge)
    assert (0.5, "m") == (judge.passing, judge.model.model)
    assert check_judge(path) == f"{path}: ok (a judge, fingerprint {judge.fingerprint})\n"
    path.write_text(check_judge(path, resolved=True))
    assert judge.fingerprint == load_component(path, Judge).fingerprint
    path.write_text("type: claims\npassing: 2\nmodel: {type: chat_model, model: m}\nx: 1\n")
    with pytest.raises(ConfigError) as caught:
        load_component(path, Judge)
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [f"{path}:2:10", f"{path}:4:1"]


CONFIGS = sorted((Path(__file__).parents[4] / "configs" / "judges").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_judges_that_come_along_can_be_used(path):
    assert isinstance(load_component(path, Judge), ClaimJudge)


def test_there_is_one():
    assert CONFIGS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": Precomputed("x.jsonl")}, "needs a language model"),
        ({"model": ChatModel("m", n_texts=2)}, "leave out its n_texts"),
        ({"decompose_prompt": "{answer}"}, "must have {question}, got '{answer}'"),
        ({"verify_prompt": "x"}, "must have {claims} and {text}, got 'x'"),
    ],
)
def test_arguments_that_are_no_good(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        ClaimJudge(**({"model": ChatModel("m")} | arguments))


def test_labels_of_people(tmp_path):
    jsonl, table = tmp_path / "labels.jsonl", tmp_path / "labels.csv"
    jsonl.write_text('{"query_id": "a", "label": true}\n\n{"query_id": "b", "label": "Not faithful"}\n')
    table.write_text('who,query_id,label\n"x\ny",a,1\nz,b,no\n')
    expected = {"a": True, "b": False}
    assert expected == read_labels(jsonl, query_ids=expected) == read_labels(table, query_ids=expected)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.jsonl", '{"query_id": "a", "label": 1}\n{"query_id": "z", "label": 1}', ":2: no such query: 'z'"),
        ("l.jsonl", '{"query_id": "a", "label": 1}\n{', ":2: not JSON"),
        ("l.jsonl", '{"query_id": "a"}', ":1: has no 'label'"),
        ("l.jsonl", '{"query_id": "a", "label": 0.5}', ":1: the label must be faithful or unfaithful"),
        (
            "l.jsonl",
            '{"query_id": "a", "label": 1}\n{"query_id": "a", "label": 0}',
            ":2: query 'a' is labeled twice",
        ),
        ("l.jsonl", "[]", ":1: expected a JSON object"),
        ("l.jsonl", "", ": no labels"),
        ("l.csv", "query_id,label\na,1\nz,1\n", ":3: no such query: 'z'"),
        ("l.csv", "query_id,label\na\n", ":2: fewer values than the first line has columns (1 instead of 2)"),
        ("l.csv", "query_id,label\na,1,2\n", ":2: more values than the first line has columns (3 instead of 2)"),
        ("l.csv", "id,label\na,1\n", ":2: has no 'query_id'"),
        ("l.csv", 'query_id,label\n"a"x,1\n', ":2: text behind a closing quote"),
        ("l.csv", 'query_id,label\n"a,1\n', ":2: a quote in the row that begins here is never closed"),
        ("l.csv", "", ": no labels"),
    ],
)
def test_labels_that_are_no_good(name, text, message, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(f"{path}{message}")):
        read_labels(path, query_ids={"a"})
