"""Item vectors from a sparse sample of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Floats, Ints, Vectors, top_k_of_scores
from rag.component import Runtime
from rag.embedders.base import Embedder
from rag.rerankers.cur.anchor_queries import FromAnchorQueries, anchor_queries
from rag.rerankers.cur.factors import of_length_one
from rag.rerankers.cur.matrix import check_calls
from rag.rerankers.cur.solver import Doubles

if TYPE_CHECKING:
    from rag.fitting import FitContext
    from rag.rerankers.base import Scorer

__all__ = ["MatrixFactorization", "alternating_least_squares", "bilinear_form"]

_BLOCK = 4096


class MatrixFactorization(FromAnchorQueries):
    """Each item's vector comes from factorizing a sparse matrix of scores (AXN's MF: Yadav et al., ICLR 2024).

    ``count`` queries score ``per_query`` passages each, half the encoder's nearest, half at random; the price is paid
    once, when the pipeline is fitted. Departs from the paper, which trains with gradient descent: both variants are
    least-squares problems, solved as such, and held to the encoder's vectors where scores are missing.

    Args:
        embedder: Gives the vectors that the factors start from.
        variant: ``inductive``: a bilinear form between the encoder's vectors of query and passage is fitted to the
            scores, and its passage side makes the vectors; a new passage needs no score. ``transductive``: every item
            has a vector of its own, by alternating least squares.
        queries: Where the queries come from, as for ``anchor_queries``.
        count: Number of queries.
        per_query: Passages each of them scores.
        rank: Length of the vectors.
        ridge: Weight that holds the factors to where they start.
        iterations: Iterations of conjugate gradients, or of alternating least squares.
        max_calls: More scorer calls than this are refused, with an estimate of the time they would take.
    """

    type = "matrix_factorisation"

    def __init__(
        self,
        *,
        embedder: Embedder,
        variant: Literal["inductive", "transductive"] = "inductive",
        queries: Annotated[str, Field(min_length=1)] = "train",
        count: Annotated[int, Field(ge=2)] = 200,
        per_query: Annotated[int, Field(ge=2)] = 100,
        rank: Annotated[int, Field(ge=1)] = 128,
        ridge: Annotated[float, Field(gt=0)] = 1.0,
        iterations: Annotated[int, Field(ge=1)] = 20,
        max_calls: Annotated[int, Field(ge=1), Runtime()] = 2_000_000,
    ) -> None:
        self.embedder = embedder
        self.variant = variant
        self.queries = queries
        self.count = count
        self.per_query = per_query
        self.rank = rank
        self.ridge = ridge
        self.iterations = iterations
        self.max_calls = max_calls

    def make(self, context: FitContext, scorer: Scorer) -> tuple[Vectors, Floats | None]:
        context.fit(self.embedder)
        items = of_length_one(context.embed_passages(self.embedder))
        asked = anchor_queries(self.queries, self.count, context)
        batch = QueryBatch(asked, ledger=context.ledger, store=context.store)
        vectors = of_length_one(batch.embeddings(self.embedder))
        check_calls(scorer, asked, context, len(asked) * min(self.per_query, len(items)), self.max_calls)
        rows, columns = _sample(vectors, items, self.per_query, np.random.default_rng([context.seed, 5]))
        scores = _scored(scorer, batch, rows, columns, context)
        centered = scores - np.bincount(rows, scores)[rows] / np.bincount(rows)[rows]  # queries differ in level
        if self.variant == "inductive":
            form = bilinear_form(vectors, items, rows, columns, centered, ridge=self.ridge, iterations=self.iterations)
            _, values, right = np.linalg.svd(form)
            sides = (right.T * np.sqrt(values))[:, : self.rank]
            return np.ascontiguousarray(items @ sides.astype(np.float32)), None
        start = items @ _principal(items, self.rank)
        factors = alternating_least_squares(
            start, rows, columns, centered, ridge=self.ridge, iterations=self.iterations, n_queries=len(asked)
        )
        return factors, None


def bilinear_form(
    queries: Vectors, items: Vectors, rows: Ints, columns: Ints, scores: Doubles, *, ridge: float, iterations: int
) -> Doubles:
    """``W`` [d, d] with ``scores ~ queries[rows] W items[columns]`` in the least-squares sense, held to the multiple of
    the identity (the encoder's own inner product) that fits best; by conjugate gradients.
    """
    q, v = queries.astype(np.float64)[rows], items.astype(np.float64)[columns]
    v = v - items.mean(axis=0, dtype=np.float64)  # only differences between items matter
    plain = np.einsum("ij,ij->i", q, v)
    scale = max(float(plain @ scores) / max(float(plain @ plain), 1e-12), 0.0)
    form = scale * np.eye(q.shape[1])
    left = scores - scale * plain
    gradient = q.T @ (left[:, None] * v)
    direction, square = gradient.copy(), float((gradient**2).sum())
    for _ in range(iterations):
        if square <= 1e-18:
            break
        image = np.einsum("ij,ij->i", q @ direction, v)
        step = square / (float(image @ image) + ridge * float((direction**2).sum()))
        form += step * direction
        left -= step * image
        gradient = q.T @ (left[:, None] * v) - ridge * (form - scale * np.eye(len(form)))
        before, square = square, float((gradient**2).sum())
        direction = gradient + square / before * direction
    return form


def alternating_least_squares(
    start: Vectors,
    rows: Ints,
    columns: Ints,
    scores: Doubles,
    *,
    ridge: float,
    iterations: int,
    n_queries: int,
) -> Vectors:
    """Item vectors float32 [n, r] with ``scores ~ u_row . v_column``; those of items that were never scored stay.

    Args:
        start: Where item vectors begin, and what the ridge holds them to, float32 [n, r].
        rows: Query of each score, int64.
        columns: Item of each score, int64.
        scores: The scores, float64.
        ridge: Weight against moving from ``start`` (items) or from 0 (queries).
        iterations: Rounds over queries and items.
        n_queries: Number of queries.
    """
    items = start.astype(np.float64)
    for _ in range(iterations):
        users = _one_side(items, columns, rows, scores, np.zeros((n_queries, items.shape[1])), ridge)
        items = _one_side(users, rows, columns, scores, start.astype(np.float64), ridge)
    return items.astype(np.float32)


def _one_side(fixed: Doubles, theirs: Ints, mine: Ints, scores: Doubles, start: Doubles, ridge: float) -> Doubles:
    """Ridge regression of each of ``mine`` on the fixed vectors it was scored with, held to ``start``."""
    order = np.argsort(mine, kind="stable")
    own, starts = np.unique(mine[order], return_index=True)
    solved, r = start.copy(), fixed.shape[1]
    ends = np.append(starts[1:], len(order))
    step = max(1, _BLOCK // max(r // 16, 1))
    for first in range(0, len(own), step):
        chunk = own[first : first + step]
        pairs = order[starts[first] : ends[min(first + step, len(own)) - 1]]
        vectors = fixed[theirs[pairs]]
        left = scores[pairs] - np.einsum("ij,ij->i", vectors, start[mine[pairs]])
        cuts = starts[first : first + step] - starts[first]
        gram = np.stack([part.T @ part for part in np.split(vectors, cuts[1:])]) + ridge * np.eye(r)
        right = np.add.reduceat(vectors * left[:, None], cuts, axis=0)
        solved[chunk] += np.linalg.solve(gram, right[..., None])[..., 0]
    return solved


def _sample(queries: Vectors, items: Vectors, per_query: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Half the encoder's nearest, half at random, each pair once; rows ascending."""
    n = len(items)
    per_query = min(per_query, n)
    near, _ = top_k_of_scores(queries @ items.T, (per_query + 1) // 2)
    keys = rng.random((len(queries), n))
    np.put_along_axis(keys, near, -1.0, 1)
    chosen = np.sort(np.argpartition(keys, per_query - 1, axis=1)[:, :per_query], axis=1)
    return np.repeat(np.arange(len(queries)), per_query), chosen.ravel().astype(np.int64)


def _scored(scorer: Scorer, batch: QueryBatch, rows: Ints, columns: Ints, context: FitContext) -> Doubles:
    scores = np.empty(len(rows))
    with context.progress(f"scoring ({scorer.type})", len(rows)) as advance:
        for first in range(0, len(rows), _BLOCK):
            block = slice(first, first + _BLOCK)
            scores[block] = scorer.score(batch, rows[block], columns[block])
            advance(len(rows[block]))
    return scores


def _principal(items: Vectors, rank: int) -> Vectors:
    """Principal directions of the items, float32 [d, rank]."""
    centered = items - items.mean(axis=0)
    _, vectors = np.linalg.eigh(centered.T.astype(np.float64) @ centered)
    return np.ascontiguousarray(vectors[:, ::-1][:, :rank], dtype=np.float32)
