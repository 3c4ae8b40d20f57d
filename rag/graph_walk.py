"""Documents found by a random walk that begins at the best candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Floats, Ints, top_k_of_scores
from rag.component import Inherited, Tunable
from rag.embedders.base import Embedder
from rag.on_neighbors import OnNeighbors

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["Edges", "Hubs", "RelevanceWeight", "Restart", "Seeds", "WalksGraph", "page_rank", "transitions"]

Edges = Annotated[int, Field(ge=1, le=1024)]
Seeds = Annotated[int, Field(ge=1), Tunable(choices=(5, 10, 20), gain=0.002)]
Restart = Annotated[float, Field(gt=0, le=1), Tunable(choices=(0.3, 0.5, 0.7), gain=0.002)]
Hubs = Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.0, 0.5, 1.0), gain=0.001)]
RelevanceWeight = Annotated[float, Field(ge=0, le=1), Tunable(choices=(0.5, 0.7, 0.9), gain=0.003)]

_STEPS = 20
"""Steps of the walk; what is left to change after them is ``(1 - restart) ** 20``."""
_TOGETHER = 1 << 22
"""Probabilities held at a time: 16 MiB."""


class WalksGraph(OnNeighbors):
    """Walks the graph of neighbors from a list's best passages, with restarts, and blends where it arrives into the
    list.

    Args:
        embedder: Gives the vectors that tell who is near; the pipeline's retriever's, when none is given.
        neighbours: Edges of each passage in the graph, which is the same as that of ``graph_adaptive``.
        seeds: Candidates that the walk begins at, by their scores.
        restart: Probability of returning to them at every step: high values stay near.
        hubs: How much it counts against a passage to have many edges, 0 to 1: at 1 where the walk arrives is divided by
            the number of edges, which is where a walk without restarts would be.
        relevance_weight: Weight of the candidates' scores against the walk, 0 to 1; 1 keeps the list, 0 returns the
            walk alone.
        top_k: Documents kept.
    """

    def __init__(
        self,
        *,
        embedder: Annotated[Embedder | None, Inherited()] = None,
        neighbours: Edges = 16,
        seeds: Seeds = 10,
        restart: Restart = 0.5,
        hubs: Hubs = 0.5,
        relevance_weight: RelevanceWeight = 0.7,
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        self.embedder = embedder
        self.neighbours = neighbours
        self.seeds = seeds
        self.restart = restart
        self.hubs = hubs
        self.relevance_weight = relevance_weight
        self.top_k = top_k

    _transitions: Any = None

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._transitions = None

    def update(self, context: UpdateContext, kept: Ints) -> None:
        super().update(context, kept)
        self._transitions = None

    def walked(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        """The candidates and what the walk from them finds, best first.

        Args:
            batch: The queries, whose filters are honored.
            candidates: Their lists, [n, k].
        """
        graph = self.graph
        if self._transitions is None:
            self._transitions = transitions(graph)
        step = max(1, _TOGETHER // max(len(graph), 1))
        starts = range(0, len(candidates), step)
        tables = [self._some(batch, candidates, slice(first, first + step)) for first in starts]
        return Candidates.stacked(tables).best_per_document(self.top_k) if tables else candidates

    def _some(self, batch: QueryBatch, candidates: Candidates, rows: slice) -> Candidates:
        table, passages = candidates.rows(rows), self.passages
        n, m = len(table), len(passages)
        relevance = np.zeros((n, m), dtype=np.float32)
        row, column = np.nonzero(table.mask)
        scaled = _scaled(table.scores, table.mask)
        relevance[row, table.passages[row, column]] = scaled[row, column]
        start = np.zeros((n, m), dtype=np.float32)
        row, column = np.nonzero(table.head(self.seeds).mask)
        start[row, table.passages[row, column]] = scaled[row, column] + np.float32(1e-6)
        walk, degree = self._transitions
        arrived = page_rank(walk, start, self.restart)
        arrived /= (degree / degree.mean()) ** np.float32(self.hubs)
        arrived /= np.maximum(arrived.max(axis=1, keepdims=True), np.float32(1e-30))
        reached = arrived > 0
        row, column = np.nonzero(table.mask)
        reached[row, table.passages[row, column]] = True
        scores = self.relevance_weight * relevance + (1 - self.relevance_weight) * arrived
        for group in batch.view(rows=np.arange(len(batch))[rows]).groups(passages):
            if group.allowed is not None:
                hidden = np.ones(m, dtype=bool)
                hidden[group.allowed] = False
                mine = np.zeros(n, dtype=bool)
                mine[group.rows] = True
                reached[np.ix_(mine, hidden)] = False
        scores = np.where(reached, scores, np.float32(-np.inf))
        listed, best = top_k_of_scores(scores, min(m, self.top_k * max(1, passages.most_per_document)))
        documents = np.where(listed >= 0, passages.document[np.maximum(listed, 0)], PADDING)
        return Candidates.from_scores(documents, best, listed)


def transitions(graph: Ints) -> tuple[Any, Floats]:
    """Probabilities of going from one passage to another along an edge in either direction, all alike, CSR float32
    [n, n] with the origin in columns; and the number of edges of each passage, float32 [n]. A passage without any
    neighbor stays where it is.

    Args:
        graph: Neighbors of each passage, int [n, k]; below 0 for none.
    """
    import scipy.sparse as sp

    n = len(graph)
    row, column = np.nonzero(np.asarray(graph) >= 0)
    edges = sp.coo_array((np.ones(len(row), dtype=np.float32), (row, graph[row, column])), shape=(n, n)).tocsr()
    edges = edges.maximum(edges.T)
    degree = np.asarray(edges.sum(axis=1), dtype=np.float32).ravel()
    alone = np.flatnonzero(degree == 0)
    loops = sp.coo_array((np.ones(len(alone), dtype=np.float32), (alone, alone)), shape=(n, n))
    degree = np.where(degree == 0, np.float32(1), degree)
    steps: Any = (edges + loops) @ sp.diags_array(1 / degree)
    walk = sp.csr_array(steps.astype(np.float32))
    return walk, degree


def page_rank(walk: Any, start: Floats, restart: float) -> Floats:
    """Where a walk is that begins at ``start`` and returns there with probability ``restart`` at every step
    (personalized PageRank, Haveliwala 2002), float32 [n, m]; zeros for a row without a start.

    Args:
        walk: Probabilities of steps, CSR float32 [m, m], origins in columns.
        start: Weights of the passages it begins at, float32 [n, m].
        restart: From 0 to 1.
    """
    total = start.sum(axis=1, keepdims=True)
    origin = np.ascontiguousarray((start / np.where(total > 0, total, 1)).T, dtype=np.float32)
    at = origin
    for _ in range(_STEPS):
        at = np.float32(restart) * origin + np.float32(1 - restart) * (walk @ at)
    return np.asarray(at.T, dtype=np.float32)


def _scaled(scores: Floats, mask: Any) -> Floats:
    """Scores of each row from 1, the best, to 0, the last; 0 at padding."""
    low = np.where(mask, scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    high = np.where(mask, scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.where(mask, np.where(high > low, (np.where(mask, scores, 0) - low) / span, 1), 0).astype(np.float32)
