"""Samplers of ours as Optuna sees them: the whole point is chosen before the trial, then handed out name by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from rag.hpo.parameter import Point
from rag.hpo.samplers.base import History, ProposingSampler
from rag.hpo.space import Space

__all__ = ["PointSampler"]


class PointSampler(BaseSampler):
    """Works in any study whose objective asks for the parameters of the space.

    Args:
        sampler: Proposes points.
        space: The space.
        seed: Of the sweep.
    """

    def __init__(self, sampler: ProposingSampler, space: Space, seed: int) -> None:
        self.sampler, self.space, self.seed = sampler, space, seed
        self._point: Point = {}
        self._other = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if "fixed_params" in trial.system_attrs:  # enqueued
            self._point = {}
            return
        point = self.sampler.propose(self.space, History.of(study, self.space), seed=self.seed)
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
