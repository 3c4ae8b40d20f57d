"""Reranking that walks from good documents to their neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Candidates, Floats, Ints, Vectors
from rag.component import Inherited
from rag.component.inheritance import given
from rag.corpus.passages import Passages
from rag.embedders.base import Embedder
from rag.errors import NotFittedError
from rag.rerankers.base import Scorer
from rag.rerankers.cur.items import Mask
from rag.rerankers.scoring import ScoringStage
from rag.store.fingerprint import fingerprint
from rag.tables import is_in

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["GraphAdaptive", "nearest_neighbors"]

_EXACT = 100_000
"""Passages up to which neighbours are found by comparing all with all."""


class GraphAdaptive(ScoringStage):
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
    needs = frozenset({"corpus"})

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
        self._graph: Ints | None = None

    def fit(self, context: FitContext) -> None:
        super().fit(context)

        embedder = given(self.embedder, self)

        def make() -> Ints:
            return nearest_neighbors(context.embed_passages(embedder), self.neighbours)

        if context.store is None or not embedder.spec.is_serializable:
            self._graph = make()
            return
        # The graph is the same whatever scorer and budget it is walked with.
        key = fingerprint([embedder.spec.cache_key, context.passages.fingerprint, self.neighbours])
        description = f"{self.neighbours} neighbours of {len(context.passages)} passages by {embedder!r}"
        folder = context.store.artifact(
            "graph", key, lambda path: np.save(path / "graph.npy", make()), description=description
        )
        self._graph = np.load(folder / "graph.npy", mmap_mode="r")

    def update(self, context: UpdateContext, kept: Ints) -> None:
        if len(kept) == len(self.passages) == len(context.passages):
            for _, child in self.spec.children():
                context.fit(child)
            self._passages = context.passages
            context.keep(self)
        else:
            self.fit(context)

    @property
    def _caches_state(self) -> bool:
        """The graph is kept by itself."""
        return False

    def save_state(self, folder: Path) -> None:
        np.save(folder / "graph.npy", self._fitted())

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._graph = np.load(Path(folder) / "graph.npy", mmap_mode="r")

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        graph, listed = self._fitted(), candidates.passages
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

    def _fitted(self) -> Ints:
        if self._graph is None:
            raise NotFittedError.of(self)
        return self._graph


def nearest_neighbors(vectors: Vectors, k: int) -> Ints:
    """The ``k`` passages with the largest cosines to each, itself left out: int32 [n, k], -1 where there are fewer.

    All are compared with all up to 100,000 passages; above that HNSW finds nearly all of them.
    """
    import faiss

    n, d = vectors.shape
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = np.ascontiguousarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)
    if n <= _EXACT:
        index: Any = faiss.IndexFlatIP(d)
    else:
        index = faiss.IndexHNSWFlat(d, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = max(64, 2 * k)
    index.add(scaled)
    _, nearest = index.search(scaled, min(k + 1, n))
    nearest[nearest == np.arange(n)[:, None]] = -1
    order = np.argsort(nearest < 0, axis=1, kind="stable")[:, :k]
    near = np.take_along_axis(nearest, order, 1).astype(np.int32)
    return np.pad(near, ((0, 0), (0, k - near.shape[1])), constant_values=-1)


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
