"""What each stage returned: the best ten of every query after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag.candidates import Candidates, Ints

__all__ = ["StageTop", "StageTops"]


@dataclass(frozen=True)
class StageTop:
    """What a stage left.

    Args:
        name: As in a trace.
        counts: Number of candidates of each query, int64 [n].
        best: The best of them.
    """

    name: str
    counts: Ints
    best: Candidates


@dataclass
class StageTops:
    """Keeps the best of every stage, batch by batch.

    Args:
        stages: Names of lists, in order, as in a trace: the pipeline's steps, and what parts of them found.
        k: How many of each query.
    """

    stages: Sequence[str]
    k: int
    _best: dict[str, list[Candidates]] = field(default_factory=dict)
    _counts: dict[str, list[Ints]] = field(default_factory=dict)

    def add(self, tables: Mapping[str, Candidates]) -> None:
        """Look at what each stage left of a batch, by name."""
        for name in self.stages:
            # Taken by rows: a copy, so that the whole table can go.
            best = tables[name].head(self.k).rows(np.arange(len(tables[name])))
            self._best.setdefault(name, []).append(best)
            self._counts.setdefault(name, []).append(tables[name].counts)

    def all(self) -> list[StageTop]:
        """Every stage, over all batches."""
        return [
            StageTop(name, np.concatenate(self._counts[name]), Candidates.stacked(self._best[name]))
            for name in self.stages
            if name in self._best
        ]
