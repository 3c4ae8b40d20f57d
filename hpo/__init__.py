"""Sweeps: tuning the whole pipeline, sharing every common step, reporting what holds on unseen queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from hpo.distributions import Categorical, Choice, Float, Int, Optional
    from hpo.planning import plan
    from hpo.result import SweepResult
    from hpo.samplers.additive import Additive
    from hpo.samplers.greedy import Greedy
    from hpo.samplers.grid import Grid
    from hpo.samplers.optuna import GP, NSGA2, TPE
    from hpo.samplers.random import Random
    from hpo.sweep import Sweep, read_sweep
    from hpo.tuning import tune

__all__ = [
    "GP",
    "NSGA2",
    "TPE",
    "Additive",
    "Categorical",
    "Choice",
    "Float",
    "Greedy",
    "Grid",
    "Int",
    "Optional",
    "Random",
    "Sweep",
    "SweepResult",
    "plan",
    "read_sweep",
    "tune",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        **dict.fromkeys(("Categorical", "Choice", "Float", "Int", "Optional"), "hpo.distributions"),
        **dict.fromkeys(("GP", "NSGA2", "TPE"), "hpo.samplers.optuna"),
        "Additive": "hpo.samplers.additive",
        "Greedy": "hpo.samplers.greedy",
        "Grid": "hpo.samplers.grid",
        "Random": "hpo.samplers.random",
        "Sweep": "hpo.sweep",
        "SweepResult": "hpo.result",
        "plan": "hpo.planning",
        "read_sweep": "hpo.sweep",
        "tune": "hpo.tuning",
    },
)
