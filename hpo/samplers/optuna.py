"""Optuna's samplers, with the settings that suit sweeps of tens of trials."""

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


def _seed(seed: int, number: int) -> int:
    """A seed of its own for every trial: samplers are made anew and would else all draw the same."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


class TPE(Sampler):
    """Tree-structured Parzen estimator: tries what is likelier among the good trials than among the rest.

    Parameters are modeled together, those of one branch among the trials that have it; parallel trials are told
    apart by taking running ones for bad (Optuna's ``multivariate``, ``group`` and ``constant_liar``). For any number of
    objectives.

    Args:
        startup: Trials at random before the model is used. Optuna's default is 10, as many as a short sweep has.
    """

    type = "tpe"

    def __init__(self, *, startup: Annotated[int, Field(ge=1)] = 5) -> None:
        self.startup = startup

    def optuna(self, space: Space, *, seed: int, number: int) -> BaseSampler:
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import TPESampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(
                n_startup_trials=self.startup,
                multivariate=True,
                group=any(parameter.conditions != ({},) for parameter in space.parameters),
                constant_liar=True,
                seed=_seed(seed, number),
            )


class GP(Sampler):
    """Bayesian optimization with a Gaussian process. For few parameters, most of them numbers, and expensive trials.

    Args:
        startup: Trials at random before the model is used.
    """

    type = "gp"

    def __init__(self, *, startup: Annotated[int, Field(ge=1)] = 5) -> None:
        self.startup = startup

    def optuna(self, space: Space, *, seed: int, number: int) -> BaseSampler:
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import GPSampler

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return GPSampler(n_startup_trials=self.startup, warn_independent_sampling=False, seed=_seed(seed, number))


class NSGA2(Sampler):
    """Genetic algorithm for several objectives, in generations. For hundreds of trials.

    Args:
        population: Trials of a generation.
    """

    type = "nsga2"
    objectives: ClassVar[int | None] = None

    def __init__(self, *, population: Annotated[int, Field(ge=2)] = 20) -> None:
        self.population = population

    def optuna(self, space: Space, *, seed: int, number: int) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=self.population, seed=_seed(seed, number))
