"""Importance of each parameter of a sweep, if there are enough trials."""

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
"""Fewest complete trials: with fewer, shares change with every trial."""

_PER_PARAMETER = 3
"""Complete trials required per parameter."""


@dataclass(frozen=True)
class Importance:
    """Shares of the parameters, or the reason why there are none.

    Args:
        shares: Parameters with the share of the variance they explain, largest first; empty without enough trials.
        reason: The reason why ``shares`` is empty.
    """

    shares: Sequence[tuple[Parameter, float]] = ()
    reason: str = ""


def importance(sweep: Sweep, trials: Sequence[Finished]) -> Importance:
    """Share of the variance of the first objective explained by each parameter in an additive model, largest first.

    The model is the ridge regression of the sampler ``additive``, over all complete trials, without interactions.
    Shares are only given if it predicts held-out trials better than their mean does (leave-one-out, in closed form for
    ridge regression), and with at least :data:`LEAST` trials and three per parameter.

    Args:
        sweep: The sweep with its space and objective.
        trials: The finished trials.
    """
    space, objective = sweep.space, sweep.goals[0]
    done = [trial for trial in trials if trial.state == "complete"]
    required = max(LEAST, _PER_PARAMETER * len(space.parameters))
    if len(done) < required:
        return Importance(reason=f"{len(done)} complete trials are too few: it takes {required}")
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
    leverage = np.einsum("ij,jk,ik->i", features, inverse, features) + 1 / len(done)  # plus that of the mean
    unseen = (scores - features @ weights) / np.maximum(1 - leverage, 1e-9)
    by_mean = scores * len(done) / (len(done) - 1)
    if (unseen**2).sum() >= (by_mean**2).sum():
        return Importance(
            reason=f"an additive model does not predict {metric} of held-out trials: {len(done)} "
            "trials give no stable shares"
        )
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    spread = [float((part @ own).var()) for part, own in zip(parts, np.split(weights, ends), strict=True)]
    total = sum(spread) or 1.0
    shares = [(parameter, value / total) for parameter, value in zip(space.parameters, spread, strict=True)]
    return Importance(sorted(shares, key=lambda entry: -entry[1]))
