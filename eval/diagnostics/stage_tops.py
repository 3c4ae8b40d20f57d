"""The best ten results of each stage for every query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag.candidates import Candidates, Ints

__all__ = ["StageTop", "StageTops"]


@dataclass(frozen=True)
class StageTop:
    """The results of a stage.

    Args:
        name: Name of the list in a trace.
        counts: Number of candidates of each query, int64 [n].
        best: The best candidates.
    """

    name: str
    counts: Ints
    best: Candidates


@dataclass
class StageTops:
    """Collects the best results of every stage, batch by batch.

    Args:
        stages: Names of lists in order, as in a trace: the pipeline's steps and their parts.
        k: Number of results kept per query.
    """

    stages: Sequence[str]
    k: int
    _best: dict[str, list[Candidates]] = field(default_factory=dict)
    _counts: dict[str, list[Ints]] = field(default_factory=dict)

    def add(self, tables: Mapping[str, Candidates]) -> None:
        """Add the tables of a batch, by name."""
        for name in self.stages:
            # Index by rows: this copies, so that the whole table can be freed.
            best = tables[name].head(self.k).rows(np.arange(len(tables[name])))
            self._best.setdefault(name, []).append(best)
            self._counts.setdefault(name, []).append(tables[name].counts)

    def all(self) -> list[StageTop]:
        """The results of every stage over all batches."""
        return [
            StageTop(name, np.concatenate(self._counts[name]), Candidates.stacked(self._best[name]))
            for name in self.stages
            if name in self._best
        ]
