"""What a list of scores says about itself before any cut."""

from __future__ import annotations

import numpy as np

from rag.candidates import Candidates, Floats

__all__ = ["list_features", "standardized"]

_RANKS = np.array([1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000]) - 1
"""Places in the list that are looked at."""

_LEAST_SPREAD = 1e-6


def list_features(candidates: Candidates, depth: int) -> Floats:
    """The shape of each list, float32 [n, features].

    Mean, standard deviation and its logarithm; the scores at ranks 1, 2, 3, 5, 10, 20, ..., as they are and in standard
    deviations from the mean; how far each lies below the first and below the one before; the logarithm of the length.
    A list that ends before a rank shows its last score there; an empty one shows zeros.

    Args:
        candidates: The lists.
        depth: Length of the longest list of the training queries: ranks beyond it are not looked at.
    """
    z, mean, spread = standardized(candidates)
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


def standardized(candidates: Candidates) -> tuple[Floats, Floats, Floats]:
    """Scores in standard deviations from the mean of their list, float32 [n, k], ``-inf`` at padding; and both,
    float32 [n, 1]. The order of a row stays.
    """
    mask = candidates.mask
    n = np.maximum(mask.sum(axis=1, keepdims=True, dtype=np.float32), np.float32(1))
    if mask.all():
        scores = filled = candidates.scores
    else:
        scores, filled = candidates.scores, np.where(mask, candidates.scores, np.float32(0))
    mean = filled.sum(axis=1, keepdims=True) / n
    centered = filled - mean
    if filled is not scores:
        centered *= mask
    spread = np.sqrt(np.einsum("ij,ij->i", centered, centered)[:, None] / n)
    spread = np.maximum(spread, np.float32(_LEAST_SPREAD))
    z = centered / spread
    return (z if filled is scores else np.where(mask, z, np.float32(-np.inf))), mean, spread
