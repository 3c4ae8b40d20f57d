"""Scores in standard deviations."""

from __future__ import annotations

import numpy as np

from rag.candidates import Candidates
from rag.retrievers.fusion.base import Doubles, Fusion

__all__ = ["ZScore"]


class ZScore(Fusion):
    """Scales each list to mean 0 and standard deviation 1 per query; a document that is not in the list gets the list's
    lowest value. A list whose scores are all equal counts 0.
    """

    type = "z_score"

    def contributions(self, candidates: Candidates) -> tuple[Doubles, Doubles]:
        mask = candidates.mask
        n, width = mask.shape
        if not width:
            return np.zeros((n, 0)), np.zeros(n)
        scores = np.where(mask, candidates.scores, 0.0).astype(np.float64)
        count = np.maximum(mask.sum(axis=1, keepdims=True), 1)
        mean = scores.sum(axis=1, keepdims=True) / count
        deviation = np.sqrt((np.where(mask, scores - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / count)
        values = np.where(mask, scores - mean, 0.0) / np.where(deviation > 1e-12, deviation, np.inf)
        return values, values.min(axis=1)
