"""Sweeps: tune a whole pipeline, share every common step, and report results on unseen queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.hpo.auto.recommend import recommend
    from rag.hpo.planning import plan
    from rag.hpo.results.result import SweepResult
    from rag.hpo.samplers.additive import Additive
    from rag.hpo.samplers.greedy import Greedy
    from rag.hpo.samplers.grid import Grid
    from rag.hpo.samplers.map_elites import MapElites
    from rag.hpo.samplers.optuna import GP, NSGA2, TPE
    from rag.hpo.samplers.random import Random
    from rag.hpo.samplers.random_decompositions import RandomDecompositions
    from rag.hpo.space.distributions import Categorical, Choice, FloatRange, IntRange, MaybePresent
    from rag.hpo.sweep import Sweep, read_sweep
    from rag.hpo.tuning import tune

__all__ = [
    "GP",
    "NSGA2",
    "TPE",
    "Additive",
    "Categorical",
    "Choice",
    "FloatRange",
    "Greedy",
    "Grid",
    "IntRange",
    "MapElites",
    "MaybePresent",
    "Random",
    "RandomDecompositions",
    "Sweep",
    "SweepResult",
    "plan",
    "read_sweep",
    "recommend",
    "tune",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        **dict.fromkeys(
            ("Categorical", "Choice", "FloatRange", "IntRange", "MaybePresent"), "rag.hpo.space.distributions"
        ),
        **dict.fromkeys(("GP", "NSGA2", "TPE"), "rag.hpo.samplers.optuna"),
        "Additive": "rag.hpo.samplers.additive",
        "recommend": "rag.hpo.auto.recommend",
        "Greedy": "rag.hpo.samplers.greedy",
        "Grid": "rag.hpo.samplers.grid",
        "MapElites": "rag.hpo.samplers.map_elites",
        "Random": "rag.hpo.samplers.random",
        "RandomDecompositions": "rag.hpo.samplers.random_decompositions",
        "Sweep": "rag.hpo.sweep",
        "SweepResult": "rag.hpo.results.result",
        "plan": "rag.hpo.planning",
        "read_sweep": "rag.hpo.sweep",
        "tune": "rag.hpo.tuning",
    },
)
