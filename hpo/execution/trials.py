"""Trials in Optuna's storage: the attributes written for a trial, and reading them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True)
class Finished:
    """A trial that was run.

    Args:
        number: Trials are numbered as they ran, from 0, over all starts of the sweep; a repeated one has the number of
            the trial whose result it has.
        state: ``complete``, ``stopped`` (early), ``failed``, or ``repeated`` (of another trial).
        point: Value by parameter.
        metrics: Value by metric; of a stopped trial on the queries searched.
        values: Value of each query by measure, float64 [n_queries].
        n_queries: Queries searched.
        seconds: Wall time in seconds.
        alone: Estimated wall time without the store, in seconds.
        reason: Why the trial failed; empty otherwise.
        excess: By how much it breaks each bound; 0 or below is within.
        reused: Names of the artifacts that came from the store.
        texts_wanted: Texts requested from language models.
        texts_missing: Texts requested that did not come.
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

    @property
    def feasible(self) -> bool:
        """Complete, and within all bounds."""
        return self.state == "complete" and all(excess <= 0 for excess in self.excess.values())


def has_begun(trial: FrozenTrial) -> bool:
    """Whether it is being run or was, by a process that did not die of it or was interrupted."""
    return trial.state.name != "WAITING" and not trial.user_attrs.get("died")


def counts(trial: FrozenTrial) -> bool:
    """Whether it is one of the sweep's ``n_trials``: no repetition, none taken over from another space, and none that
    was added to a sweep that had begun.
    """
    about = trial.user_attrs
    return has_begun(trial) and about.get("counts", True) and not about.get("taken_over") and not is_extra(trial)


def is_extra(trial: FrozenTrial) -> bool:
    """Whether it was enqueued after the sweep had begun."""
    return bool(trial.user_attrs.get("extra"))


def is_numbered(trial: FrozenTrial) -> bool:
    """Whether it has run under a number of its own."""
    return has_begun(trial) and trial.user_attrs.get("counts", True)


def number_of(trial: FrozenTrial) -> int:
    """Its number as people see it."""
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
    """A trial that is over, as :func:`about_measured` has it."""
    about = trial.user_attrs.get("measured", {})
    return Finished(
        number_of(trial),
        state,
        point,
        about.get("metrics", {}),
        {name: unpacked(text) for name, text in about.get("values", {}).items()},
        about.get("n_queries", 0),
        about.get("seconds", 0.0),
        about.get("alone", 0.0),
        trial.user_attrs.get("reason", ""),
        dict(trial.constraints) if state == "complete" else {},
        about.get("reused", ()),
        about.get("texts_wanted", 0),
        about.get("texts_missing", 0),
    )


def _packed(values: Floats) -> str:
    """Numbers to the last digit in few letters: databases bound the length of a text."""
    return base64.b64encode(zlib.compress(values.astype("<f8").tobytes())).decode()


def unpacked(text: str) -> Floats:
    """The numbers that :func:`about_measured` has written, float64 [n]."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<f8")
