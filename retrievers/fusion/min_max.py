"""Scores scaled to [0, 1]."""

from __future__ import annotations

import numpy as np

from rag.candidates import Candidates
from rag.retrievers.fusion.base import Doubles, Fusion

__all__ = ["MinMax"]


class MinMax(Fusion):
    """Scales each list to [0, 1] per query, lowest to 0 and best to 1; a document that is not in the list gets 0.

    A list whose scores are all equal counts 1 for each. Better than RRF on most of BEIR (Bruch, Gai and Ingber, 2023,
    study it as convex combination).
    """

    type = "min_max"

    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        n, width = candidates.scores.shape
        if not width:
            return np.zeros((n, 0)), np.zeros(n)
        scores = np.where(candidates.mask, candidates.scores, np.inf).astype(np.float64)
        low = np.where(candidates.mask.any(axis=1), scores.min(axis=1), 0.0)[:, None]
        high = np.where(candidates.mask[:, 0], candidates.scores[:, 0], 0.0).astype(np.float64)[:, None]
        spread = high - low
        values = np.where(
            spread > 0, (np.where(candidates.mask, scores, low) - low) / np.where(spread > 0, spread, 1), 1.0
        )
        return values, np.zeros(n)
