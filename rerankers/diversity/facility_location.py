"""Cover all relevant content with few documents."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Ints
from rag.component import Tunable
from rag.rerankers.diversity.base import Chooser, Depth, Embedded, best_left

__all__ = ["FacilityLocation"]


class FacilityLocation(Chooser):
    """Chooses documents that stand for all that is relevant in the head: greedily the most of
    ``sum_v w_v max_u s(u, v) + b sum_u relevance(u)`` over the chosen ``u`` and all ``v`` (semantic compression by
    submodular selection, arXiv 2507.19715). The greedy choice has at least 1 - 1/e of the best value (Nemhauser et al.
    1978), as the function is monotone and submodular.

    Args:
        embedder: Gives the passages' vectors; the retriever's, when none is given.
        relevance_weight: ``b``: what a document's own relevance counts beside what it stands for.
        temperature: ``w`` is the softmax of relevance divided by it: the smaller, the less the irrelevant tail is
            represented.
        depth: Candidates that are chosen from.
        n_chosen: Documents chosen; the others follow in their old order.
    """

    type = "facility_location"

    def __init__(
        self,
        *,
        embedder: Embedded = None,
        relevance_weight: Annotated[float, Field(ge=0), Tunable(choices=(0.1, 0.5, 2.0), gain=0.001)] = 0.5,
        temperature: Annotated[float, Field(gt=0)] = 0.2,
        depth: Depth = 50,
        n_chosen: Annotated[int, Field(ge=1)] = 10,
    ) -> None:
        self.embedder = embedder
        self.relevance_weight = relevance_weight
        self.temperature = temperature
        self.depth = depth
        self.n_chosen = n_chosen

    def choose(self, relevance: Floats, similarity: Floats, n: int) -> Ints:
        queries = np.arange(len(relevance))
        weights = np.exp(np.where(np.isneginf(relevance), -np.inf, (relevance - 1) / self.temperature))
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        taken = np.zeros(relevance.shape, dtype=bool)
        covered = np.zeros(relevance.shape, dtype=np.float32)
        chosen = np.empty((len(relevance), n), dtype=np.int64)
        for turn in range(n):
            more = np.maximum(similarity - covered[:, None, :], 0.0)
            gains = np.einsum("quv,qv->qu", more, weights) + self.relevance_weight * relevance / n
            chosen[:, turn] = best = best_left(gains, taken)
            taken[queries, best] = True
            covered = np.maximum(covered, similarity[queries, best])
        return chosen
