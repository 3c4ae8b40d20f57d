"""What a sampler is, and what samplers of ours share.

State of a sampler is never stored: a new one is made for every trial, and what it proposes hangs only on the seed and
on the trials so far. So a sweep that was killed goes on as if nothing had happened, and the same seed gives the same
trials.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rag.component import Component
from rag.errors import ConfigError
from rag.hpo.parameter import Point, PointKey, point_key
from rag.hpo.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study

    from rag.hpo.objectives import Objective
    from rag.hpo.trials import Finished

__all__ = ["History", "ProposingSampler", "Sampler", "Tried"]


@dataclass(frozen=True)
class Tried:
    """A point that was tried.

    Args:
        point: Where.
        score: The objective, higher is better; minus infinity when it failed or was stopped early, None while it runs.
    """

    point: Point
    score: float | None


@dataclass(frozen=True)
class History:
    """What was tried so far, in order, each point once."""

    tried: Sequence[Tried]

    @cached_property
    def scores(self) -> Mapping[PointKey, float | None]:
        """Score by :func:`~rag.hpo.space.point_key`."""
        return {point_key(one.point): one.score for one in self.tried}

    def __contains__(self, point: object) -> bool:
        return isinstance(point, Mapping) and point_key(point) in self.scores

    def __len__(self) -> int:
        return len(self.tried)

    @classmethod
    def of(cls, study: Study, space: Space) -> History:
        """The history of a study in a space; the first objective is the score."""
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        sign = -1.0 if study.directions[0] == StudyDirection.MINIMIZE else 1.0
        found: dict[PointKey, Tried] = {}
        for trial in study.get_trials(deepcopy=False):
            if trial.state == TrialState.WAITING or trial.user_attrs.get("died") or not trial.params:
                continue
            score: float | None = -np.inf
            if trial.state == TrialState.COMPLETE:
                score = sign * trial.values[0]
            elif trial.state == TrialState.RUNNING:
                score = None
            point = space.written(trial.params)
            found.setdefault(point_key(point), Tried(point, score))
        return cls(list(found.values()))


class Sampler(Component):
    """Decides which point of the space is tried next."""

    kind: ClassVar[str] = "sampler"

    objectives: ClassVar[int | None] = None
    """How many objectives it can take at most; None for any number."""

    def check(self, space: Space, n_objectives: int) -> None:
        """Refuse what it cannot do.

        Raises:
            ConfigError: Too many objectives, or a space it cannot handle.
        """
        if self.objectives is not None and n_objectives > self.objectives:
            raise ConfigError(
                f"the sampler {self.spec.label} takes one objective, and there are {n_objectives}: use tpe or nsga2"
            )

    @abstractmethod
    def optuna(self, space: Space, *, seed: int, number: int) -> BaseSampler:
        """A sampler for one trial.

        Args:
            space: Where to look.
            seed: Of the sweep.
            number: Of the trial among those that have one, from 0.
        """

    def chosen(self, space: Space, goal: Objective, trials: Sequence[Finished]) -> Finished | None:
        """The trial that it has come to itself, instead of ``choice`` of the sweep; None leaves it to that."""
        return None

    def notes(self, space: Space, goal: Objective, trials: Sequence[Finished]) -> Sequence[str]:
        """What it has to say of how it went."""
        return ()

    def exhausted(self, space: Space, study: Study, *, seed: int) -> bool:
        """Whether there is nothing left to try."""
        return space.points is not None and len(History.of(study, space)) >= len(space.points)


class ProposingSampler(Sampler):
    """A sampler that proposes whole points, knowing the tree."""

    @abstractmethod
    def propose(self, space: Space, history: History, *, seed: int) -> Point | None:
        """The next point; None when there is nothing left to try."""

    def optuna(self, space: Space, *, seed: int, number: int) -> BaseSampler:
        from rag.hpo.samplers.proposing import PointSampler

        return PointSampler(self, space, seed)

    def exhausted(self, space: Space, study: Study, *, seed: int) -> bool:
        return self.propose(space, History.of(study, space), seed=seed) is None


def unseen(space: Space, history: History, rng: np.random.Generator, tries: int = 1_000) -> dict[str, Any] | None:
    """A point at random that was not tried; None when there seems to be none."""
    if space.points is not None:
        left = space.untried(history.scores)
        return dict(left[int(rng.integers(len(left)))]) if left else None
    for _ in range(tries):
        point = space.draw(rng)
        if point is not None and point not in history:
            return point
    return None
