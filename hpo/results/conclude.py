"""Conclude a sweep: choose among its trials, and measure the choice on the test queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rag.eval.diagnostics.remarks import split_remarks
from rag.hpo.execution.trial import Bench
from rag.hpo.execution.trials import Finished
from rag.hpo.objectives import COSTS
from rag.hpo.results.choice import best_of, one_standard_error
from rag.hpo.results.result import SweepResult
from rag.hpo.results.tested import Retested
from rag.hpo.results.tester import Tester
from rag.hpo.sweep import Sweep
from rag.progress import Progress, no_progress

__all__ = ["conclude"]


def conclude(
    sweep: Sweep,
    trials: Sequence[Finished],
    bench: Bench,
    progress: Progress = no_progress,
    remarks: Sequence[str] = (),
    walked: Finished | None = None,
) -> SweepResult:
    """Choose among the trials and measure the choice on the test queries.

    Args:
        sweep: The sweep that was run.
        trials: The finished trials.
        bench: The dataset and the store to measure with.
        progress: Callback that shows progress.
        remarks: Sentences about trials taken over from earlier starts, for the notes.
        walked: The trial chosen by the sampler itself, which replaces ``choice`` of the sweep.
    """
    dataset = bench.dataset
    test = sweep.split("test") or "test"
    description = {
        "name": dataset.name,
        "tune": bench.split_name,
        "n_tune": len(bench.split.queries),
        "test": test,
        "n_test": len(dataset.split(test).queries),
        "n_fresh": len(bench.fresh.queries),
        "documents": len(dataset.corpus),
    }
    problem = _problem(sweep, trials)
    if problem:
        return SweepResult(sweep, description, trials, None, (), None, problem=problem)
    front = best_of(sweep, trials)
    retested: list[Retested] = []
    if walked is not None:
        chosen = [walked]
    elif len(sweep.goals) > 1:
        first = sweep.goals[0]
        chosen = sorted(front, key=lambda trial: -first.sign * trial.metrics[first.metric])
    else:
        best, retested = _choose(sweep, trials, bench)
        chosen = [best]
    tester = Tester(sweep, dataset, test, bench.store)
    with progress("measuring the choice on the test queries", None) as advance:
        baseline = tester.baseline(trials)
        tested = [tester.test(trial, baseline) for trial in chosen]
        advance(1)
        curve = tester.curve(trials) if len(sweep.goals) == 1 and walked is None else []
    tuned = [remark.message for remark in split_remarks(dataset, bench.split_name) if remark.code != "queries_shared"]
    notes = list(dict.fromkeys([*remarks, *dataset.notes, *tuned, *_notes(sweep, trials, description, walked is None)]))
    return SweepResult(sweep, description, trials, chosen[0], tested, baseline, curve, retested, notes)


def _problem(sweep: Sweep, trials: Sequence[Finished]) -> str:
    complete = [trial for trial in trials if trial.state == "complete"]
    if not complete:
        failed = [trial for trial in trials if trial.state == "failed"]
        if not failed:
            return "no trial was run: give the sweep more time"
        return f"all {len(failed)} trials failed; trial {failed[0].number}: {failed[0].reason}"
    if not any(trial.feasible for trial in complete):
        limits = {str(bound): bound for bound in sweep.bounds}

        def share(trial: Finished) -> float:
            return max(trial.excess[name] / max(abs(bound.limit), 1e-12) for name, bound in limits.items())

        near = min(complete, key=share)
        broken = [
            f"{limits[name].metric} {near.metrics[limits[name].metric]:.4g}"
            for name, by in near.excess.items()
            if by > 0
        ]
        return (
            f"none of {len(complete)} configurations meets {' and '.join(limits)}; trial {near.number} came closest, "
            f"with {', '.join(broken)}"
        )
    return ""


def _choose(sweep: Sweep, trials: Sequence[Finished], bench: Bench) -> tuple[Finished, list[Retested]]:
    """The best trial, or the cheapest equally good one, by the tuning queries or by those set aside."""
    objective = sweep.goals[0]
    usable = [trial for trial in trials if trial.feasible]
    usable.sort(key=lambda trial: (-objective.sign * trial.metrics[objective.metric], trial.number))
    retested: list[Retested] = []
    values = None if objective.metric in COSTS else [trial.values[objective.metric] for trial in usable]
    if sweep.retest:
        usable = usable[: sweep.retest]
        fresh = [bench.measure_fresh(sweep.space.pipeline(trial.point)) for trial in usable]
        retested = [
            Retested(trial.number, trial.metrics[objective.metric], again.metrics[objective.metric])
            for trial, again in zip(usable, fresh, strict=True)
        ]
        if values is not None:
            values = [again.values[objective.metric] for again in fresh]
        order = np.argsort([-objective.sign * retest.fresh for retest in retested], kind="stable")
        usable = [usable[n] for n in order]
        values = None if values is None else [values[n] for n in order]
    if sweep.choice == "one_standard_error" and values is not None:
        costs = [
            tuple(trial.metrics.get(name, 0.0) for name in ("llm_tokens", "scorer_calls", "search_ms"))
            for trial in usable
        ]
        rank = {cost: position for position, cost in enumerate(sorted(set(costs)))}
        chosen = one_standard_error(
            np.stack(values) * objective.sign, np.array([rank[cost] for cost in costs], dtype=float)
        )
        return usable[chosen], retested
    return usable[0], retested


def _notes(sweep: Sweep, trials: Sequence[Finished], description: Mapping[str, Any], chosen: bool = True) -> list[str]:
    notes = []
    failed = [trial for trial in trials if trial.state == "failed"]
    if failed:
        many = "1 trial failed" if len(failed) == 1 else f"{len(failed)} trials failed; the first"
        notes.append(f"{many}, trial {failed[0].number}: {failed[0].reason}")
    lacking = [trial for trial in trials if trial.texts_missing and trial.state != "repeated"]
    if lacking:
        missing, requested = (
            sum(getattr(trial, name) for trial in lacking) for name in ("texts_missing", "texts_wanted")
        )
        notes.append(
            f"{missing} of {requested} texts of language models are missing in {len(lacking)} "
            f"{'trial' if len(lacking) == 1 else 'trials'}, the first trial {lacking[0].number}: less than max_failed "
            f"({sweep.max_failed:g}), so they count"
        )
    if sweep.timeout is not None and len(trials) < sweep.n_trials and not sweep.sampler.ends:
        notes.append(
            f"{len(trials)} of {sweep.n_trials} trials: the time limit of {sweep.timeout:g} s was reached, or there "
            "was nothing else to try; started again, it resumes"
        )
    if chosen and len(sweep.goals) == 1 and sweep.choice == "best" and not sweep.retest:
        goal = sweep.goals[0]
        values = [goal.sign * trial.metrics[goal.metric] for trial in trials if trial.feasible]
        if (alike := values.count(max(values))) > 1:
            notes.append(f"{alike} trials are equally good on the tuning queries: the earliest of them is the choice")
    if description["tune"] == "train":
        notes.append("tuned on the training queries: there was no other split, or it was requested")
    if description["n_tune"] < 50:
        notes.append(f"{description['n_tune']} tuning queries are few: what is best on them is best partly by luck")
    return notes
