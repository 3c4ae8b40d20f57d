"""Measure the gain of a walk."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.eval.datasets.base import Dataset
from rag.eval.diagnostics.overlap import shares_document
from rag.hpo.auto.sampler import Moves
from rag.hpo.results.result import SweepResult
from rag.hpo.results.tested import values_of
from rag.hpo.results.win import Win
from rag.store.store import Store

__all__ = ["won"]


def won(result: SweepResult, dataset: Dataset, store: Store | None = None) -> Win:
    """Measure the gain of a sweep's choice over its baseline on the test questions, and both latencies.

    Args:
        result: Result of a sweep whose choice and baseline were tested.
        dataset: The dataset of the sweep.
        store: Takes and keeps latencies, which belong to this machine.
    """
    from rag.eval.measures.latency import time_alone

    baseline, best = result.baseline, result.tested[0]
    assert baseline is not None
    measure = result.sweep.first.metric
    queries = dataset.split(result.dataset["test"]).queries
    latency = [
        float(np.percentile(time_alone(trial.evaluation.pipeline, queries, seed=0, store=store), 50) * 1e3)
        for trial in (baseline, best)
    ]
    against = best.against[measure]
    assert isinstance(result.sweep.sampler, Moves)
    steps = result.sweep.sampler.walked(result.sweep.space, result.sweep.goals[0], result.trials).steps
    by = tuple(f"{trial.name} {_said(trial.before)} -> {_said(trial.after)}" for trial in steps if trial.kept)
    return Win(
        measure,
        float(baseline.metrics[measure]),
        float(best.metrics[measure]),
        against.difference,
        against.ci95,
        against.p_value,
        by,
        (latency[0], latency[1]),
        len(steps),
        result.trials[0].seconds,
        _remembered(result, dataset, measure),
    )


def _remembered(result: SweepResult, dataset: Dataset, measure: str) -> tuple[tuple[float, int], ...]:
    """Mean difference and number of the test questions that share a relevant document with training, and of others."""
    test, best, baseline = result.dataset["test"], result.tested[0].evaluation, result.baseline
    training = dataset.training(test)
    learns = any("training" in part.needs for _, part in best.pipeline.spec.walk())
    if training is None or not learns or baseline is None:
        return ()
    difference = values_of(best, measure) - values_of(baseline.evaluation, measure)
    shared = shares_document(best.split, training)
    return tuple((float(difference[rows].mean()) if rows.any() else 0.0, int(rows.sum())) for rows in (shared, ~shared))


def _said(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
