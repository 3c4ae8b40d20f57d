"""The result of an evaluation as data, from which run folders, reports and comparisons are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rag.eval.datasets.base import Split
from rag.eval.diagnostics.stage_tops import StageTop
from rag.eval.judges.base import Judgment
from rag.eval.measures.answers import Values
from rag.eval.measures.values import Run
from rag.eval.metrics import Metrics
from rag.pipeline import Pipeline
from rag.types import SearchResult

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """Measures of a pipeline on a split, with the data behind them.

    Args:
        pipeline: The fitted pipeline.
        record: The content of ``metrics.json``; see ``docs/run-folder.md``.
        values: Value of each judged query by measure name by query id.
        run: Score by document id by query id, best first; ties are broken in the order returned, by the smallest step
            of float32.
        results: The best ten documents of each judged query, in the order of the split.
        split: The queries and judgments it was measured on.
        lost_at: The stage to blame by (query id, document id), for relevant documents that were not returned.
        ranks: Rank in each of the lists of ``stages`` by (query id, document id), for relevant documents; None where
            missing.
        failures: Failures of each query, by query id; see :func:`rag.eval.diagnostics.failures.failure_modes`.
        stages: The best ten after each stage, and before it after each part of a hybrid or keyed retriever; rows in the
            order of ``results``.
        answers: Measures of the answers by name, by query id; empty where the pipeline writes none.
        judged: Verdict of each judge, by its name, by query id.
    """

    pipeline: Pipeline
    record: Metrics
    values: Mapping[str, Mapping[str, float]]
    run: Run
    results: Sequence[SearchResult]
    split: Split
    lost_at: Mapping[tuple[str, str], str]
    ranks: Mapping[tuple[str, str], Sequence[int | None]]
    failures: Mapping[str, Sequence[Mapping[str, Any]]]
    stages: Sequence[StageTop]
    answers: Values = field(default_factory=dict)
    judged: Mapping[str, Mapping[str, Judgment]] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """The record as plain values, like ``metrics.json``."""
        return self.record.to_dict()
