"""Dense vectors over an index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import PADDING, Bools, Candidates, Floats, Ints, Vectors
from rag.component import Tunable
from rag.corpus.passages import Passages
from rag.embedders.base import Embedder
from rag.errors import ConfigError, NotFittedError
from rag.retrievers.asked_again import Recipe, TakesFeedback
from rag.retrievers.indexes.base import Index
from rag.retrievers.indexes.flat import Flat
from rag.retrievers.indexes.remote import RemoteIndex
from rag.retrievers.keys import best_documents, best_documents_where
from rag.store.spill import blocks, mapped_rows

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["Dense"]

_CENTER = 10
"""Documents of a list that make its center."""

_TOGETHER = 64
"""Queries whose candidates' vectors are held at a time."""


class Dense(TakesFeedback):
    """Embeds queries and passages and finds the nearest by inner product.

    A query whose vector is zero, such as one made only of words that ``lsa`` does not know, finds nothing.

    Args:
        embedder: Makes the vectors.
        index: Index that finds the nearest vectors.
        metric: ``cosine`` scales all vectors to length 1 first (a passage's zero vector stays zero and scores 0);
            ``inner_product`` takes them as they are.
        top_k: Documents returned.
    """

    type = "dense"

    def __init__(
        self,
        *,
        embedder: Embedder,
        index: Index = Flat(),  # noqa: B008 - a default component is cloned for each instance
        metric: Literal["cosine", "inner_product"] = "cosine",
        top_k: Annotated[int, Field(ge=1), Tunable(choices=(50, 100, 200, 500), gain=0.002)] = 100,
    ) -> None:
        self.embedder = embedder
        self.index = index
        self.metric = metric
        self.top_k = top_k
        self._passages: Passages | None = None

    def _preflight(self) -> None:
        if self.embedder.length_counts and self.metric == "cosine":
            raise ConfigError(
                f"must be inner_product with {self.embedder.spec.label}: the length of its vectors counts",
                parameter="metric",
            )

    def fit(self, context: FitContext) -> None:
        context.fit(self.embedder)
        if isinstance(self.index, RemoteIndex):
            vectors = self._scaled(context.embed_passages(self.embedder))
            self.index.hold(context.passages, vectors, progress=context.progress)
            self._passages = context.passages
            return
        context.cached_fit(
            self.index,
            lambda: self.index.build(self._scaled(context.embed_passages(self.embedder)), progress=context.progress),
            inputs={"embedder": self.embedder.base, "metric": self.metric},
        )
        self._passages = context.passages

    def update(self, context: UpdateContext, kept: Ints) -> None:
        if self._passages is None:
            raise NotFittedError.of(self)
        context.fit(self.embedder)
        n_new = len(context.passages) - len(kept)
        all_stay = len(kept) == len(self._passages)
        if isinstance(self.index, RemoteIndex):
            came = self._scaled(context.embed_passages(self.embedder, start=len(kept))) if n_new else None
            if not self.index.change(
                self._passages,
                context.passages,
                kept,
                came,
                relabeled=context.metadata_changed,
                progress=context.progress,
            ):
                context.keep(self.index)
        elif all_stay and not n_new:
            context.keep(self.index)
        elif all_stay and self.index.can_add:
            self.index.add(self._scaled(context.embed_passages(self.embedder, start=len(kept))))
        else:
            self.index.build(self._vectors(context, kept), progress=context.progress)
        self._passages = context.passages

    def _vectors(self, context: FitContext, positions: Ints) -> Vectors:
        """Vectors of all passages; those of old passages may come from the index."""
        old = self.index.reconstruct(positions)
        if old is None:
            return self._scaled(context.embed_passages(self.embedder))
        if len(positions) == len(context.passages):
            return old
        return np.concatenate([old, self._scaled(context.embed_passages(self.embedder, start=len(positions)))])

    def load_state(self, folder: Path, context: FitContext) -> None:
        self._passages = context.passages

    def retrieve(self, batch: QueryBatch) -> Candidates:
        if self._passages is None:
            raise NotFittedError.of(self)
        return self._nearest(batch, self._scaled(batch.embeddings(self.embedder)))

    def retrieve_again(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Candidates:
        """With ``(1 - w) query + w mean of the trusted passages' vectors``.

        Raises:
            ConfigError: The index keeps no vectors as they were given.
        """
        if self._passages is None:
            raise NotFittedError.of(self)
        return self._nearest(batch, self._moved(batch, trusted, recipe))

    def scores_again(
        self, batch: QueryBatch, trusted: Candidates, recipe: Recipe, candidates: Candidates
    ) -> Mapping[str, Floats]:
        return {self.type: self._products(self._moved(batch, trusted, recipe), candidates)}

    def _moved(self, batch: QueryBatch, trusted: Candidates, recipe: Recipe) -> Vectors:
        """The queries' vectors, moved towards those of trusted passages, float32 [n, d]."""
        own = self._scaled(batch.embeddings(self.embedder))
        near, mask = self.vectors_of(trusted.head(recipe.vectors))
        count = mask.sum(axis=1, keepdims=True)
        mean = near.sum(axis=1) / np.maximum(count, 1)
        moved = (1 - recipe.vector_weight) * own + np.float32(recipe.vector_weight) * mean
        useful = (count > 0) & own.any(axis=1, keepdims=True)  # who could ask nothing finds nothing now either
        return self._scaled(np.where(useful, moved, own).astype(np.float32))

    def features(self, batch: QueryBatch, candidates: Candidates, first: Candidates) -> Mapping[str, Floats]:
        """Cosine with the query, and mean cosine with the first documents of the list (centrality); nothing where the
        index keeps no full vectors.
        """
        if not candidates.documents.size or self.index.reconstruct(np.zeros(1, dtype=np.int64)) is None:
            return {}
        heads, inside = self.vectors_of(first.head(_CENTER))
        center = heads.sum(axis=1) / np.maximum(inside.sum(axis=1, keepdims=True), 1)
        cosine = self._products(self._scaled(batch.embeddings(self.embedder)), candidates)
        return {"cosine": cosine, "central": self._products(center.astype(np.float32), candidates)}

    def _products(self, vectors: Vectors, candidates: Candidates) -> Floats:
        """Inner products of each query's vector with those of its candidates' passages, float32 [n, k]."""
        products = np.zeros(candidates.documents.shape, dtype=np.float32)
        for start in range(0, len(products), _TOGETHER):
            rows = slice(start, start + _TOGETHER)
            products[rows] = np.einsum("nkd,nd->nk", self.vectors_of(candidates.rows(rows))[0], vectors[rows])
        return products

    def vectors_of(self, candidates: Candidates) -> tuple[Vectors, Bools]:
        """Vectors of candidates' passages as they are searched, float32 [n, k, d], 0 at padding; and where they are.

        Raises:
            ConfigError: The index keeps no vectors as they were given.
        """
        mask = candidates.mask
        passages, inverse = np.unique(candidates.passages[mask], return_inverse=True)
        vectors = self.index.reconstruct(passages)
        if vectors is None:
            raise ConfigError(
                f"the index {self.index.spec.label} keeps no full vectors, which feedback needs: use flat, hnsw or "
                "ivf_flat"
            )
        table = np.zeros((*mask.shape, vectors.shape[1]), dtype=np.float32)
        table[mask] = vectors[inverse]
        return table, mask

    def _nearest(self, batch: QueryBatch, vectors: Vectors) -> Candidates:
        assert self._passages is not None
        meaning = np.asarray(vectors.any(axis=1))
        all_meaningful = bool(meaning.all())

        index = self.index
        search_within = index.search_where if isinstance(index, RemoteIndex) else index.search

        def search(rows: Any, k: int, within: Any) -> tuple[Ints, Floats]:
            keys, scores = search_within(vectors[rows], k, within)
            if not all_meaningful:
                keys[~meaning[rows]] = PADDING
            return keys, scores

        best = best_documents_where if isinstance(index, RemoteIndex) else best_documents
        return best(search, self._passages, self.top_k, batch)

    def _scaled(self, vectors: Vectors) -> Vectors:
        if self.metric == "inner_product":
            return vectors
        far = max((float(np.abs(_norms(block) - 1.0).max(initial=0.0)) for _, block in blocks(vectors)), default=0.0)
        return vectors if far < 1e-6 else mapped_rows(vectors, _of_length_1)


def _norms(vectors: Vectors) -> Floats:
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))  # type: ignore[no-any-return]


def _of_length_1(vectors: Vectors) -> Vectors:
    """Vectors scaled to length 1; those that are zero stay so."""
    norms = _norms(vectors)
    norms[norms == 0] = 1.0
    return vectors / norms[:, None]
