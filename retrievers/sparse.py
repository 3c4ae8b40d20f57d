"""Learned sparse vectors over an inverted index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import Candidates, Floats, Ints
from rag.component import Tunable
from rag.corpus.passages import Passages
from rag.embedders.sparse.base import SparseEmbedder, strongest_terms
from rag.errors import NotFittedError
from rag.retrievers.inverted import InvertedIndex
from rag.retrievers.keys import best_documents
from rag.stage import Retriever

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["Sparse"]

_SHOWN = 5
"""Terms of a hit that are told."""


class Sparse(Retriever):
    """Ranks by the inner product of sparse vectors: exact search in an inverted index.

    Passages that share no term with the query are not returned. With ``explain`` a hit's ``keys`` say which terms it
    shares, and what each adds to its score.

    Args:
        embedder: Makes the weights.
        max_active_dims: Terms kept of each passage, those with the largest weights; None keeps all.
        query_max_active_dims: Terms kept of each query, likewise.
        prune: Share of all postings that is left out of the index, those with the smallest weights (Carmel et al.
            2001, static pruning). The least weight that stays is found when the index is built and holds for passages
            that come later.
        impacts: What weights are kept as: ``float32``, or ``uint8``, in a quarter of the memory, as steps of 1/255 of
            each term's largest weight.
        top_k: Documents returned.
    """

    type = "sparse"
    _libraries = ("scipy",)

    def __init__(
        self,
        *,
        embedder: SparseEmbedder,
        max_active_dims: Annotated[int, Field(ge=1)] | None = None,
        query_max_active_dims: Annotated[int, Field(ge=1)] | None = None,
        prune: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        impacts: Literal["float32", "uint8"] = "float32",
        top_k: Annotated[int, Field(ge=1), Tunable(choices=(50, 100, 200, 500), gain=0.002)] = 100,
    ) -> None:
        self.embedder = embedder
        self.max_active_dims = max_active_dims
        self.query_max_active_dims = query_max_active_dims
        self.prune = prune
        self.impacts = impacts
        self.top_k = top_k
        self._postings: Any = None  # CSR [terms, passages]
        self._scale: Floats | None = None
        self._least = 0.0
        self._passages: Passages | None = None

    def fit(self, context: FitContext) -> None:
        context.fit(self.embedder)
        weights = self._embedded(context, 0)
        if self.prune and weights.nnz:
            self._least = float(np.quantile(weights.data, self.prune))
        self._set(self._without_least(weights), context.passages)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        import scipy.sparse

        context.fit(self.embedder)
        before = self._fitted()
        weights = before if len(kept) == before.shape[1] else before[:, kept]
        n_new = len(context.passages) - len(kept)
        if weights is before and not n_new:
            context.keep(self)
            self._passages = context.passages
            return
        weights = _decoded(weights, self._scale)
        if n_new:
            new = self._without_least(self._embedded(context, len(kept)))
            weights = scipy.sparse.hstack([weights, new], format="csr")
        self._set(weights, context.passages)

    def _embedded(self, context: FitContext, start: int) -> Any:
        """Weights of the passages from a position on, CSR [terms, passages]."""
        blocks = self.embedder.embed_passages(context, start)
        return _transposed((strongest_terms(block, self.max_active_dims) for block in blocks), self.embedder.dimension)

    def _without_least(self, weights: Any) -> Any:
        if not self._least:
            return weights
        weights.data[weights.data < self._least] = 0
        weights.eliminate_zeros()
        return weights

    def _set(self, weights: Any, passages: Passages) -> None:
        """Keep weights, CSR float32 [terms, passages], as the argument ``impacts`` says."""
        weights.sort_indices()
        self._postings, self._scale = _coded(weights) if self.impacts == "uint8" else (weights, None)
        self._passages = passages

    def retrieve(self, batch: QueryBatch) -> Candidates:
        self._fitted()
        assert self._passages is not None
        queries, index = self._weights(batch), self._index

        def search(rows: Any, k: int, allowed: Any) -> tuple[Ints, Floats]:
            return index.search(queries if isinstance(rows, slice) else queries[rows], k, allowed)

        candidates = best_documents(search, self._passages, self.top_k, batch)
        if batch.trace is not None:
            batch.record(batch.step.name, candidates, partial(self._told, queries, candidates))
        return candidates

    def features(self, batch: QueryBatch, candidates: Candidates, first: Candidates) -> Mapping[str, Floats]:
        """Scores of all candidates' passages, also of those that the list is too short for."""
        self._fitted()
        return {"score": self._index.scores_of(self._weights(batch), candidates.passages)}

    def scaled_by(self, candidates: Candidates) -> Candidates:
        """Passages that share no term with a query have score 0."""
        return candidates.filled(self.top_k, 0.0)

    def _weights(self, batch: QueryBatch) -> Any:
        """The queries' weights, CSR float32 [n, terms]."""

        def embed() -> Any:
            batch.ledger.spend(texts_embedded=len(batch))
            return self.embedder.embed_queries(batch.texts)

        weights = batch.remember("sparse", self.embedder.fingerprint, embed)
        return strongest_terms(weights, self.query_max_active_dims)

    def _told(self, queries: Any, candidates: Candidates, places: tuple[Ints, Ints]) -> list[str]:
        """The terms that queries share with passages of their list, and the contribution of each."""
        rows, columns = places
        told = []
        for row, passage in zip(rows.tolist(), candidates.passages[rows, columns].tolist(), strict=True):
            shared = self._index.shared(queries[[row]], passage)
            shared = sorted(shared, key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
            names = self.embedder.terms([term for term, _ in shared])
            told.append(", ".join(f"{name} {value:.3g}" for name, (_, value) in zip(names, shared, strict=True)))
        return told

    @property
    def _index(self) -> InvertedIndex:
        return InvertedIndex(self._postings, scale=self._scale)

    def save_state(self, folder: Path) -> None:
        table = self._fitted()
        np.save(folder / "impacts.npy", table.data)
        np.save(folder / "indices.npy", table.indices)
        np.save(folder / "indptr.npy", table.indptr)
        np.save(folder / "least.npy", np.float64(self._least))
        if self._scale is not None:
            np.save(folder / "scale.npy", self._scale)

    def load_state(self, folder: Path, context: FitContext) -> None:
        import scipy.sparse

        arrays = tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("impacts", "indices", "indptr"))
        shape = (len(arrays[2]) - 1, len(context.passages))
        self._postings = scipy.sparse.csr_array(arrays, shape=shape, copy=False)
        self._scale = np.load(folder / "scale.npy") if (folder / "scale.npy").is_file() else None
        self._least = float(np.load(folder / "least.npy"))
        self._passages = context.passages

    def _fitted(self) -> Any:
        if self._postings is None:
            raise NotFittedError.of(self)
        return self._postings


def _transposed(blocks: Iterable[Any], dimension: int) -> Any:
    """Weights of passages a block at a time, CSR [some, terms], as one table [terms, passages]."""
    import scipy.sparse

    parts = [scipy.sparse.csr_array((0, dimension), dtype=np.float32), *blocks]
    return scipy.sparse.vstack(parts, format="csr").tocsc().T


def _coded(weights: Any) -> tuple[Any, Floats]:
    """Weights in steps of 1/255 of each term's largest, at least 1; and the size of a step, float32 [terms]."""
    import scipy.sparse

    largest = np.asarray(weights.max(axis=1).toarray(), dtype=np.float32).ravel()
    scale = np.where(largest > 0, largest / 255, 1).astype(np.float32)
    steps = np.rint(weights.data / np.repeat(scale, np.diff(weights.indptr)))
    codes = np.clip(steps, 1, 255).astype(np.uint8)
    return scipy.sparse.csr_array((codes, weights.indices, weights.indptr), shape=weights.shape, copy=False), scale


def _decoded(postings: Any, scale: Floats | None) -> Any:
    import scipy.sparse

    if scale is None:
        return postings
    weights = postings.data * np.repeat(scale, np.diff(postings.indptr))
    return scipy.sparse.csr_array((weights, postings.indices, postings.indptr), shape=postings.shape, copy=False)
