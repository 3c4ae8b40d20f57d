"""Determinantal point processes: sets whose vectors span the largest volume."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Ints
from rag.component import Tunable
from rag.rerankers.diversity.base import Chooser, Depth, Embedded, best_left, no_padding

__all__ = ["DPP"]

_SPENT = 1e-6
"""Share of a document's volume below which it is a copy of what was chosen (similarities are float32)."""


class DPP(Chooser):
    """Chooses the likeliest set of a determinantal point process, greedily (Chen, Zhang and Zhou, NeurIPS 2018): the
    kernel is ``r_i s(i, j) r_j`` with ``r = exp(alpha relevance)``, so that a document counts for its relevance and for
    the part of its vector that the chosen ones do not span. A near copy of a chosen document comes last.

    Args:
        embedder: Gives the passages' vectors; the retriever's, when none is given.
        alpha: Weight of relevance against volume; 0 considers diversity alone.
        depth: Candidates that are chosen from.
        n_chosen: Documents chosen; the others follow in their old order.
    """

    type = "dpp"

    def __init__(
        self,
        *,
        embedder: Embedded = None,
        alpha: Annotated[float, Field(ge=0, le=50), Tunable(choices=(1.0, 3.0, 8.0), gain=0.001)] = 3.0,
        depth: Depth = 50,
        n_chosen: Annotated[int, Field(ge=1)] = 10,
    ) -> None:
        self.embedder = embedder
        self.alpha = alpha
        self.depth = depth
        self.n_chosen = n_chosen

    def choose(self, relevance: Floats, similarity: Floats, n: int) -> Ints:
        q, k = relevance.shape
        queries = np.arange(q)
        # log det of the set: twice the log of each r, and the log of the volume left (the incremental Cholesky).
        left = np.ones((q, k), dtype=np.float64)
        rows = np.zeros((q, k, n), dtype=np.float64)
        worth = 2 * self.alpha * np.where(np.isneginf(relevance), -np.inf, no_padding(relevance)).astype(np.float64)
        taken = np.zeros((q, k), dtype=bool)
        chosen = np.empty((q, n), dtype=np.int64)
        for turn in range(n):
            # Copies come behind everything else, by their relevance.
            gains = worth + np.where(left > _SPENT, np.log(np.maximum(left, _SPENT)), -1e4)
            chosen[:, turn] = best = best_left(gains.astype(np.float32), taken)
            taken[queries, best] = True
            root = np.sqrt(np.maximum(left[queries, best], _SPENT))
            along = np.einsum("qkt,qt->qk", rows[:, :, :turn], rows[queries, best, :turn])
            new = (similarity[queries, best] - along) / root[:, None]
            rows[:, :, turn] = new
            left = np.maximum(left - new**2, 0.0)
        return chosen
