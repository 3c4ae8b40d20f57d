"""The trials of a study as seen by samplers: points with scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rag.hpo.space.point import Point, PointKey, point_key
from rag.hpo.space.space import Space

if TYPE_CHECKING:
    from optuna.study import Study

__all__ = ["History", "Tried"]


@dataclass(frozen=True)
class Tried:
    """A point that was tried.

    Args:
        point: The point.
        score: The value of the first objective, higher is better; minus infinity for a trial that failed or was stopped
            early, None while it runs.
        values: Values of all objectives of a complete trial, higher is better; else empty.
    """

    point: Point
    score: float | None
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class History:
    """The points tried so far.

    Args:
        tried: Each point once, in the order of the trials.
    """

    tried: Sequence[Tried]

    @cached_property
    def scores(self) -> Mapping[PointKey, float | None]:
        """Score by :func:`~rag.hpo.space.point.point_key`."""
        return {point_key(entry.point): entry.score for entry in self.tried}

    def __contains__(self, point: object) -> bool:
        return isinstance(point, Mapping) and point_key(point) in self.scores

    def __len__(self) -> int:
        return len(self.tried)

    @classmethod
    def of(cls, study: Study, space: Space) -> History:
        """Make the history of a study in a space; the first objective is the score."""
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        signs = [-1.0 if direction == StudyDirection.MINIMIZE else 1.0 for direction in study.directions]
        tried: dict[PointKey, Tried] = {}
        for trial in study.get_trials(deepcopy=False):
            if trial.state == TrialState.WAITING or trial.user_attrs.get("died") or not trial.params:
                continue
            score: float | None = -np.inf
            values: tuple[float, ...] = ()
            if trial.state == TrialState.COMPLETE:
                values = tuple(sign * value for sign, value in zip(signs, trial.values, strict=True))
                score = values[0]
            elif trial.state == TrialState.RUNNING:
                score = None
            point = space.written(trial.params)
            tried.setdefault(point_key(point), Tried(point, score, values))
        return cls(list(tried.values()))
