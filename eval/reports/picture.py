"""The pipeline as a picture: its steps, and on the arrows between them what passes and how good it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.eval.metrics import Metrics, StageChange, StageLosses

__all__ = ["Step", "steps"]


@dataclass(frozen=True)
class Step:
    """A step of the search, and what leaves it.

    Args:
        name: Its type: ``hybrid``.
        parts: Types of its inner components.
        seconds: Time of a query in it, in a batch.
        share: That time as a share of the whole search, in [0, 1].
        left: Candidates that leave it, as a mean over the queries.
        losses: Relevant documents among those; None where none is judged relevant.
        change: The headline measure after it; None in runs that have not measured it.
    """

    name: str
    parts: Sequence[str]
    seconds: float
    share: float
    left: float
    losses: StageLosses | None
    change: StageChange | None


def steps(metrics: Metrics, pipeline: Mapping[str, Any]) -> list[Step]:
    """The retriever and the stages, in the order in which a question passes them.

    Args:
        metrics: The record of a run.
        pipeline: Its configuration as plain values.
    """
    components = list(_components([pipeline.get("retriever"), pipeline.get("stages")]))
    losses = {stage.name: stage for stage in metrics.attribution.stages}
    changes = {stage.name: stage for stage in metrics.changes}
    total = sum(stage.seconds for stage in metrics.stages) or 1.0
    if len(components) != len(metrics.stages):  # a run of another version, or with a hand in its files
        components = [{"type": stage.name} for stage in metrics.stages]
    return [
        Step(
            component["type"],
            [part["type"] for part in _components(list(component.values()))],
            stage.seconds / metrics.n_queries,
            stage.seconds / total,
            stage.candidates,
            losses.get(stage.name),
            changes.get(stage.name),
        )
        for component, stage in zip(components, metrics.stages, strict=True)
    ]


def _components(values: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for value in values:
        if isinstance(value, list):
            yield from _components(value)
        elif isinstance(value, dict) and isinstance(value.get("type"), str):
            yield value
