"""Configurations measured on the test queries or on queries set aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rag.display import Shown
from rag.eval.comparison.pairs import Comparison
from rag.eval.result import Evaluation
from rag.hpo.objectives import ANSWERS
from rag.pipeline import Pipeline

__all__ = ["Retested", "Tested", "intervals_of", "values_of"]


@dataclass(frozen=True, repr=False)
class Tested(Shown):
    """A configuration measured on the test queries.

    Args:
        name: ``trial 7``, or ``baseline``.
        trial: Number of the trial; None for a baseline that is not a point of the space.
        pipeline: The fitted pipeline.
        evaluation: The evaluation on the test queries.
        metrics: The sweep's metrics on the test queries.
        against: Comparisons with the baseline by measure.
    """

    name: str
    trial: int | None
    pipeline: Pipeline
    evaluation: Evaluation
    metrics: Mapping[str, float]
    against: Mapping[str, Comparison] = field(default_factory=dict)

    def _summary(self) -> list[str]:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return [f"Tested {self.name}: {metrics}", *(f"{name}: {c.verdict.words}" for name, c in self.against.items())]


@dataclass(frozen=True)
class Retested:
    """One of the best trials, measured on the queries set aside.

    Args:
        trial: Number of the trial.
        tuned: The first objective on the tuning queries.
        fresh: The first objective on the queries set aside.
    """

    trial: int
    tuned: float
    fresh: float


def intervals_of(evaluation: Evaluation) -> Mapping[str, Any]:
    """Means and intervals by measure, of rankings and of answers."""
    answers = evaluation.metrics["answers"]
    of_answers = {name: value for name, value in answers["measures"].items() if value} if answers else {}
    return {**evaluation.metrics["measures"], **of_answers}


def values_of(evaluation: Evaluation, measure: str) -> Any:
    """Value of each query by a measure of rankings or answers, float64 [n], in the order of the split."""
    values = evaluation.answers[measure] if measure in ANSWERS else evaluation.values[measure]
    return np.array([values[query.id] for query in evaluation.split.queries], dtype=np.float64)
