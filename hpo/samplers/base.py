"""The contract of a sampler.

A sampler keeps no state: a new one is made for every trial, and its proposals depend only on the seed and on the trials
so far. So a sweep that was killed goes on as if nothing had happened, and the same seed gives the same trials.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from rag.component import Component
from rag.errors import ConfigError
from rag.hpo.samplers.history import History
from rag.hpo.space.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study

__all__ = ["Sampler"]


class Sampler(Component):
    """Decides which point of the space is tried next."""

    kind: ClassVar[str] = "sampler"

    objectives: ClassVar[int | None] = None
    """The largest number of objectives that the sampler can take; None for any number."""

    def check(self, space: Space, n_objectives: int) -> None:
        """Refuse a sweep that the sampler cannot handle.

        Raises:
            ConfigError: Too many objectives, or a space it cannot handle.
        """
        if self.objectives is not None and n_objectives > self.objectives:
            raise ConfigError(
                f"the sampler {self.spec.label} takes one objective, and there are {n_objectives}: use tpe or nsga2"
            )

    @abstractmethod
    def optuna(self, space: Space, *, seed: int, number: int) -> BaseSampler:
        """The Optuna sampler of one trial.

        Args:
            space: The space to search.
            seed: The seed of the sweep.
            number: The number of trials that have begun before this one.
        """

    def exhausted(self, space: Space, study: Study, *, seed: int) -> bool:
        """Whether there is nothing left to try."""
        return space.points is not None and len(History.of(study, space)) >= len(space.points)
