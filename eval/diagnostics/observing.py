"""Observe a search batch by batch: candidates left, documents lost and costs at every stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rag.candidates import Candidates
from rag.costs import Ledger
from rag.eval.datasets.base import Qrels
from rag.eval.diagnostics.attribution import Attribution
from rag.eval.diagnostics.cuts import Cuts
from rag.eval.diagnostics.filtering import filter_logs
from rag.eval.diagnostics.stage_tops import StageTops
from rag.eval.diagnostics.stage_values import StageValues
from rag.eval.searching import SearchedBatch
from rag.pipeline import Pipeline

__all__ = ["SHOWN", "Observer"]

SHOWN = 10
"""Number of documents per query that an evaluation keeps as objects."""


class Observer:
    """Collects diagnostics from batches that went through a pipeline with a trace.

    Args:
        pipeline: The fitted pipeline.
        qrels: Judgments of the queries.
        headline: Parsed; the measure that stages are told apart by.
    """

    def __init__(self, pipeline: Pipeline, qrels: Qrels, headline: Any) -> None:
        self.pipeline = pipeline
        self.qrels = qrels
        self.ledger = Ledger()
        self.filters = filter_logs(pipeline)
        self.cuts = Cuts(pipeline)
        self.attribution = Attribution(pipeline.step_names)
        self.values = StageValues(pipeline.step_names, headline)
        self.tops = StageTops(pipeline.step_names, SHOWN)
        self._n_queries = 0
        self._n_candidates: dict[str, int] = {}

    def add(self, searched: SearchedBatch) -> None:
        """Add a batch."""
        batch, trace = searched.batch, searched.batch.trace or {}
        self.ledger.add(batch.ledger)
        for log in self.filters:
            log.add(batch, self.pipeline, self.qrels, searched.ignored)
        if not self._n_queries:  # a retriever's parts are only known after a search
            self.attribution.lists = self.tops.stages = _lists(trace, self.pipeline.step_names)
        self._n_queries += len(batch)
        for name, table in trace.items():
            self._n_candidates[name] = self._n_candidates.get(name, 0) + int(table.counts.sum())
        empty = Candidates.empty(len(batch))
        tables = {name: searched.counted(trace.get(name, empty)) for name in self.tops.stages}
        passed = self.cuts.passed(batch)
        self.attribution.add(searched.queries, tables, self.pipeline.corpus, self.qrels, searched.ignored, passed)
        self.values.add(searched.queries, tables, self.pipeline.corpus, self.qrels)
        self.tops.add(tables)

    def candidates_after(self, stage: str) -> float:
        """Mean number of candidates per query after a stage."""
        return self._n_candidates.get(stage, 0) / max(self._n_queries, 1)


def _lists(trace: Mapping[str, Candidates], steps: Sequence[str]) -> list[str]:
    """Names of the recorded steps and their parts, such as ``retriever.0 bm25``, each part before its step."""
    return [name for name in trace if name in steps or name.startswith(tuple(f"{step}." for step in steps))]
