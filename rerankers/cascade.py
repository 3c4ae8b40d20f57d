"""A fast scorer first, and a better scorer for the pairs at the top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Ints
from rag.component import Tunable
from rag.rerankers.base import Scorer

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["Cascade"]


class Cascade(Scorer):
    """Scores all pairs of a query by one scorer, and those at the top once more by a better one.

    The better scorer decides among the ``keep`` best of each query, the quick one among the rest, which come after them
    (Matveeva et al. 2006). For ``rerank``: a score hangs on which other passages of the query are scored with it.

    Args:
        first: The quick one, such as ``max_sim`` or a small ``cross_encoder`` in int8.
        second: The better one.
        keep: Passages of each query that the better one scores.
    """

    type = "cascade"
    keeps_scores = False

    def __init__(
        self,
        *,
        first: Scorer,
        second: Scorer,
        keep: Annotated[int, Field(ge=1), Tunable(choices=(5, 10, 20), gain=0.005)] = 10,
    ) -> None:
        self.first = first
        self.second = second
        self.keep = keep

    def score(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        """Scores of pairs; both scorers count, check and keep their own."""
        if not len(rows):
            return np.empty(0, dtype=np.float32)
        scores = self.first.score(batch, rows, passages)
        uncertain = np.sort(_best(rows, scores, self.keep))
        better = self.second.score(batch, rows[uncertain], passages[uncertain])
        # The rest of a query follows the least of its better scores, with the quick scorer's differences.
        least = np.full(int(rows.max()) + 1, np.inf)
        np.minimum.at(least, rows[uncertain], better)
        rest = np.setdiff1d(np.arange(len(rows)), uncertain)
        most = np.full(len(least), -np.inf)
        np.maximum.at(most, rows[rest], scores[rest])
        step = np.maximum(np.abs(least), 1.0) * 1e-6
        result = np.empty(len(rows), dtype=np.float32)
        result[uncertain] = better
        result[rest] = (least[rows[rest]] - step[rows[rest]]) - (most[rows[rest]] - scores[rest])
        return result

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        return self.score(batch, rows, passages)


def _best(rows: Ints, scores: Floats, keep: int) -> Ints:
    """Positions of the best pairs of every query; the first of equal pairs."""
    order = np.lexsort((-scores, rows))
    first = np.searchsorted(rows[order], rows[order], side="left")
    best: Ints = order[np.arange(len(rows)) - first < keep]
    return best
