"""CUR search: spend a budget of scorer calls in rounds, each where the scores so far say that it pays.

    first round    items from the first stage, or fixed anchors
    every round    score them; solve for each query's weights; the best unscored items are next
    the answer     everything scored, by its exact score; where it is asked for, predictions for the rest of the list

ADACUR (Yadav et al., EMNLP Findings 2023) is this with item vectors from a dense score matrix, AXN (Yadav et al., ICLR
2024) with those of an encoder or of a sparse matrix, ANNCUR (Yadav et al., EMNLP 2022) with anchors that are the same
for all queries and one round after them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from rag.candidates import Floats, Ints, Vectors
from rag.rerankers.cur.items import Extra, Items, Listed, gathered
from rag.rerankers.cur.solver import Doubles, GrowingRidge, PseudoInverse, Solver
from rag.tables import columns_of, standardized

__all__ = ["Acquisition", "Outcome", "Plan", "Prior", "Score", "round_sizes", "search"]

Acquisition = Literal["mean", "softmax", "ucb", "thompson"]
"""How the next items are chosen: by predicted score; sampled by softmax over it; by its upper confidence bound; by one
draw from the posterior."""

Score = Callable[[Ints, Ints], Floats]
"""Exact scores of pairs (row of the query, item), both int64 [n], rows ascending: float32 [n]."""


@dataclass(frozen=True)
class Plan:
    """Plan for spending a budget.

    Args:
        sizes: Items scored in each round; their sum is the budget.
        solver: ``prior_mean_ridge`` fits the residual over a line in the prior; ``ridge`` and ``pinv`` know no prior.
        ridge: Weight against the weights, relative to the mean square of the item vectors.
        rcond: Where ``pinv`` cuts singular values.
        interpolation: Share of the encoder's own query vector in the weights (AXN's lambda).
        acquisition: How the next items are chosen.
        exploration: Standard deviations added (``ucb``), scale of the draw (``thompson``), or temperature in standard
            deviations of the query's scores (``softmax``).
    """

    sizes: Sequence[int]
    solver: Literal["prior_mean_ridge", "ridge", "pinv"] = "prior_mean_ridge"
    ridge: float = 1.0
    rcond: float = 1e-4
    interpolation: float = 0.0
    acquisition: Acquisition = "mean"
    exploration: float = 1.0


@dataclass(frozen=True)
class Prior:
    """Prior predictions for every item before any is scored.

    Args:
        listed: The first stage's candidates, int64 [q, c], -1 padding.
        values: Their scores, standardized by query, float32 [q, c].
        missing: The value of all other items, float32 [q]: the least of the list, for they would stand below it.
        query_vectors: Query vectors of the encoder of the item vectors, float32 [q, d]; None without an encoder.
    """

    listed: Ints
    values: Floats
    missing: Floats
    query_vectors: Vectors | None = None

    @classmethod
    def of(cls, listed: Ints, scores: Floats, query_vectors: Vectors | None = None) -> Prior:
        """From the first stage's table."""
        there = listed >= 0
        values = np.where(there, standardized(scores, there), np.inf)
        missing = np.where(there.any(axis=1), values.min(axis=1, initial=np.inf), 0.0)
        return cls(
            listed,
            np.where(there, values, missing[:, None]).astype(np.float32),
            missing.astype(np.float32),
            query_vectors,
        )

    def of_items(self, ids: Ints) -> Doubles:
        """The prior's value of each item, float64 [q, b]; 0 without an item."""
        columns = columns_of(self.listed, ids)
        values = np.broadcast_to(self.missing[:, None], ids.shape)
        if self.values.size:
            values = np.where(columns >= 0, np.take_along_axis(self.values, np.maximum(columns, 0), 1), values)
        return np.where(ids < 0, 0.0, values).astype(np.float64)


class Outcome(NamedTuple):
    """Result of a search: the items that it spent its budget on.

    Args:
        items: Items scored, int64 [q, budget] in the order they were; -1 where a query has fewer items.
        scores: Their exact scores, float32 [q, budget].
        predicted: For the first stage's candidates, the scores that the model of all scored items predicts, float32
            [q, n_listed]; None when nobody asked.
    """

    items: Ints
    scores: Floats
    predicted: Floats | None = None


def round_sizes(budget: int, rounds: int) -> list[int]:
    """Split a budget into ``rounds`` parts that differ by at most 1, the larger first."""
    return [budget // rounds + (index < budget % rounds) for index in range(rounds)]


def search(
    items: Items,
    score: Score,
    plan: Plan,
    *,
    first: Ints,
    prior: Prior,
    alignment: tuple[float, float] | None = None,
    mean_square: float = 1.0,
    random: Sequence[np.random.Generator] = (),
    predict: bool = False,
) -> Outcome:
    """Spend the budget for a batch of queries, which advance a round together.

    Args:
        items: The items to choose from.
        score: Asks the scorer; never twice for a pair.
        plan: Plan for spending the budget.
        first: Items of the first round, int64 [q, sizes[0]]; where there are fewer (-1), the model before any score
            fills up: the encoder's nearest, or the items with the largest offsets.
        prior: Prior from the first stage.
        alignment: ``(alpha, beta)`` put the scorer on the encoder's scale, ``beta (s - alpha)``; None leaves the level
            free.
        mean_square: Mean square of the item vectors' lengths: ``ridge`` is relative to it.
        random: One generator a query, for ``softmax`` and ``thompson``.
        predict: Whether scores of the first stage's candidates are predicted at the end.
    """
    q, budget, d = len(first), sum(plan.sizes), items.vectors.shape[1]
    capacity = budget if predict else budget - plan.sizes[-1]
    solver, features = _solver(items, plan, q, capacity, d, alignment, mean_square, random)
    taken = np.full((q, budget), -1, dtype=np.int64)
    exact = np.full((q, budget), -np.inf, dtype=np.float32)
    done = 0
    for index, size in enumerate(plan.sizes):
        if index:
            coefficients, weights = solver.solve()
            picks = _next(
                items, plan, solver, coefficients, weights, prior, taken[:, :done], size, index, random, exact
            )
        else:
            picks = _filled(items, prior, first[:, :size], size)
        if not (picks >= 0).any():
            break
        rows, columns = np.nonzero(picks >= 0)
        new = np.full(picks.shape, -np.inf, dtype=np.float32)
        new[rows, columns] = score(rows, picks[rows, columns])
        taken[:, done : done + size], exact[:, done : done + size] = picks, new
        done += size
        if predict or index + 1 < len(plan.sizes):
            solver.add(*_equations(items, picks, new, prior, features, alignment))
    if not (predict and done):
        return Outcome(taken, exact, np.zeros(prior.listed.shape, dtype=np.float32) if predict else None)
    predicted = _predicted(items, prior.listed, prior, *solver.solve(), alignment)
    if not features and alignment is None:  # the solver leaves out the level of a query's scores
        there = taken >= 0
        own = np.where(there, exact - _predicted(items, taken, prior, *solver.solve(), alignment), 0)
        predicted += (own.sum(axis=1) / np.maximum(there.sum(axis=1), 1))[:, None]
    return Outcome(taken, exact, predicted.astype(np.float32))


def _predicted(
    items: Items,
    ids: Ints,
    prior: Prior,
    coefficients: Doubles,
    weights: Doubles,
    alignment: tuple[float, float] | None,
) -> Doubles:
    """Predicted scores of items on the scorer's scale, float64 [q, b]."""
    predicted = np.asarray(np.einsum("qbd,qd->qb", gathered(items.vectors, ids), weights), dtype=np.float64)
    if items.offsets is not None:
        predicted += np.where(ids >= 0, items.offsets[np.maximum(ids, 0)], 0)
    if coefficients.shape[1]:
        predicted += coefficients[:, :1]
    if coefficients.shape[1] > 1:
        predicted += coefficients[:, 1:2] * prior.of_items(ids)
    return predicted if alignment is None else predicted / alignment[1] + alignment[0]


def _solver(
    items: Items,
    plan: Plan,
    q: int,
    capacity: int,
    d: int,
    alignment: tuple[float, float] | None,
    mean_square: float,
    random: Sequence[np.random.Generator],
) -> tuple[Solver, int]:
    """The solver, and the number of its features."""
    if plan.solver == "pinv":
        return PseudoInverse(rcond=plan.rcond, center=alignment is None and items.offsets is None), 0
    features = 0 if alignment is not None else 2 if plan.solver == "prior_mean_ridge" else 1
    samples = noise = None
    if plan.acquisition == "thompson":
        draws = len(plan.sizes) - 1
        samples = np.stack([generator.normal(size=(d, draws)) for generator in random])
        noise = np.stack([generator.normal(size=(sum(plan.sizes), draws)) for generator in random])
    ridge = plan.ridge * max(mean_square, 1e-12)
    return GrowingRidge(q, capacity, d, features, ridge, samples=samples, noise=noise), features


def _filled(items: Items, prior: Prior, first: Ints, size: int) -> Ints:
    """The first round's items; where the first stage gave fewer than are to be scored, others."""
    short = (first >= 0).sum(axis=1)
    if isinstance(items, Listed) or (short >= size).all():
        return np.pad(first, ((0, 0), (0, size - first.shape[1])), constant_values=-1)
    weights = prior.query_vectors
    if weights is None:
        weights = np.zeros((len(first), items.vectors.shape[1]), dtype=np.float32)
    nothing = np.zeros(prior.listed.shape, dtype=np.float32)
    more = items.best(weights, nothing, first, size)
    both = np.concatenate([first, more], axis=1)
    order = np.argsort(both < 0, axis=1, kind="stable")[:, :size]
    return np.asarray(np.take_along_axis(both, order, 1))


def _equations(
    items: Items, picks: Ints, scores: Floats, prior: Prior, features: int, alignment: tuple[float, float] | None
) -> tuple[Doubles, Doubles, Doubles]:
    """Vectors, features and targets of scored items, zero where no item is scored."""
    there = picks >= 0
    vectors = gathered(items.vectors, picks).astype(np.float64)
    targets = np.where(there, scores, 0).astype(np.float64)
    if alignment is not None:
        targets = (targets - alignment[0]) * alignment[1] * there
    if items.offsets is not None:
        targets -= np.where(there, items.offsets[np.maximum(picks, 0)], 0)
    columns = np.zeros((*picks.shape, features))
    if features:
        columns[..., 0] = there
    if features > 1:
        columns[..., 1] = prior.of_items(picks)
    return vectors, columns, targets


def _next(
    items: Items,
    plan: Plan,
    solver: Solver,
    coefficients: Doubles,
    weights: Doubles,
    prior: Prior,
    taken: Ints,
    size: int,
    round_index: int,
    random: Sequence[np.random.Generator],
    exact: Floats,
) -> Ints:
    extra: Extra | None = None
    if plan.interpolation and prior.query_vectors is not None:
        weights = (1 - plan.interpolation) * weights + plan.interpolation * prior.query_vectors
    if plan.acquisition == "softmax":
        extra = _gumbel(random, plan.exploration * _spread(exact[:, : taken.shape[1]], taken))
    elif plan.acquisition == "ucb" and isinstance(solver, GrowingRidge):
        extra = _deviations(solver, plan.exploration)
    elif plan.acquisition == "thompson" and isinstance(solver, GrowingRidge):
        scale = plan.exploration * np.sqrt(solver.variance())
        weights = weights + scale[:, None] * solver.sample(round_index - 1)
    bonus = np.zeros(prior.values.shape, dtype=np.float32)
    if coefficients.shape[1] > 1:
        bonus = (coefficients[:, 1:2] * (prior.values - prior.missing[:, None])).astype(np.float32)
    return items.best(weights.astype(np.float32), bonus, taken, size, extra)


def _spread(exact: Floats, taken: Ints) -> Doubles:
    """Standard deviation of each query's scores so far."""
    there = taken >= 0
    count = np.maximum(there.sum(axis=1), 1)
    known_scores = np.where(there, exact, 0).astype(np.float64)
    mean = known_scores.sum(axis=1) / count
    return np.asarray(np.sqrt((np.where(there, known_scores - mean[:, None], 0) ** 2).sum(axis=1) / count))


def _gumbel(random: Sequence[np.random.Generator], temperature: Doubles) -> Extra:
    """Noise whose maximum is a draw from the softmax; the best ``k`` under it are ``k`` draws without replacement."""

    def extra(vectors: Vectors) -> Floats:
        noise = np.stack([generator.gumbel(size=vectors.shape[-2]) for generator in random])
        return np.asarray(temperature[:, None] * noise, dtype=np.float32)

    return extra


def _deviations(solver: GrowingRidge, exploration: float) -> Extra:
    """Standard deviations of the predictions: one product with all scored items' rows per query, so expensive."""
    scale = exploration * np.sqrt(solver.variance())
    rows = solver.rows.astype(np.float32)

    def extra(vectors: Vectors) -> Floats:
        squares = np.einsum("...nd,...nd->...n", vectors, vectors)
        predicted = np.empty((len(rows), vectors.shape[-2]), dtype=np.float32)
        for index, known_rows in enumerate(rows):
            own = vectors if vectors.ndim == 2 else vectors[index]
            explained = np.einsum("mn,mn->n", *(2 * [known_rows @ own.T]))
            left = (squares if vectors.ndim == 2 else squares[index]) - explained
            predicted[index] = scale[index] * np.sqrt(np.maximum(left, 0))
        return predicted

    return extra
