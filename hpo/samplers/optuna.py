"""Optuna's samplers, with settings that suit sweeps of tens of trials."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from rag.hpo.samplers.base import Sampler
from rag.hpo.space.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["GP", "NSGA2", "TPE"]


def _seed(seed: int, n_begun: int) -> int:
    """A separate seed for each trial, since a new sampler is made for each and all would draw the same."""
    return int(np.random.SeedSequence([seed, n_begun]).generate_state(1)[0])


class TPE(Sampler):
    """Tree-structured Parzen estimator: tries points that are likelier among the good trials than among the rest.

    Parameters are modeled jointly, those of a branch on the trials that have it; parallel trials are kept apart by
    rating running trials as bad (Optuna's ``multivariate``, ``group`` and ``constant_liar``). For any number of
    objectives.

    Args:
        startup: Random trials before the model is used. Optuna's default is 10, as many as a whole short sweep.
    """

    type = "tpe"

    def __init__(self, *, startup: Annotated[int, Field(ge=1)] = 5) -> None:
        self.startup = startup

    def optuna(self, space: Space, *, seed: int, n_begun: int) -> BaseSampler:
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import TPESampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(
                n_startup_trials=self.startup,
                multivariate=True,
                group=any(parameter.conditions != ({},) for parameter in space.parameters),
                constant_liar=True,
                seed=_seed(seed, n_begun),
            )


class GP(Sampler):
    """Bayesian optimization with a Gaussian process. For few parameters, most of them numbers, and expensive trials.

    Args:
        startup: Random trials before the model is used.
    """

    type = "gp"

    def __init__(self, *, startup: Annotated[int, Field(ge=1)] = 5) -> None:
        self.startup = startup

    def optuna(self, space: Space, *, seed: int, n_begun: int) -> BaseSampler:
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import GPSampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return GPSampler(n_startup_trials=self.startup, warn_independent_sampling=False, seed=_seed(seed, n_begun))


class NSGA2(Sampler):
    """Genetic algorithm for several objectives, in generations. For hundreds of trials.

    Args:
        population: Trials per generation.
    """

    type = "nsga2"
    objectives: ClassVar[int | None] = None

    def __init__(self, *, population: Annotated[int, Field(ge=2)] = 20) -> None:
        self.population = population

    def optuna(self, space: Space, *, seed: int, n_begun: int) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=self.population, seed=_seed(seed, n_begun))
