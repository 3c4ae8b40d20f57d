"""Scores in standard deviations."""

from __future__ import annotations

import numpy as np

from rag.candidates import Candidates
from rag.retrievers.fusion.base import Doubles, Fusion
from rag.tables import standardized

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
        values = standardized(candidates.scores, mask)
        return values, values.min(axis=1)
