"""What each stage does to the headline measure: its value after every step, and whether the step raised it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rag.candidates import Candidates
from rag.corpus.corpus import Corpus
from rag.eval.datasets.base import Qrels
from rag.eval.measures.interval import interval
from rag.eval.measures.values import per_query
from rag.eval.metrics import StageChange
from rag.eval.runs.ranking import as_run
from rag.types import Query

__all__ = ["StageValues"]


@dataclass
class StageValues:
    """Measures the list after every step, batch by batch.

    Args:
        stages: The pipeline's steps by name, in order, as in a trace.
        measure: Parsed; the headline.
    """

    stages: Sequence[str]
    measure: Any
    _values: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, queries: Sequence[Query], tables: Mapping[str, Candidates], corpus: Corpus, qrels: Qrels) -> None:
        """Look at queries that went through the pipeline; ``tables`` has each list by name."""
        judged = {query.id: qrels[query.id] for query in queries if query.id in qrels}
        for name in self.stages:
            values = per_query([self.measure], judged, as_run(queries, tables[name], corpus))
            self._values.setdefault(name, {}).update(values[str(self.measure)])

    def summary(self, seed: int) -> list[StageChange]:
        """Mean after each step, and the paired difference to the step before with its bootstrap interval."""
        changes: list[StageChange] = []
        before: np.ndarray[Any, Any] | None = None
        for name in self.stages:
            values = np.array(list(self._values.get(name, {}).values()), dtype=np.float64)
            if not len(values):
                continue
            change = None if before is None else values - before
            bounds = None if change is None else interval(change[:, None], seed=seed)
            changes.append(
                StageChange(
                    name=name,
                    value=float(values.mean()),
                    change=None if change is None else float(change.mean()),
                    ci95=bounds[0] if bounds else None,
                )
            )
            before = values
        return changes
