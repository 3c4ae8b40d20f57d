"""The contract of scorers."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from rag.candidates import Floats, Ints
from rag.component import Component
from rag.corpus.passages import Passages
from rag.errors import ModelError

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.context import FitContext

__all__ = ["Scorer"]


class Scorer(Component):
    """Judges (query, passage) pairs, at a price per pair."""

    kind: ClassVar[str] = "scorer"

    _passages: Passages | None = None

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._passages = context.passages

    def load_state(self, folder: object, context: FitContext) -> None:
        self._passages = context.passages

    @abstractmethod
    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        """Relevance of pairs, float32 [n], higher is better.

        Args:
            batch: The queries.
            rows: Which query, int64 [n]: positions in the batch, ascending.
            passages: Which passage, int64 [n]: positions among the passages it was fitted on.
        """

    def score(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        """:meth:`score_pairs`, counted as scorer calls and checked.

        Raises:
            ModelError: The wrong number of scores, or scores that are not finite.
        """
        if not len(rows):
            return np.empty(0, dtype=np.float32)
        scores = np.asarray(self.score_pairs(batch, rows, passages), dtype=np.float32)
        batch.ledger.spend(scorer_calls=len(rows))
        if scores.shape != (len(rows),):
            raise ModelError(f"the scorer {self.label()} gave scores of shape {scores.shape} for {len(rows)} pairs")
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            query = batch.queries[int(rows[bad[0]])]
            raise ModelError(
                f"the scorer {self.label()} gave NaN or infinite scores for {len(bad)} of {len(rows)} pairs, "
                f"the first for query '{query.id}'"
            )
        return scores
