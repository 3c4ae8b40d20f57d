"""The contract of a sampler.

A sampler keeps no state: a new one is made for every trial, and its proposals depend only on the seed and the trials
so far. So a killed sweep resumes unchanged, and the same seed gives the same trials.
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
    """Decides which point of the space to try next."""

    kind: ClassVar[str] = "sampler"

    objectives: ClassVar[int | None] = None
    """Maximum number of objectives; None for any number."""

    ends: ClassVar[bool] = False
    """Whether it decides by itself when nothing is left to try: ``n_trials`` is then no more than a bound."""

    def check(self, space: Space, n_objectives: int) -> None:
        """Refuse a sweep that the sampler cannot handle.

        Raises:
            ConfigError: There are too many objectives, or the sampler cannot handle the space.
        """
        if self.objectives is not None and n_objectives > self.objectives:
            raise ConfigError(
                f"the sampler {self.spec.label} takes one objective, and there are {n_objectives}: use tpe or nsga2"
            )

    @abstractmethod
    def optuna(self, space: Space, *, seed: int, n_begun: int) -> BaseSampler:
        """Make the Optuna sampler of one trial.

        Args:
            space: The space to search.
            seed: The seed of the sweep.
            n_begun: Number of trials begun before this one.
        """

    def exhausted(self, space: Space, study: Study, *, seed: int) -> bool:
        """Whether nothing is left to try."""
        return space.points is not None and len(History.of(study, space)) >= len(space.points)
