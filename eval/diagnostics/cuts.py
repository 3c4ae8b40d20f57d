"""Find the setting of a stage that cut a document: its threshold, its budget, or its ``top_k``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import PADDING, Candidates
from rag.eval.diagnostics.attribution import NOT_IN_CORPUS, Attribution
from rag.filters.base import Filter
from rag.stage import Retriever, Stage

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

__all__ = ["CutMode", "Cuts"]

CutMode = Literal["cut_threshold", "cut_budget", "cut_top_k", "cut"]
"""``cut`` alone where the setting is ambiguous, or where the stage has none."""

Key = tuple[str, str]


@dataclass(frozen=True)
class _Limits:
    """The settings by which a step may cut.

    Args:
        path: Path of the step in the configuration, such as ``stages.1``.
        thresholds: Names of the arguments that set its threshold.
        budget: Number of candidates that it scores; None for no limit.
        top_k: Number of candidates that it returns; None for no limit.
        head: Whether the budget is spent on the first candidates.
    """

    path: str
    thresholds: tuple[str, ...] = ()
    budget: int | None = None
    top_k: int | None = None
    head: bool = False


class Cuts:
    """Finds the settings by which a pipeline's steps cut documents.

    Args:
        pipeline: The fitted pipeline.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        steps: list[Retriever | Stage] = [pipeline.retriever, *pipeline.stages]
        self.names = pipeline.step_names
        self._filters = {
            name: (self.names[index - 1], step)
            for index, (name, step) in enumerate(zip(self.names, steps, strict=True))
            if isinstance(step, Filter)
        }
        self._limits = {name: _limits(name, step) for name, step in zip(self.names, steps, strict=True)}

    def passed(self, batch: QueryBatch) -> dict[str, Candidates]:
        """The candidates that passed each filter's threshold in a traced batch."""
        trace = batch.trace or {}
        passed = {}
        for name, (before, step) in self._filters.items():
            if before in trace:
                candidates = trace[before]
                positions = np.where(step.passes(batch, candidates), candidates.documents, PADDING)
                passed[name] = Candidates(positions, candidates.scores, candidates.passages)
        return passed

    def modes(self, attribution: Attribution) -> dict[Key, CutMode]:
        """The mode of each document's cut by a step after the first, by (query id, document id)."""
        ranks, passed = attribution.ranks(), attribution.passed()
        rows = {name: index for index, name in enumerate(attribution.lists or attribution.stages)}
        modes: dict[Key, CutMode] = {}
        for key, name in attribution.lost_at().items():
            if name not in (NOT_IN_CORPUS, self.names[0]):
                before = self.names[self.names.index(name) - 1]
                modes[key] = self._mode(self._limits[name], ranks[key][rows[before]], passed.get(name, {}).get(key))
        return modes

    def setting(self, mode: str, stage: str | None) -> str | None:
        """The setting to change for documents lost this way, as a path of the configuration."""
        if stage is None or stage not in self._limits:
            return None
        limits = self._limits[stage]
        limited = tuple(name for name, n in (("budget", limits.budget), ("top_k", limits.top_k)) if n is not None)
        names = {
            "cut_threshold": limits.thresholds,
            "cut_budget": ("budget",),
            "cut_top_k": ("top_k",),
            "cut": limited,
            "missed": limited,
        }.get(mode, ())
        return " or ".join(f"{limits.path}.{name}" for name in names) or None

    def _mode(self, limits: _Limits, rank: int | None, passed: bool | None) -> CutMode:
        if passed is not None:
            return "cut_top_k" if passed else "cut_threshold"
        if limits.budget is not None and limits.top_k is None:
            return "cut_budget"
        if limits.budget is None:
            return "cut" if limits.top_k is None else "cut_top_k"
        if limits.head and rank is not None:
            return "cut_budget" if rank > limits.budget else "cut_top_k"
        return "cut"


def _limits(name: str, step: Retriever | Stage) -> _Limits:
    path = name.split(" ")[0]
    if isinstance(step, Retriever):
        return _Limits(path, top_k=step.limit)
    thresholds = step.threshold_settings if isinstance(step, Filter) else ()
    budget = step.spends[1] if step.spends else None
    return _Limits(path, thresholds, budget=budget, top_k=step.limit, head=step.scores_head)
