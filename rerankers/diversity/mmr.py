"""Maximal marginal relevance."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Ints
from rag.component import Tunable
from rag.rerankers.diversity.base import Chooser, Depth, Embedded, best_left

__all__ = ["MMR"]


class MMR(Chooser):
    """Each next document is relevant and unlike those chosen (Carbonell and Goldstein, SIGIR 1998):
    ``w relevance - (1 - w) max similarity``. Relevance is the scores scaled from 0 to 1 over the head, so that both
    have one scale whatever made the scores.

    Args:
        embedder: Gives the passages' vectors; the retriever's, when none is given.
        relevance_weight: Weight of relevance against novelty, 0 to 1; 1 keeps the order.
        depth: Candidates that are chosen from.
        n_chosen: Documents chosen; the others follow in their old order.
    """

    type = "mmr"

    def __init__(
        self,
        *,
        embedder: Embedded = None,
        relevance_weight: Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.5, 0.7, 0.9), gain=0.001)] = 0.7,
        depth: Depth = 50,
        n_chosen: Annotated[int, Field(ge=1)] = 10,
    ) -> None:
        self.embedder = embedder
        self.relevance_weight = relevance_weight
        self.depth = depth
        self.n_chosen = n_chosen

    def choose(self, relevance: Floats, similarity: Floats, n: int) -> Ints:
        queries = np.arange(len(relevance))
        taken = np.zeros(relevance.shape, dtype=bool)
        nearest = np.zeros(relevance.shape, dtype=np.float32)
        chosen = np.empty((len(relevance), n), dtype=np.int64)
        for turn in range(n):
            gains = self.relevance_weight * relevance - (1 - self.relevance_weight) * nearest
            chosen[:, turn] = best = best_left(gains, taken)
            taken[queries, best] = True
            nearest = np.maximum(nearest, similarity[queries, best])
        return chosen
