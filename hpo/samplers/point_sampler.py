"""Optuna's view of a proposing sampler: the whole point is chosen before the trial, then served name by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from rag.hpo.optuna_private import fixed_params
from rag.hpo.samplers.history import History
from rag.hpo.space.point import Point
from rag.hpo.space.space import Space

__all__ = ["PointSampler"]


class PointSampler(BaseSampler):
    """Optuna sampler for any study whose objective asks for the parameters of the space.

    Args:
        propose: Function for the next point, or None when nothing is left to try.
        space: The space to search.
        seed: The seed of the sweep.
    """

    def __init__(self, propose: Callable[[History], Point | None], space: Space, seed: int) -> None:
        self.propose, self.space, self.seed = propose, space, seed
        self._point: Point = {}
        self._other = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if fixed_params(trial) is not None:  # enqueued
            self._point = {}
            return
        point = self.propose(History.of(study, self.space))
        if point is None:
            study.stop()
            point = self.space.complete({}, np.random.default_rng([self.seed, trial.number]))
        self._point = point

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if param_name in self._point:
            return self._point[param_name]
        return self._other.sample_independent(study, trial, param_name, param_distribution)
