"""Cutting by the score as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Candidates
from rag.stage import Stage

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["Threshold"]


class Threshold(Stage):
    """Keeps candidates whose score is high enough; all conditions that are given must hold.

    Args:
        min_score: Keep scores of at least this. Its scale is that of the stage before: cosines lie in [-1, 1],
            cross-encoder logits do not.
        min_relative: Keep scores that fall short of the query's best by at most ``(1 - min_relative)`` of the best's
            size: 0.8 keeps everything from 80 % of the best score on. The best candidate always passes.
        top_k: Keep at most this many.
    """

    type = "threshold"
    keeps_lists = False

    def __init__(
        self,
        *,
        min_score: float | None = None,
        min_relative: Annotated[float, Field(ge=0, le=1)] | None = None,
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        self.min_score = min_score
        self.min_relative = min_relative
        self.top_k = top_k

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        if not candidates.scores.size:
            return candidates
        keep = candidates.mask
        if self.min_score is not None:
            keep = keep & (candidates.scores >= np.float32(self.min_score))
        if self.min_relative is not None:
            best = np.where(candidates.mask[:, :1], candidates.scores[:, :1], 0.0)
            keep = keep & (candidates.scores >= best - (1.0 - self.min_relative) * np.abs(best))
        return candidates.rescored(np.where(keep, candidates.scores, -np.inf), top_k=self.top_k)
