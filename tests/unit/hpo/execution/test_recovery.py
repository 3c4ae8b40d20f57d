"""A sweep that goes on after something has changed: what holds is kept, what does not is run again, and it is said."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import rag.templates
from rag import ArtifactError, ConfigError, Document
from rag.corpus.corpus import Corpus
from rag.eval import load_dataset
from rag.eval.datasets.base import Dataset
from rag.hpo import Categorical, IntRange, tune
from rag.hpo.sweep import sweep_from_config
from rag.store.store import Store
from tests.chat_server import chat_server

DATA = Path(rag.templates.__file__).parent / "starter" / "data"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    whole = load_dataset(DATA)
    return Dataset("starter", whole.corpus, {"dev": whole.splits["train"], "test": whole.splits["test"]})


@pytest.fixture(autouse=True)
def heard(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("rag"), "propagate", True)
    return caplog


def write(path: Path, dataset: Dataset, *, good: bool) -> None:
    """Summaries that are the documents, or all the same."""
    rows = [
        {"id": document.id, "summary": f"{document.metadata.get('title', '')} {document.text}" if good else "nothing"}
        for document in dataset.corpus
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def by_summary(*paths: Path, top_k=10):
    summarizer = {"type": "precomputed", "path": Categorical(choices=[str(path) for path in paths], name="file")}
    key = {"type": "summary", "summarizer": summarizer, "retriever": {"type": "bm25"}}
    return {"type": "pipeline", "retriever": {"type": "keyed", "keys": [key], "top_k": top_k}}


def by_words(**space):
    return {"type": "pipeline", "retriever": {"type": "bm25", **space}}


def run(pipeline, dataset, out, n_trials=2, **settings):
    return tune(pipeline, dataset, out=out, sampler="grid", n_trials=n_trials, **settings)


def rows(result):
    return [(trial.number, trial.state, *trial.point.values()) for trial in result.trials]


def values(result):
    return {tuple(trial.point.values()): trial.metrics.get("nDCG@10") for trial in result.trials}


def test_a_file_that_changed_behind_its_path_has_its_trials_run_again(dataset, tmp_path):
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write(a, dataset, good=False)
    write(b, dataset, good=True)
    first = run(by_summary(a, b), dataset, tmp_path / "out")
    assert rows(first) == [(0, "complete", str(a)), (1, "complete", str(b))]
    assert str(b) == first.best.point["file"]
    write(a, dataset, good=True)
    write(b, dataset, good=False)
    second = run(by_summary(a, b), dataset, tmp_path / "out")
    assert rows(second) == [(2, "complete", str(a)), (3, "complete", str(b))]
    assert str(a) == second.best.point["file"]
    assert "2 trials are run again: files or models they name have changed since" in second.notes
    assert values(second) == {(str(a),): values(first)[str(b),], (str(b),): values(first)[str(a),]}
    third = run(by_summary(a, b), dataset, tmp_path / "out")
    assert rows(second) == rows(third)
    assert not any("run again" in note for note in third.notes)


def test_only_trials_of_what_changed_are_run_again(dataset, tmp_path):
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write(a, dataset, good=True)
    write(b, dataset, good=True)
    pipeline = by_summary(a, b, top_k=Categorical(choices=[10, 1]))
    run(pipeline, dataset, tmp_path / "out", n_trials=4)
    write(b, dataset, good=False)
    second = run(pipeline, dataset, tmp_path / "out", n_trials=4)
    assert [tuple(trial.number for trial in second.trials if trial.point["file"] == str(path)) for path in (a, b)] == [
        (0, 1),
        (4, 5),
    ]


def test_a_file_that_is_gone_leaves_the_trials_that_it_had(dataset, tmp_path):
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write(a, dataset, good=True)
    write(b, dataset, good=False)
    first = run(by_summary(a, b), dataset, tmp_path / "out", store=Store(tmp_path / "store"))
    b.unlink()
    assert rows(first) == rows(run(by_summary(a, b), dataset, tmp_path / "out", store=Store(tmp_path / "store")))


def test_a_trial_that_lacked_a_file_is_tried_again_when_it_is_there(dataset, tmp_path):
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write(a, dataset, good=False)
    first = run(by_summary(a, b), dataset, tmp_path / "out")
    assert [trial.state for trial in first.trials] == ["complete", "failed"]
    same = run(by_summary(a, b), dataset, tmp_path / "out")
    assert rows(first) == rows(same)
    write(b, dataset, good=True)
    second = run(by_summary(a, b), dataset, tmp_path / "out")
    assert rows(second) == [(0, "complete", str(a)), (2, "complete", str(b))]
    assert str(b) == second.best.point["file"]
    assert "1 trial that failed is run again: something they lacked may exist now" in second.notes


def test_failed_trials_are_tried_again_on_request(dataset, tmp_path, heard):
    embedder = {"type": "lsa", "min_df": Categorical(choices=[1, 10**6], name="min_df")}
    pipeline = {"type": "pipeline", "retriever": {"type": "dense", "embedder": embedder}}
    first = run(pipeline, dataset, tmp_path)
    assert rows(first) == [(0, "complete", 1), (1, "failed", 10**6)]
    assert rows(first) == rows(run(pipeline, dataset, tmp_path))
    again = run(pipeline, dataset, tmp_path, retry_failed=True)
    assert rows(again) == [(0, "complete", 1), (2, "failed", 10**6)]
    assert "1 trial that failed is run again: --retry-failed" in again.notes
    assert "1 trial that failed is run again: --retry-failed" in heard.text


def test_a_changed_space_tries_as_many_new_points(dataset, tmp_path):
    first = run(by_words(k1=Categorical(choices=[0.9, 0.1])), dataset, tmp_path)
    assert rows(first) == [(0, "complete", 0.9), (1, "complete", 0.1)]
    wider = by_words(k1=Categorical(choices=[0.9, 0.1, 1.5, 2.0, 3.0]))
    second = run(wider, dataset, tmp_path)
    assert rows(second) == [*rows(first), (2, "complete", 1.5), (3, "complete", 2.0)]
    said = (
        "the space has changed: 2 earlier trials still lie in it and are taken over; up to 2 new ones are tried "
        "(n_trials)"
    )
    assert said in second.notes
    assert [trial.seconds for trial in first.trials] == [trial.seconds for trial in second.trials[:2]]
    assert rows(second) == rows(run(wider, dataset, tmp_path))
    more = run(wider, dataset, tmp_path, n_trials=3)
    assert rows(more) == [*rows(second), (4, "complete", 3.0)]


def test_points_added_later_are_tried_next(dataset, tmp_path):
    space = by_words(top_k=IntRange(low=1, high=50, name="k"))
    first = run(space, dataset, tmp_path)
    second = run(space, dataset, tmp_path, enqueue=[{"k": 33}])
    assert rows(second) == [*rows(first), (2, "complete", 33)]
    assert "1 point added to 'enqueue' is tried next" in second.notes
    third = run(space, dataset, tmp_path, n_trials=3, enqueue=[{"k": 33}, {"k": 44}])
    assert rows(third)[:4] == [*rows(second), (3, "complete", 44)]
    assert len(third.trials) == 5  # n_trials are those that nobody has asked for by name
    assert rows(third) == rows(run(space, dataset, tmp_path, n_trials=3, enqueue=[{"k": 44}, {"k": 33}]))


def test_other_documents_are_another_sweep(dataset, tmp_path):
    run(by_words(k1=Categorical(choices=[0.9, 0.1])), dataset, tmp_path)
    changed = [Document(document.id, document.text + " more", document.metadata) for document in dataset.corpus]
    other = Dataset("starter", Corpus.from_documents(changed), dataset.splits)
    with pytest.raises(ArtifactError, match="another sweep called 'sweep', tuned on other documents"):
        run(by_words(k1=Categorical(choices=[0.9, 0.1])), other, tmp_path)


def test_other_training_queries_are_another_sweep(dataset, tmp_path):
    space = by_words(k1=Categorical(choices=[0.9, 0.1]))
    learning = Dataset("starter", dataset.corpus, {**dataset.splits, "train": dataset.splits["test"]})
    run(space, learning, tmp_path)
    less = Dataset("starter", dataset.corpus, dataset.splits)
    with pytest.raises(ArtifactError, match="whose pipelines learned from other training queries"):
        run(space, less, tmp_path)


def test_a_trial_without_its_summaries_is_no_result_and_is_tried_again(dataset, tmp_path):
    down = {"bad"}

    def answer(request, number):
        refused = request["model"] in down
        return {"status": 400, "body": "too many"} if refused else {"body": request["messages"][-1]["content"]}

    with chat_server(answer) as server:
        writer = {"type": "chat_model", "model": Categorical(choices=["good", "bad"], name="model")}
        writer |= {"base_url": server.url, "backoff": 0.0}
        key = {"type": "summary", "summarizer": writer, "retriever": {"type": "bm25"}}
        pipeline = {"type": "pipeline", "retriever": {"type": "keyed", "keys": [key]}}
        first = run(pipeline, dataset, tmp_path / "out", store=Store(tmp_path / "store"))
        assert rows(first) == [(0, "complete", "good"), (1, "failed", "bad")]
        n = len(dataset.corpus)
        (reason,) = (trial.reason for trial in first.trials if trial.state == "failed")
        assert f"gave nothing for {n} of {n} texts (fit retriever)" in reason
        assert "more than 0.05 (max_failed)" in reason
        assert "too many" in reason
        assert (n, 0) == (first.trials[0].texts_wanted, first.trials[0].texts_missing)
        lenient = run(pipeline, dataset, tmp_path / "lenient", max_failed=1.0)
        assert (n, n) == (lenient.trials[1].texts_wanted, lenient.trials[1].texts_missing)
        assert any(note.startswith(f"{n} of {n} texts of language models are missing in 1") for note in lenient.notes)
        down.clear()
        second = run(pipeline, dataset, tmp_path / "out", store=Store(tmp_path / "store"))
    assert rows(second) == [(0, "complete", "good"), (2, "complete", "bad")]
    assert "1 trial that failed is run again: calls of a language model had failed" in second.notes


def test_a_sweep_in_which_every_call_fails_has_no_result(dataset, tmp_path):
    with chat_server(lambda request, number: {"status": 400, "body": "no"}) as server:
        writer = {"type": "chat_model", "model": Categorical(choices=["a", "b"]), "base_url": server.url}
        key = {"type": "summary", "summarizer": writer | {"backoff": 0.0}, "retriever": {"type": "bm25"}}
        pipeline = {"type": "pipeline", "retriever": {"type": "keyed", "keys": [key]}}
        with pytest.raises(ConfigError, match="all 2 trials failed; trial 0: .* gave nothing for"):
            run(pipeline, dataset, tmp_path)
    assert not (tmp_path / "best.yaml").exists()


def test_trials_are_numbered_as_they_ran(dataset):
    space = by_words(b=Categorical(choices=[0.7, 0.1]), k1=Categorical(choices=[0.9, 0.1]))
    result = tune(space, dataset, sampler="tpe", n_trials=50, enqueue=[{"k1": 0.1, "b": 0.1}])
    ran = [trial for trial in result.trials if trial.state == "complete"]
    assert [trial.number for trial in ran] == [0, 1, 2, 3]
    assert (0.1, 0.1) == (ran[1].point["retriever.k1"], ran[1].point["retriever.b"])
    assert {trial.number for trial in result.trials if trial.state == "repeated"} <= {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("text", "sign", "limit"),
    [("index_bytes < 50", "<", 50), ("index_bytes>1e3", ">", 1000), ("50 >= index_bytes", "<=", 50),
     ("1 < index_bytes", ">", 1)],
)  # fmt: skip
def test_strict_bounds_on_what_is_measured(text, sign, limit):
    (bound,) = sweep_from_config(
        {"pipeline": by_words(k1=Categorical(choices=[0.9, 0.1])), "constraints": [text]}
    ).bounds
    assert ("index_bytes", sign, limit) == (bound.metric, bound.sign, bound.limit)
    assert (bound.excess(limit) <= 0) == sign.endswith("=")
    better = limit - 1 if sign.startswith("<") else limit + 1
    assert bound.excess(better) < 0 < bound.excess(2 * limit - better)


def test_a_strict_bound_holds_in_a_sweep(dataset):
    space = by_words(k1=Categorical(choices=[0.9, 0.1]))
    sizes = [
        trial.metrics["index_bytes"]
        for trial in tune(space, dataset, objectives=["index_bytes"], sampler="grid").trials
    ]
    for text, chosen in ((f"index_bytes < {sizes[0]:.0f}", False), (f"index_bytes < {sizes[0] + 1:.0f}", True)):
        kwargs = {"constraints": [text], "n_trials": 2, "sampler": "grid"}
        if chosen:
            assert tune(space, dataset, **kwargs).best
        else:
            with pytest.raises(ConfigError, match="none of 2 configurations meets"):
                tune(space, dataset, **kwargs)


def test_a_measured_quantity_in_a_rule_is_said_to_be_one():
    with pytest.raises(ConfigError, match="latency_p95_ms is measured, not chosen: bound it by a number alone"):
        sweep_from_config({"pipeline": by_words(k1=Categorical(choices=[0.9, 0.1])),
                           "constraints": ["latency_p95_ms * 2 < 50"]})  # fmt: skip
