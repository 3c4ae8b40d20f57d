"""Scoring the head of the list exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Candidates
from rag.errors import ConfigError
from rag.stage import Stage
from rerankers.base import Scorer

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["Rerank"]


class Rerank(Stage):
    """Scores the best ``budget`` candidates with a scorer and orders them by it; the rest, whose scores could not be
    compared, is dropped.

    Args:
        scorer: What scores.
        budget: Candidates scored per query, at most: the price.
        top_k: Documents kept; None keeps all that were scored.
    """

    type = "rerank"

    def __init__(
        self,
        *,
        scorer: Scorer,
        budget: Annotated[int, Field(ge=1)] = 100,
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        if top_k is not None and top_k > budget:
            raise ConfigError(f"must be at most the budget ({budget}), got {top_k}", parameter="top_k")
        self.scorer = scorer
        self.budget = budget
        self.top_k = top_k

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        head = candidates.head(self.budget)
        rows, columns = np.nonzero(head.mask)
        scores = np.full(head.scores.shape, -np.inf, dtype=np.float32)
        scores[rows, columns] = self.scorer.score(batch, rows, head.passages[rows, columns])
        return head.rescored(scores, top_k=self.top_k)
