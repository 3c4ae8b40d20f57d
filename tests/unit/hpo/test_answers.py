"""Sweeps over what writes answers: the real client against a small server, over real sockets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rag import ConfigError, DataError, Document, Query
from rag.corpus.corpus import Corpus
from rag.eval.datasets.base import Dataset, Split
from rag.hpo import Categorical, Sweep, plan, tune
from rag.store.store import Store
from tests.chat_server import asked, chat_server

ANSWERS = {"cats": "on the stove", "dogs": "at the postman", "fish": "in water", "owls": "in the barn"}
QUERIES = {f"where are the {animal}?": answer for animal, answer in ANSWERS.items()}


@pytest.fixture
def dataset():
    documents = [Document(animal, f"The {animal} are {answer}.") for animal, answer in ANSWERS.items()]
    queries = [Query(f"q{n}", text, {"answers": [answer]}) for n, (text, answer) in enumerate(QUERIES.items())]
    qrels = {query.id: {animal: 1} for query, animal in zip(queries, ANSWERS, strict=True)}
    halves = [Split(half, {query.id: qrels[query.id] for query in half}) for half in (queries[:2], queries[2:])]
    return Dataset("animals", Corpus.from_documents(documents), dict(zip(("dev", "test"), halves, strict=True)))


def pipeline(url, **stage):
    writer = {"type": "chat_model", "model": Categorical(choices=["bad", "good"], name="model"), "base_url": url}
    generate = {"type": "generate", "writer": writer | {"backoff": 0.0}, "n_passages": Categorical(choices=[1, 2])}
    return {"type": "pipeline", "retriever": {"type": "bm25"}, "stages": [generate | stage]}


def answer(request, number):
    said = next(answer for text, answer in QUERIES.items() if text in asked(request))
    return {"body": f"They are {said} [1]." if request["model"] == "good" else "I like turtles [1]."}


def test_the_model_that_answers_is_tuned(dataset, tmp_path):
    with chat_server(answer) as server:
        settings = {
            "objectives": ["token_recall", "llm_tokens"],
            "sampler": "grid",
            "n_trials": 4,
            "out": tmp_path / "out",
            "store": Store(tmp_path / "store"),
        }
        result = tune(pipeline(server.url), dataset, **settings)
        # 2 models x (1 or 2 passages) x 2 queries of dev; on test the baseline and the choices, which are of the front.
        n = len(server.requests)
        assert n == len({(request["model"], asked(request)) for request in server.requests})
        again = tune(pipeline(server.url), dataset, **settings | {"out": tmp_path / "again"})
        assert n == len(server.requests)
    values = [[trial.metrics[name] for name in ("token_recall", "llm_tokens")] for trial in result.trials]
    assert values == [[trial.metrics[name] for name in ("token_recall", "llm_tokens")] for trial in again.trials]
    assert {
        model: {trial.metrics["token_recall"] for trial in result.trials if trial.point["model"] == model}
        for model in ("good", "bad")
    } == {"good": {1.0}, "bad": {0.0}}
    assert {trial.metrics["llm_tokens"] for trial in result.trials} == {12.0}
    chosen = result.tested[0]
    assert result.best.point["model"] == "good"
    assert (1.0, 0.0) == (chosen.metrics["token_recall"], result.baseline.metrics["token_recall"])
    against = chosen.against["token_recall"]
    assert (1.0, 2, 0) == (against.difference, against.wins, against.losses)
    written = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert written["tested"][0]["measures"]["token_recall"]["mean"] == 1.0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "token_recall of the choice minus that of the baseline" in page
    assert "2 better, 0 worse" in page


def test_without_such_an_objective_no_answer_is_paid_for(dataset):
    with chat_server(answer) as server:
        result = tune(pipeline(server.url), dataset, sampler="grid", n_trials=4)
    assert server.requests == []
    assert {trial.state for trial in result.trials} == {"complete"}


def test_a_plan_says_how_many_answers_are_paid_for(dataset):
    sweep = Sweep(pipeline=pipeline("http://h/v1"), n_trials=4, objectives=["token_recall"])
    assert plan(sweep, dataset).work["answers written, at most"] == (4 * 2, 4 * 2)
    sweep = Sweep(pipeline=pipeline("http://h/v1"), n_trials=4)
    assert "answers written, at most" not in plan(sweep, dataset).work


def test_an_objective_of_answers_and_early_stopping(dataset):
    with chat_server(answer) as server:
        settings = {"objectives": ["exact_match"], "constraints": ["llm_calls <= 1"], "early_stopping": 0.1}
        result = tune(pipeline(server.url), dataset, sampler="grid", n_trials=4, **settings)
    assert [trial.metrics["exact_match"] for trial in result.trials] == [0.0] * 4
    alike = "4 trials are equally good on the tuning queries: the earliest of them is the choice"
    assert alike in result.notes
    assert result.verdict == "Nothing better than the baseline was found: the baseline itself is the choice."


def test_a_server_that_is_gone_is_no_result(dataset):
    def gone(request, number):
        return answer(request, number) if request["model"] == "good" else {"status": 400, "body": "out of order"}

    with chat_server(gone) as server:
        result = tune(pipeline(server.url), dataset, objectives=["token_recall"], sampler="grid", n_trials=4)
    assert {(trial.point["model"], trial.state) for trial in result.trials} == {("good", "complete"), ("bad", "failed")}
    (reason,) = {trial.reason for trial in result.trials if trial.state == "failed"}
    assert "none of 2 queries was answered" in reason
    assert "out of order" in reason


def test_what_answers_cannot_be_measured_on(dataset):
    lone = {"type": "pipeline", "retriever": {"type": "bm25", "top_k": Categorical(choices=[1, 2])}}
    with pytest.raises(
        ConfigError, match="all 2 trials failed.*token_f1 needs a stage that writes answers, such as gen"
    ):
        tune(lone, dataset, objectives=["token_f1"], sampler="grid", n_trials=2)
    bare = Split(
        [Query("q9", "where?"), *dataset.splits["test"].queries],
        {"q9": {"cats": 1}} | dict(dataset.splits["test"].qrels),
    )
    with pytest.raises(DataError, match="1 of 3 queries of split 'test' have none .* such as 'q9'"):
        tune(pipeline("http://h/v1"), replace(dataset, splits=dataset.splits | {"test": bare}), objectives=["token_f1"])
    with pytest.raises(ConfigError, match="did you mean 'token_recall'"):
        tune(pipeline("http://h/v1"), dataset, objectives=["token_recal"])
