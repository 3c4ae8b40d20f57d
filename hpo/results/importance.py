"""How much each parameter matters in a sweep, where there are enough trials to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.hpo.execution.trials import Finished
from rag.hpo.samplers.additive import Additive
from rag.hpo.space.parameter import Parameter
from rag.hpo.space.space import Space
from rag.hpo.sweep import Sweep

__all__ = ["LEAST", "Importance", "importance"]

LEAST = 10
"""The least number of complete trials, however few the parameters: shares of fewer change with every trial."""

_PER_PARAMETER = 3
"""Complete trials wanted for each parameter."""


@dataclass(frozen=True)
class Importance:
    """Shares of the parameters, or the reason why they are not given.

    Args:
        shares: Parameter and share of the variance that its part explains, most first; empty without enough trials.
        reason: The reason why ``shares`` is empty.
    """

    shares: Sequence[tuple[Parameter, float]] = ()
    reason: str = ""


def importance(sweep: Sweep, trials: Sequence[Finished]) -> Importance:
    """Share of the variance of the first objective that each parameter's part explains in an additive model, most
    first.

    The same ridge regression as the sampler ``additive`` has, over all complete trials. Interactions are not in it. It
    is told only when the model predicts trials that it has not seen better than their mean does (leave-one-out, in
    closed form for ridge regression), and when there are at least :data:`LEAST` trials and three a parameter.

    Args:
        sweep: The sweep, which has the space and the objective.
        trials: The trials that are over.
    """
    space, objective = sweep.space, sweep.goals[0]
    done = [trial for trial in trials if trial.state == "complete"]
    wanted = max(LEAST, _PER_PARAMETER * len(space.parameters))
    if len(done) < wanted:
        return Importance(reason=f"{len(done)} complete trials are too few to tell: it takes {wanted}")
    scores = np.array([trial.metrics[objective.metric] for trial in done])
    if np.ptp(scores) == 0:
        return Importance(reason=f"all trials are equally good in {objective.metric}")
    return _shares(space, done, scores - scores.mean(), objective.metric)


def _shares(space: Space, done: Sequence[Finished], scores: npt.NDArray[np.float64], metric: str) -> Importance:
    model = Additive()
    parts = [model.part(parameter, [trial.point for trial in done]) for parameter in space.parameters]
    features = np.concatenate(parts, axis=1)
    inverse = np.linalg.inv(features.T @ features + model.ridge * np.eye(features.shape[1]))
    weights = inverse @ features.T @ scores
    leverage = np.einsum("ij,jk,ik->i", features, inverse, features) + 1 / len(done)  # and of the mean
    unseen = (scores - features @ weights) / np.maximum(1 - leverage, 1e-9)
    by_mean = scores * len(done) / (len(done) - 1)
    if (unseen**2).sum() >= (by_mean**2).sum():
        return Importance(
            reason=f"a sum of one part a parameter does not predict {metric} of trials it has not seen: {len(done)} "
            "trials show no share that would last"
        )
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    spread = [float((part @ own).var()) for part, own in zip(parts, np.split(weights, ends), strict=True)]
    total = sum(spread) or 1.0
    shares = [(parameter, value / total) for parameter, value in zip(space.parameters, spread, strict=True)]
    return Importance(sorted(shares, key=lambda entry: -entry[1]))
