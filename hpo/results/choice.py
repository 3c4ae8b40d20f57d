"""Choose among trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rag.hpo.execution.trials import Finished
from rag.hpo.objectives import Direction
from rag.hpo.sweep import Sweep

__all__ = ["best_of", "one_standard_error", "pareto"]

Floats = npt.NDArray[np.float64]


def best_of(sweep: Sweep, trials: Sequence[Finished]) -> list[Finished]:
    """The feasible trials not beaten by another: the best ones with one objective, otherwise the Pareto front."""
    usable = [trial for trial in trials if trial.feasible]
    if not usable:
        return []
    values = np.array([[trial.metrics[goal.metric] for goal in sweep.goals] for trial in usable])
    return [usable[n] for n in pareto(values, [goal.direction for goal in sweep.goals])]


def pareto(values: Floats, directions: Sequence[Direction]) -> npt.NDArray[np.int64]:
    """Rows not dominated by another row that is as good everywhere and better somewhere. Equal rows all stay.

    Args:
        values: Values [n, n_objectives].
        directions: Direction of each objective.
    """
    better = values * _signs(directions)
    as_good = (better[:, None, :] >= better[None, :, :]).all(axis=2)
    beaten = as_good & ~as_good.T
    return np.flatnonzero(~beaten.any(axis=0))


def _signs(directions: Sequence[Direction]) -> Floats:
    return np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])


def one_standard_error(values: Floats, cost: Floats) -> int:
    """The cheapest row that is not worse than the best by more than one standard error of their paired difference.

    The usual rule of tree pruning (Breiman et al. 1984), but with the standard error of the *difference* on the same
    queries, which is much smaller than that of a mean: queries differ far more than pipelines.

    Args:
        values: Value of each trial and query, higher is better [n_trials, n_queries].
        cost: Cost of each trial [n_trials]; ties go to the better trial.
    """
    means = values.mean(axis=1)
    best = int(np.argmax(means))
    gap = values[best] - values
    n = values.shape[1]
    error = gap.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(values))
    near = np.flatnonzero(gap.mean(axis=1) <= error)
    return int(near[np.lexsort((-means[near], cost[near]))[0]])
