"""What a sweep has found: the choice, how sure it is, and how it fares on queries it was not chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.context import Progress, no_progress
from rag.errors import ConfigError
from rag.eval.datasets.base import Dataset
from rag.eval.evaluation import Evaluation, evaluate
from rag.eval.measures import DEFAULT_MEASURES
from rag.eval.pages import number
from rag.eval.remarks import split_remarks
from rag.eval.significance import Comparison, compare
from rag.hpo.choice import one_standard_error
from rag.hpo.objectives import ANSWERS, COSTS
from rag.hpo.sweep import Sweep
from rag.hpo.trial import Bench, index_bytes
from rag.hpo.trials import Finished
from rag.pipeline import Pipeline
from rag.store.store import Store

if TYPE_CHECKING:
    from rag.hpo.auto.win import Win

__all__ = ["Retested", "SweepResult", "Tested", "conclude", "intervals_of", "values_of"]


@dataclass(frozen=True)
class Tested:
    """A configuration on the test queries.

    Args:
        name: ``trial 7``, or ``baseline``.
        trial: Its number; None for a baseline that is no point of the space.
        pipeline: It.
        evaluation: Its evaluation.
        metrics: The sweep's metrics on the test queries.
        against: The baseline, by measure: difference, interval, p-value.
    """

    name: str
    trial: int | None
    pipeline: Pipeline
    evaluation: Evaluation
    metrics: Mapping[str, float]
    against: Mapping[str, Comparison] = field(default_factory=dict)


@dataclass(frozen=True)
class Retested:
    """One of the best on the queries set aside."""

    trial: int
    tuned: float
    fresh: float


@dataclass(frozen=True)
class SweepResult:
    """What came out of :func:`hpo.tune`.

    Args:
        sweep: What was asked.
        dataset: Its name, the splits and how many queries they have.
        trials: All that are over, in order.
        best: The chosen trial; with several objectives the one of the front that is best in the first. None when none
            could be chosen.
        tested: The chosen trial on the test queries; with several objectives the whole front.
        baseline: The baseline on the test queries.
        progress: Trial number, mean on the tuning queries, mean on the test queries, of each trial that was the best
            when it ended. For the picture only: nothing is chosen by it.
        retested: The best few on the queries set aside, when that was asked.
        notes: What to keep in mind.
        problem: Why nothing was chosen.
        win: What was won on the test queries, by what, at what latency; of a sweep by ``moves``.
    """

    sweep: Sweep
    dataset: Mapping[str, Any]
    trials: Sequence[Finished]
    best: Finished | None
    tested: Sequence[Tested]
    baseline: Tested | None
    progress: Sequence[tuple[int, float, float]] = ()
    retested: Sequence[Retested] = ()
    notes: Sequence[str] = ()
    problem: str = ""
    win: Win | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The chosen pipeline, fitted on the dataset's documents."""
        return self.tested[0].pipeline

    @property
    def front(self) -> list[Finished]:
        """The trials that were tested."""
        numbers = {one.trial for one in self.tested}
        return [one for one in self.trials if one.number in numbers and one.state != "repeated"]

    @property
    def verdict(self) -> str:
        """The choice against the baseline in a sentence, by the rule of all comparisons (:mod:`rag.eval.verdicts`)."""
        if not self.tested or self.baseline is None:
            return self.problem
        if self.win is not None:
            return self.win.sentence
        name, best = self.sweep.first.metric, self.tested[0]
        against = best.against.get(name)
        if best.trial is not None and best.trial == self.baseline.trial:
            return "Nothing better than the baseline was found: the baseline itself is the choice."
        if against is None:
            return "The choice and the baseline were measured on the test queries."
        if against.verdict.kind == "alike":
            return f"The choice and the baseline are alike in {name} on every test query."
        price = ", ".join(
            f"{goal.metric} {number(best.metrics[goal.metric])} instead of {number(self.baseline.metrics[goal.metric])}"
            for goal in self.sweep.goals
            if goal.metric != name
        )
        price = f" It has {price}." if price else ""
        return f"{_claim(against, name)}{_losses(best.against, name)}{price}"

    def checked(self) -> SweepResult:
        """Itself.

        Raises:
            ConfigError: Nothing could be chosen.
        """
        if self.problem:
            raise ConfigError(self.problem)
        return self


def _claim(against: Comparison, measure: str) -> str:
    said = against.verdict
    bounds = f" [{against.ci95[0]:+.3f}, {against.ci95[1]:+.3f}]" if against.ci95 else ""
    p = f"p = {against.p_value:.3f}" if against.p_value >= 0.001 else "p < 0.001"
    facts = f"{against.difference:+.3f}{bounds} in {measure} on the test queries, {p}"
    if said.proven:
        return f"The choice is {said.words} than the baseline: {facts}."
    settled = f"; {said.settled_by}" if said.settled_by else ""
    if said.direction:
        word = "better" if said.direction > 0 else "worse"
        return f"The choice is probably {word} than the baseline, not proven: {facts}{settled}."
    return f"There is no sign that the choice and the baseline differ: {facts}; it may be luck{settled}."


def _losses(against: Mapping[str, Comparison], first: str) -> str:
    """What a choice that is better, proven or probably, loses on other measures."""
    if against[first].verdict.direction <= 0:
        return ""
    lost = [
        f"{measure} {other.difference:+.3f} ({other.verdict.words})"
        for measure, other in against.items()
        if other.verdict.direction < 0
    ]
    return f" It loses on other measures: {', '.join(lost)}." if lost else ""


def conclude(
    sweep: Sweep,
    trials: Sequence[Finished],
    bench: Bench,
    progress: Progress = no_progress,
    remarks: Sequence[str] = (),
) -> SweepResult:
    """Choose among the trials and measure the choice on the test queries.

    Args:
        sweep: What was asked.
        trials: All that are over.
        bench: Measures.
        progress: Shows how far it is.
        remarks: What was taken over from earlier starts; goes into the notes.
    """
    from rag.hpo.tuning import best_of

    dataset = bench.dataset
    test = sweep.split("test") or "test"
    about = {
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
        return SweepResult(sweep, about, trials, None, (), None, problem=problem)
    front = best_of(sweep, list(trials))
    retested: list[Retested] = []
    walked = sweep.sampler.chosen(sweep.space, sweep.goals[0], trials)
    if walked is not None:
        chosen = [walked]
    elif len(sweep.goals) > 1:
        first = sweep.goals[0]
        chosen = sorted(front, key=lambda one: -first.sign * one.metrics[first.metric])
    else:
        best, retested = _choose(sweep, trials, bench)
        chosen = [best]
    tester = _Tester(sweep, dataset, test, bench.store)
    with progress("measuring the choice on the test queries", None) as advance:
        baseline = tester.baseline(trials)
        tested = [tester.test(one, baseline) for one in chosen]
        advance(1)
        curve = tester.curve(trials) if len(sweep.goals) == 1 and walked is None else []
    tuned = [one.message for one in split_remarks(dataset, bench.split_name) if one.code != "queries_shared"]
    told = sweep.sampler.notes(sweep.space, sweep.goals[0], trials)
    notes = list(dict.fromkeys([*told, *remarks, *dataset.notes, *tuned, *_notes(sweep, trials, about)]))
    return SweepResult(sweep, about, trials, chosen[0], tested, baseline, curve, retested, notes)


def _problem(sweep: Sweep, trials: Sequence[Finished]) -> str:
    complete = [one for one in trials if one.state == "complete"]
    if not complete:
        failed = [one for one in trials if one.state == "failed"]
        if not failed:
            return "no trial was run: give the sweep more time"
        return f"all {len(failed)} trials failed; trial {failed[0].number}: {failed[0].reason}"
    if not any(one.feasible for one in complete):
        limits = {str(bound): bound for bound in sweep.bounds}

        def share(one: Finished) -> float:
            return max(one.excess[name] / max(abs(bound.limit), 1e-12) for name, bound in limits.items())

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
    """By the tuning queries, or by those set aside; the best, or the cheapest that is as good."""
    objective = sweep.goals[0]
    usable = [one for one in trials if one.feasible]
    usable.sort(key=lambda one: (-objective.sign * one.metrics[objective.metric], one.number))
    retested: list[Retested] = []
    values = None if objective.metric in COSTS else [one.values[objective.metric] for one in usable]
    if sweep.retest:
        usable = usable[: sweep.retest]
        fresh = [bench.measure_fresh(sweep.space.pipeline(one.point)) for one in usable]
        retested = [
            Retested(one.number, one.metrics[objective.metric], again.metrics[objective.metric])
            for one, again in zip(usable, fresh, strict=True)
        ]
        if values is not None:
            values = [again.values[objective.metric] for again in fresh]
        order = np.argsort([-objective.sign * one.fresh for one in retested], kind="stable")
        usable = [usable[n] for n in order]
        values = None if values is None else [values[n] for n in order]
    if sweep.choice == "one_standard_error" and values is not None:
        costs = [
            tuple(one.metrics.get(name, 0.0) for name in ("llm_tokens", "scorer_calls", "search_ms")) for one in usable
        ]
        rank = {cost: number for number, cost in enumerate(sorted(set(costs)))}
        place = one_standard_error(
            np.stack(values) * objective.sign, np.array([rank[cost] for cost in costs], dtype=float)
        )
        return usable[place], retested
    return usable[0], retested


class _Tester:
    """Measures on the test queries; each configuration once."""

    def __init__(self, sweep: Sweep, dataset: Dataset, split: str, store: Store | None) -> None:
        self.sweep, self.dataset, self.split, self.store = sweep, dataset, split, store
        self.measures = tuple(dict.fromkeys([*sweep.measures, *DEFAULT_MEASURES]))
        self.timed = bool({"latency_p50_ms", "latency_p95_ms"} & set(sweep.metrics))
        self._known: dict[str, tuple[Evaluation, dict[str, float]]] = {}

    def evaluate(self, pipeline: Pipeline) -> tuple[Evaluation, dict[str, float]]:
        if pipeline.fingerprint not in self._known:
            found = evaluate(
                pipeline,
                self.dataset,
                split=self.split,
                measures=self.measures,
                ignore_identical_ids=self.sweep.ignore_identical_ids,
                seed=self.sweep.seed,
                store=self.store,
                timed=self.timed,
                answer=bool(self.sweep.answer_measures),
            )
            n = found.metrics["n_queries"]
            known = {name: value["mean"] for name, value in found.metrics["measures"].items()}
            known |= {name: float(values_of(found, name).mean()) for name in self.sweep.answer_measures}
            known |= {name: value / n for name, value in found.metrics["costs"].items()}
            if self.timed:
                known |= {f"latency_{name}_ms": found.metrics["latency_ms"][name] for name in ("p50", "p95")}
            if "index_bytes" in self.sweep.metrics:
                known["index_bytes"] = float(index_bytes(pipeline))
            self._known[pipeline.fingerprint] = found, {name: known[name] for name in self.sweep.metrics}
        return self._known[pipeline.fingerprint]

    def baseline(self, trials: Sequence[Finished]) -> Tested:
        """What the sweep names; the point of all defaults; or, where constraints rule that out, the first trial."""
        sweep, number = self.sweep, None
        if isinstance(sweep.baseline, str):
            pipeline = Pipeline.from_yaml(sweep.folder / Path(sweep.baseline).expanduser())
        elif sweep.baseline is not None:
            pipeline = Pipeline.from_config(sweep.baseline)
        else:
            first = next(one for one in trials if one.state == "complete")
            pipeline = sweep.space.pipeline(sweep.space.start or first.point)
            number = first.number if sweep.space.start in (None, first.point) else None
        evaluation, metrics = self.evaluate(pipeline)
        return Tested("baseline", number, pipeline, evaluation, metrics)

    def test(self, trial: Finished, baseline: Tested) -> Tested:
        pipeline = self.sweep.space.pipeline(trial.point)
        evaluation, metrics = self.evaluate(pipeline)
        against = {}
        for measure in (*self.sweep.answer_measures, *self.measures):
            ours, theirs = (values_of(one, measure) for one in (evaluation, baseline.evaluation))
            against[measure] = compare(ours, theirs, seed=self.sweep.seed)
        return Tested(f"trial {trial.number}", trial.number, evaluation.pipeline, evaluation, metrics, against)

    def curve(self, trials: Sequence[Finished]) -> list[tuple[int, float, float]]:
        """Each trial that was the best so far, with its mean on the tuning and on the test queries."""
        objective = self.sweep.goals[0]
        best, found = -np.inf, []
        for one in trials:
            if one.feasible and objective.sign * one.metrics[objective.metric] > best:
                best = objective.sign * one.metrics[objective.metric]
                _, metrics = self.evaluate(self.sweep.space.pipeline(one.point))
                found.append((one.number, one.metrics[objective.metric], metrics[objective.metric]))
        return found


def intervals_of(evaluation: Evaluation) -> Mapping[str, Any]:
    """Mean and interval by measure, of lists and of answers."""
    answers = evaluation.metrics["answers"]
    of_answers = {name: value for name, value in answers["measures"].items() if value} if answers else {}
    return {**evaluation.metrics["measures"], **of_answers}


def values_of(evaluation: Evaluation, measure: str) -> Any:
    """Value of each query by a measure of lists or of answers, float64 [n], in the order of the split."""
    values = evaluation.answers[measure] if measure in ANSWERS else evaluation.values[measure]
    return np.array([values[query.id] for query in evaluation.split.queries], dtype=np.float64)


def _notes(sweep: Sweep, trials: Sequence[Finished], about: Mapping[str, Any]) -> list[str]:
    notes = []
    failed = [one for one in trials if one.state == "failed"]
    if failed:
        many = "1 trial failed" if len(failed) == 1 else f"{len(failed)} trials failed; the first"
        notes.append(f"{many}, trial {failed[0].number}: {failed[0].reason}")
    lacking = [one for one in trials if one.texts_missing and one.state != "repeated"]
    if lacking:
        missing, wanted = (sum(getattr(one, name) for one in lacking) for name in ("texts_missing", "texts_wanted"))
        notes.append(
            f"{missing} of {wanted} texts of language models are missing in {len(lacking)} "
            f"{'trial' if len(lacking) == 1 else 'trials'}, the first trial {lacking[0].number}: less than max_failed "
            f"({sweep.max_failed:g}), so they count"
        )
    if sweep.timeout is not None and len(trials) < sweep.n_trials:
        notes.append(
            f"{len(trials)} of {sweep.n_trials} trials: the time limit of {sweep.timeout:g} s was reached, or there "
            "was nothing else to try; started again, it goes on"
        )
    if len(sweep.goals) == 1 and sweep.choice == "best" and not sweep.retest:
        goal = sweep.goals[0]
        values = [goal.sign * one.metrics[goal.metric] for one in trials if one.feasible]
        if (alike := values.count(max(values))) > 1:
            notes.append(f"{alike} trials are equally good on the tuning queries: the earliest of them is the choice")
    if about["tune"] == "train":
        notes.append("tuned on the training queries: there was no other split, or it was asked for")
    if about["n_tune"] < 50:
        notes.append(f"{about['n_tune']} tuning queries are few: what is best on them is best partly by luck")
    return notes
