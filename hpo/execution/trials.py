"""Trials in Optuna's storage: the attributes written for a trial, and reading them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag.display import Shown, brief
from rag.hpo.execution.trial import Measured
from rag.hpo.space.point import Point
from rag.pipeline import Pipeline

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = [
    "Asked",
    "Finished",
    "about_measured",
    "counts",
    "has_begun",
    "is_extra",
    "is_numbered",
    "number_of",
    "read_finished",
    "unpacked",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A trial to run."""

    trial: optuna.Trial
    point: Mapping[str, Any]
    pipeline: Pipeline
    number: int


@dataclass(frozen=True, repr=False)
class Finished(Shown):
    """A trial that was run.

    Args:
        number: Trials are numbered in the order they ran, from 0, over all starts of the sweep; a repeated one has the
            number of the trial that it repeats.
        state: ``complete``, ``stopped`` (early), ``failed``, or ``repeated`` (of another trial).
        point: Value by parameter.
        metrics: Value by metric; for a stopped trial over the queries searched.
        values: Value of each query by measure, float64 [n_queries].
        n_queries: Queries searched.
        seconds: Wall time in seconds.
        alone: Estimated wall time without the store, in seconds.
        reason: Why the trial failed; empty otherwise.
        excess: By how much it breaks each bound; 0 or below is within.
        reused: Names of the artifacts that came from the store.
        texts_wanted: Texts requested from language models.
        texts_missing: Texts requested but not received.
    """

    number: int
    state: str
    point: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Floats] = field(default_factory=dict)
    n_queries: int = 0
    seconds: float = 0.0
    alone: float = 0.0
    reason: str = ""
    excess: Mapping[str, float] = field(default_factory=dict)
    reused: Sequence[str] = ()
    texts_wanted: int = 0
    texts_missing: int = 0

    def _summary(self) -> list[str]:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return [f"Trial {self.number}: {self.state}", self.reason or metrics, brief(dict(self.point), 140)]

    @property
    def feasible(self) -> bool:
        """Whether the trial is complete, and within all bounds."""
        return self.state == "complete" and all(excess <= 0 for excess in self.excess.values())


def has_begun(trial: FrozenTrial) -> bool:
    """Whether the trial runs or has run, except if its process died or was interrupted."""
    return trial.state.name != "WAITING" and not trial.user_attrs.get("died")


def counts(trial: FrozenTrial) -> bool:
    """Whether the trial counts in the sweep's ``n_trials``: it is not a repetition, not taken over from another space,
    and not added after the start of the sweep.
    """
    attributes = trial.user_attrs
    return (
        has_begun(trial) and attributes.get("counts", True) and not attributes.get("taken_over") and not is_extra(trial)
    )


def is_extra(trial: FrozenTrial) -> bool:
    """Whether the trial was enqueued after the start of the sweep."""
    return bool(trial.user_attrs.get("extra"))


def is_numbered(trial: FrozenTrial) -> bool:
    """Whether the trial ran under its own number."""
    return has_begun(trial) and trial.user_attrs.get("counts", True)


def number_of(trial: FrozenTrial) -> int:
    """The number shown to users."""
    return int(trial.user_attrs.get("ran", trial.number))


def about_measured(measured: Measured) -> dict[str, Any]:
    """The measurements of a trial as JSON values, for the storage."""
    return {
        "metrics": measured.metrics,
        "values": {name: _packed(values) for name, values in measured.values.items()},
        "n_queries": max((len(values) for values in measured.values.values()), default=0),
        "seconds": measured.seconds,
        "alone": measured.alone,
        "reused": list(measured.reused),
        "texts_wanted": sum(calls.asked for calls in measured.calls.values() if calls.is_model),
        "texts_missing": sum(calls.failed for calls in measured.calls.values() if calls.is_model),
    }


def read_finished(trial: FrozenTrial, state: str, point: Point) -> Finished:
    """A finished trial, from the values of :func:`about_measured`."""
    measured = trial.user_attrs.get("measured", {})
    return Finished(
        number_of(trial),
        state,
        point,
        measured.get("metrics", {}),
        {name: unpacked(text) for name, text in measured.get("values", {}).items()},
        measured.get("n_queries", 0),
        measured.get("seconds", 0.0),
        measured.get("alone", 0.0),
        trial.user_attrs.get("reason", ""),
        dict(trial.constraints) if state == "complete" else {},
        measured.get("reused", ()),
        measured.get("texts_wanted", 0),
        measured.get("texts_missing", 0),
    )


def _packed(values: Floats) -> str:
    """Pack numbers without loss into a short text, since databases limit text lengths."""
    return base64.b64encode(zlib.compress(values.astype("<f8").tobytes())).decode()


def unpacked(text: str) -> Floats:
    """The numbers written by :func:`about_measured`, float64 [n]."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<f8")
