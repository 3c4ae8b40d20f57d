"""Reranking that walks from good documents to their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Floats, Ints
from rag.component import Inherited
from rag.corpus.passages import Passages
from rag.embedders.base import Embedder
from rag.on_neighbors import OnNeighbors
from rag.rerankers.base import Scorer
from rag.rerankers.cur.items import Mask
from rag.rerankers.scoring import ScoringStage
from rag.tables import is_in

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["GraphAdaptive"]


class GraphAdaptive(OnNeighbors, ScoringStage):
    """Scores the first stage's list and the neighbours of what scored best in turns (GAR: MacAvaney, Tonellotto and
    Macdonald, CIKM 2022).

    Every ``batch_size`` calls it changes between the head of the list and the frontier: unscored passages next to
    scored ones in a graph of nearest neighbours, in the order of the best score beside them. Departs from the paper in
    returning only what was scored, as ``rerank`` does, and not the rest of the list below it.

    Args:
        scorer: The scorer that the budget is spent on.
        embedder: Gives the vectors that tell who is near; those of a dense retriever with the same embedder are shared.
            The retriever's, when none is given.
        neighbours: Edges of each passage in the graph.
        budget: Scorer calls per query: the price.
        batch_size: Calls between two changes.
        top_k: Documents kept; None keeps all that were scored.
    """

    type = "graph_adaptive"

    def __init__(
        self,
        *,
        scorer: Scorer,
        embedder: Annotated[Embedder | None, Inherited()] = None,
        neighbours: Annotated[int, Field(ge=1, le=1024)] = 16,
        budget: Annotated[int, Field(ge=1)] = 100,
        batch_size: Annotated[int, Field(ge=1)] = 16,
        top_k: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        self.scorer = scorer
        self.embedder = embedder
        self.neighbours = neighbours
        self.budget = budget
        self.batch_size = batch_size
        self.top_k = top_k
        self._check_top_k()

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        graph, listed = self.graph, candidates.passages
        taken = np.full((len(batch), 0), PADDING, dtype=np.int64)
        exact = np.full((len(batch), 0), -np.inf, dtype=np.float32)
        allowed = _allowed(batch, self.passages)
        turn, left = 0, np.full(len(batch), self.budget)
        while left.any():
            size = int(min(self.batch_size, left.max()))
            head, frontier = _head(listed, taken, size), _frontier(graph, taken, exact, size, allowed)
            picks = _first_of(head, frontier, size) if turn % 2 == 0 else _first_of(frontier, head, size)
            picks[np.arange(size) >= left[:, None]] = PADDING
            rows, columns = np.nonzero(picks >= 0)
            if not len(rows):
                break
            new = np.full(picks.shape, -np.inf, dtype=np.float32)
            new[rows, columns] = self.scorer.score(batch, rows, picks[rows, columns])
            taken, exact = np.concatenate([taken, picks], axis=1), np.concatenate([exact, new], axis=1)
            turn, left = turn + 1, left - (picks >= 0).sum(axis=1)
        owners = np.where(taken >= 0, self.passages.document[np.maximum(taken, 0)], PADDING)
        return Candidates.from_scores(owners, exact, taken).best_per_document(self.top_k or self.budget)


def _head(listed: Ints, taken: Ints, size: int) -> Ints:
    """The best of the list that are not taken, int64 [q, <= size]."""
    left = np.where(is_in(listed, taken), PADDING, listed)
    return np.take_along_axis(left, np.argsort(left < 0, axis=1, kind="stable")[:, :size], 1)


def _allowed(batch: QueryBatch, passages: Passages) -> list[tuple[Any, Mask]]:
    """Rows of queries with a filter, and the passages that each may find, bool [n]."""
    allowed = []
    for group in batch.groups(passages):
        if group.allowed is not None:
            mask = np.zeros(len(passages), dtype=bool)
            mask[group.allowed] = True
            allowed.append((group.rows, mask))
    return allowed


def _frontier(graph: Ints, taken: Ints, exact: Floats, size: int, allowed: list[tuple[Any, Mask]]) -> Ints:
    """Untaken neighbors of taken passages, by the best neighbor's score, int64 [q, <= size]."""
    near = np.where(taken[..., None] >= 0, graph[np.maximum(taken, 0)], PADDING).astype(np.int64)
    near = near.reshape(len(taken), taken.shape[1] * graph.shape[1])
    scores = np.repeat(exact, graph.shape[1], axis=1)
    near = np.where(is_in(near, taken), PADDING, near)
    for rows, mask in allowed:
        near[rows] = np.where(mask[np.maximum(near[rows], 0)], near[rows], PADDING)
    return Candidates.from_scores(near, scores, near).best_per_document(size).documents


def _first_of(first: Ints, other: Ints, size: int) -> Ints:
    """Take items from the first pool, and the missing ones from the second."""
    both = np.concatenate([first, np.where(is_in(other, first), PADDING, other)], axis=1)
    picks = np.take_along_axis(both, np.argsort(both < 0, axis=1, kind="stable")[:, :size], 1)
    return np.pad(picks, ((0, 0), (0, size - picks.shape[1])), constant_values=PADDING)
