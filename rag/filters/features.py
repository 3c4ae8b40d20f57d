"""Features of the shape of a list of scores."""

from __future__ import annotations

import numpy as np

from rag.candidates import Candidates, Floats
from rag.tables import centered

__all__ = ["in_deviations", "list_features"]

_RANKS = np.array([1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000]) - 1
"""Ranks whose scores are features."""

_LEAST_SPREAD = 1e-6


def list_features(candidates: Candidates, depth: int) -> Floats:
    """The shape of each list, float32 [n, features].

    Mean, standard deviation and its logarithm; the scores at ranks 1, 2, 3, 5, 10, 20, ..., raw and in standard
    deviations from the mean; the distance of each from the first and from the one before; the logarithm of the length.
    Beyond its end, a list repeats its last score; an empty list has zeros.

    Args:
        candidates: The lists.
        depth: Length of the longest list of the training queries: ranks beyond it are ignored.
    """
    z, mean, spread = in_deviations(candidates)
    counts = candidates.counts
    if not candidates.scores.size:
        z = np.zeros((len(candidates), 1), dtype=np.float32)
    ranks = _RANKS[: np.searchsorted(_RANKS, max(depth, 1))]
    at = np.minimum(ranks, np.maximum(counts[:, None] - 1, 0))
    lead = np.where(counts[:, None] > 0, np.take_along_axis(z, at, 1), 0)
    raw = lead * spread + mean
    parts = [
        mean,
        spread,
        np.log(spread),
        raw,
        lead,
        raw[:, :1] - raw[:, 1:],
        raw[:, :-1] - raw[:, 1:],
        np.log1p(counts)[:, None],
    ]
    return np.concatenate(parts, axis=1).astype(np.float32, copy=False)


def in_deviations(candidates: Candidates) -> tuple[Floats, Floats, Floats]:
    """Scores in standard deviations from the mean of their list, float32 [n, k], ``-inf`` at padding; and both,
    float32 [n, 1], the deviation at least a millionth. The order of a row stays.
    """
    mask = candidates.mask
    deviations, mean, spread = centered(candidates.scores, mask)
    spread = np.maximum(spread, np.float32(_LEAST_SPREAD))
    z = deviations / spread
    return (z if mask.all() else np.where(mask, z, np.float32(-np.inf))), mean, spread
