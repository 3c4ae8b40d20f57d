"""Measure configurations on the test queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rag.eval.comparison.significance import compare
from rag.eval.datasets.base import Dataset
from rag.eval.evaluation import evaluate
from rag.eval.measures.names import DEFAULT_MEASURES
from rag.eval.result import Evaluation
from rag.hpo.execution.trial import index_bytes
from rag.hpo.execution.trials import Finished
from rag.hpo.results.tested import Tested, values_of
from rag.hpo.sweep import Sweep
from rag.pipeline import Pipeline
from rag.store.store import Store

__all__ = ["Tester"]


class Tester:
    """Measures configurations on the test queries, each only once.

    Args:
        sweep: The sweep with its measures, baseline and space.
        dataset: The dataset.
        split: Name of the test split.
        store: Cache of all computations; None caches nothing.
    """

    def __init__(self, sweep: Sweep, dataset: Dataset, split: str, store: Store | None) -> None:
        self.sweep, self.dataset, self.split, self.store = sweep, dataset, split, store
        self.measures = tuple(dict.fromkeys([*sweep.measures, *DEFAULT_MEASURES]))
        self.timed = bool({"latency_p50_ms", "latency_p95_ms"} & set(sweep.metrics))
        self._known: dict[str, tuple[Evaluation, dict[str, float]]] = {}

    def evaluate(self, pipeline: Pipeline) -> tuple[Evaluation, dict[str, float]]:
        """Evaluate a pipeline, and compute the sweep's metrics."""
        if pipeline.fingerprint not in self._known:
            evaluation = evaluate(
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
            n = evaluation.metrics["n_queries"]
            values = {name: value["mean"] for name, value in evaluation.metrics["measures"].items()}
            values |= {name: float(values_of(evaluation, name).mean()) for name in self.sweep.answer_measures}
            values |= {name: value / n for name, value in evaluation.metrics["costs"].items()}
            if self.timed:
                values |= {f"latency_{name}_ms": evaluation.metrics["latency_ms"][name] for name in ("p50", "p95")}
            if "index_bytes" in self.sweep.metrics:
                values["index_bytes"] = float(index_bytes(pipeline))
            self._known[pipeline.fingerprint] = evaluation, {name: values[name] for name in self.sweep.metrics}
        return self._known[pipeline.fingerprint]

    def baseline(self, trials: Sequence[Finished]) -> Tested:
        """The baseline: the pipeline named by the sweep, else the point of all defaults, else, if constraints exclude
        that, the first trial.
        """
        sweep, trial_number = self.sweep, None
        if isinstance(sweep.baseline, str):
            pipeline = Pipeline.from_yaml(sweep.folder / Path(sweep.baseline).expanduser())
        elif sweep.baseline is not None:
            pipeline = Pipeline.from_config(sweep.baseline)
        else:
            first = next(trial for trial in trials if trial.state == "complete")
            pipeline = sweep.space.pipeline(sweep.space.start or first.point)
            trial_number = first.number if sweep.space.start in (None, first.point) else None
        evaluation, metrics = self.evaluate(pipeline)
        return Tested("baseline", trial_number, pipeline, evaluation, metrics)

    def test(self, trial: Finished, baseline: Tested) -> Tested:
        """A trial's pipeline compared with the baseline by every measure."""
        pipeline = self.sweep.space.pipeline(trial.point)
        evaluation, metrics = self.evaluate(pipeline)
        against = {}
        for measure in (*self.sweep.answer_measures, *self.measures):
            ours, theirs = values_of(evaluation, measure), values_of(baseline.evaluation, measure)
            against[measure] = compare(ours, theirs, seed=self.sweep.seed)
        return Tested(f"trial {trial.number}", trial.number, evaluation.pipeline, evaluation, metrics, against)

    def curve(self, trials: Sequence[Finished]) -> list[tuple[int, float, float]]:
        """Each trial that was the best so far, with its means on the tuning and test queries."""
        objective = self.sweep.goals[0]
        best, steps = -np.inf, []
        for trial in trials:
            if trial.feasible and objective.sign * trial.metrics[objective.metric] > best:
                best = objective.sign * trial.metrics[objective.metric]
                _, metrics = self.evaluate(self.sweep.space.pipeline(trial.point))
                steps.append((trial.number, trial.metrics[objective.metric], metrics[objective.metric]))
        return steps
