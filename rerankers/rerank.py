"""Scoring the head of the list exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Candidates
from rag.component import Need
from rag.errors import ConfigError
from rag.rerankers.base import Scorer
from rag.rerankers.blend import (
    Blend,
    blended,
    fixed_weight,
    load_weight,
    needs_of,
    save_weight,
    training_sample,
    tuned_weight,
)
from rag.stage import Stage

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.context import FitContext

__all__ = ["Rerank"]


class Rerank(Stage):
    """Scores the best ``budget`` candidates with a scorer and orders them by it; the rest, whose scores could not be
    compared, is dropped.

    Args:
        scorer: What scores.
        budget: Candidates scored per query, at most: the price.
        blend: Weight of the first stage in the returned order, by rank fusion; ``tuned`` takes the best for training
            queries. None returns the scorer's own scores.
        top_k: Documents kept; None keeps all that were scored.
    """

    type = "rerank"

    def __init__(
        self,
        *,
        scorer: Scorer,
        budget: Annotated[int, Field(ge=1)] = 100,
        blend: Blend = None,
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        if top_k is not None and top_k > budget:
            raise ConfigError(f"must be at most the budget ({budget}), got {top_k}", parameter="top_k")
        self.scorer = scorer
        self.budget = budget
        self.blend = blend
        self.top_k = top_k
        self._weight = fixed_weight(blend)

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return needs_of(self.blend)

    @property
    def _caches_state(self) -> bool:
        """Scores are in the store; the weight is learnt from them again in no time."""
        return False

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        if self.blend == "tuned":
            batch, candidates = training_sample(context)
            self._weight = tuned_weight(self._scored(batch, candidates), candidates, batch, context)

    def save_state(self, folder: Path) -> None:
        save_weight(folder, self.blend, self._weight)

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._weight = load_weight(folder, self.blend)

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        scored = self._scored(batch, candidates)
        if self._weight is not None:
            scored = blended(scored, candidates, self._weight)
        return scored.head(self.top_k) if self.top_k else scored

    def _scored(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        head = candidates.head(self.budget)
        rows, columns = np.nonzero(head.mask)
        scores = np.full(head.scores.shape, -np.inf, dtype=np.float32)
        scores[rows, columns] = self.scorer.score(batch, rows, head.passages[rows, columns])
        return head.rescored(scores)
