"""Scoring the head of the list exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates
from rag.component import Tunable
from rag.rerankers.base import Scorer
from rag.rerankers.scoring import Blend, BlendingStage, Scores

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext

__all__ = ["Rerank"]


class Rerank(BlendingStage):
    """Scores the best ``budget`` candidates with a scorer and answers with a blend of its order and the first stage's;
    candidates that were not scored follow, as the first stage had them.

    Scores of the blend are those of reciprocal rank fusion. A filter that reads the scorer's own scores takes
    ``scores: scorer``.

    Args:
        scorer: The scorer.
        budget: Candidates scored per query, at most: the price.
        blend: Weight of the first stage's order from 0 to 1; ``tuned`` learns it from at most 200 training queries;
            ``auto``, the default, from at most 50 where there are any. Both take dev queries, where there are some; a
            scorer that does not help on them is left out, by weight 1. Without any, ``auto`` takes 0.75, and 1 for a
            scorer that does not know passages by some of their words (800 calls, once). At weight 1 nothing is scored.
        scores: ``blended``, or ``scorer``: only what was scored, in the scorer's order and with its scores.
        top_k: Documents kept; None keeps all.
    """

    type = "rerank"

    def __init__(
        self,
        *,
        scorer: Scorer,
        budget: Annotated[int, Field(ge=1), Tunable(choices=(20, 50, 100, 200), gain=0.004)] = 100,
        blend: Blend = "auto",
        scores: Scores = "blended",
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        self.scorer = scorer
        self.budget = budget
        self.blend = blend
        self.scores = scores
        self.top_k = top_k
        self._start()

    @property
    def scores_head(self) -> bool:  # type: ignore[override]
        return not self.blends  # a blend keeps the rest of the list

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._learn_weight(context)

    def ranked(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        head = candidates.head(self.budget)
        rows, columns = np.nonzero(head.mask)
        scores = np.full(head.scores.shape, -np.inf, dtype=np.float32)
        scores[rows, columns] = self.scorer.score(batch, rows, head.passages[rows, columns])
        scored = head.rescored(scores)
        return followed(scored, candidates, self.budget) if self.blends else scored


def followed(scored: Candidates, candidates: Candidates, budget: int) -> Candidates:
    """Scored documents, and below them the candidates from ``budget`` on, in their order. The scores are an order only:
    0, -1, -2 ...
    """
    tail = slice(budget, None)
    pad = ((0, 0), (0, min(budget, candidates.documents.shape[1]) - scored.documents.shape[1]))
    positions = np.concatenate(
        [np.pad(scored.documents, pad, constant_values=PADDING), candidates.documents[:, tail]], axis=1
    )
    passages = np.concatenate(
        [np.pad(scored.passages, pad, constant_values=PADDING), candidates.passages[:, tail]], axis=1
    )
    order = -np.arange(positions.shape[1], dtype=np.float32)
    return Candidates.from_scores(positions, np.broadcast_to(order, positions.shape), passages)
