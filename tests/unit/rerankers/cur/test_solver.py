"""The solvers against plain linear algebra, one query at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from rag.rerankers.cur.solver import GrowingRidge, PseudoInverse, least_squares_with_slopes_from_zero

BLOCKS = st.lists(st.integers(1, 4), min_size=1, max_size=4)
SEEDS = st.integers(0, 2**32 - 1)


def problem(seed, queries, size, dimension, features):
    rng = np.random.default_rng(seed)
    columns = np.concatenate([np.ones((queries, size, 1)), rng.normal(size=(queries, size, 3))], axis=2)[..., :features]
    return rng.normal(size=(queries, size, dimension)), columns, rng.normal(size=(queries, size))


def grown(solver, blocks, arrays):
    for last, block in zip(np.cumsum(blocks), blocks, strict=True):
        solver.add(*(array[:, last - block : last] for array in arrays))
    return solver


def direct(vectors, features, targets, ridge):
    """Ridge on the weights alone and slopes from 0, as one bounded least-squares problem."""
    m, d = vectors.shape
    p = features.shape[1]
    system = np.block([[features, vectors], [np.zeros((d, p)), np.sqrt(ridge) * np.eye(d)]])
    low = np.full(p + d, -np.inf)
    low[1:p] = 0
    solution = lsq_linear(system, np.concatenate([targets, np.zeros(d)]), (low, np.full(p + d, np.inf)), tol=1e-13)
    return solution.x[:p], solution.x[p:]


@given(SEEDS, BLOCKS, st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), st.sampled_from([0.01, 1.0, 30.0]))
def test_grown_block_by_block_it_is_the_regression_on_all(seed, blocks, queries, dimension, features, ridge):
    arrays = problem(seed, queries, sum(blocks) + 2, dimension, features)
    arrays = [array[:, : sum(blocks)] for array in arrays]
    solver = grown(GrowingRidge(queries, sum(blocks), dimension, features, ridge), blocks, arrays)
    coefficients, weights = solver.solve()
    for query in range(queries):
        b, w = direct(*(array[query] for array in arrays), ridge)
        actual = arrays[1][query] @ coefficients[query] + arrays[0][query] @ weights[query]
        np.testing.assert_allclose(actual, arrays[1][query] @ b + arrays[0][query] @ w, atol=2e-3)
        np.testing.assert_allclose(weights[query], w, atol=2e-3)


def test_without_features_it_is_the_textbook_ridge():
    vectors, _, targets = problem(1, 4, 12, 5, 1)
    solver = GrowingRidge(4, 12, 5, 0, 0.3)
    grown(solver, [5, 7], (vectors, np.zeros((4, 12, 0)), targets))
    coefficients, weights = solver.solve()
    gram = vectors.transpose(0, 2, 1) @ vectors + 0.3 * np.eye(5)
    expected = np.linalg.solve(gram, vectors.transpose(0, 2, 1) @ targets[..., None])[..., 0]
    assert coefficients.shape == (4, 0)
    np.testing.assert_allclose(weights, expected, atol=1e-12)


@given(SEEDS, st.floats(-1e6, 1e6))
def test_a_constant_on_all_scores_changes_no_weight(seed, level):
    vectors, features, targets = problem(seed, 2, 9, 4, 2)
    plain, raised = (
        grown(GrowingRidge(2, 9, 4, 2, 0.5), [4, 5], (vectors, features, t)).solve() for t in (targets, targets + level)
    )
    np.testing.assert_allclose(plain[1], raised[1], atol=1e-4)
    np.testing.assert_allclose(plain[0][:, 0] + level, raised[0][:, 0], rtol=1e-4, atol=1e-3)


def test_rows_of_zeros_are_items_that_are_not_there():
    vectors, features, targets = problem(3, 1, 8, 4, 2)
    there = np.array([1, 1, 0, 1, 0, 1, 1, 0], dtype=bool)
    arrays = [array * there.reshape(1, -1, *(1,) * (array.ndim - 2)) for array in (vectors, features, targets)]
    padded = grown(GrowingRidge(1, 8, 4, 2, 0.5), [3, 5], arrays)
    alone = grown(GrowingRidge(1, 5, 4, 2, 0.5), [2, 3], [array[:, there] for array in arrays])
    for actual, other in zip(padded.solve(), alone.solve(), strict=True):
        np.testing.assert_allclose(actual, other, atol=1e-12)
    np.testing.assert_allclose(padded.variance(), alone.variance(), atol=1e-12)


def test_the_variance_is_that_of_a_gaussian_process():
    vectors, features, targets = problem(4, 1, 6, 5, 1)
    solver = grown(GrowingRidge(1, 6, 5, 1, 0.7), [2, 4], (vectors, features, targets))
    kernel = vectors[0] @ vectors[0].T + 0.7 * np.eye(6)
    new = np.random.default_rng(5).normal(size=(9, 5))
    across = new @ vectors[0].T
    expected = (new**2).sum(1) - np.einsum("ij,ij->i", across @ np.linalg.inv(kernel), across)
    actual = (new**2).sum(1) - ((solver.rows[0] @ new.T) ** 2).sum(0)
    np.testing.assert_allclose(expected, actual, atol=1e-12)


def test_draws_have_the_posteriors_covariance():
    vectors, features, targets = problem(6, 1, 5, 3, 1)
    rng = np.random.default_rng(7)
    many = 20_000
    solver = GrowingRidge(1, 5, 3, 1, 0.4, samples=rng.normal(size=(1, 3, many)), noise=rng.normal(size=(1, 5, many)))
    grown(solver, [2, 3], (vectors, features, targets))
    drawn = np.stack([solver.sample(number)[0] for number in range(many)])
    expected = np.eye(3) - solver.rows[0].T @ solver.rows[0]
    np.testing.assert_allclose(drawn.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.03)


def test_a_slope_is_never_below_zero_and_zero_where_nothing_tells_it():
    features = np.stack([np.stack([np.ones(6), column], axis=1) for column in (np.arange(6.0), np.full(6, 3.0))])
    falling = least_squares_with_slopes_from_zero(features, np.stack([-np.arange(6.0), np.arange(6.0)]))
    assert falling[0, 1] == 0
    np.testing.assert_allclose(falling[0, 0], -2.5)
    np.testing.assert_allclose(features[1] @ falling[1], 2.5, atol=1e-4)
    rising = least_squares_with_slopes_from_zero(features[:1], 2 + 3 * np.arange(6.0)[None])
    np.testing.assert_allclose(rising[0], [2, 3], atol=1e-4)


@pytest.mark.parametrize("offset", [0.0, -900.0])
def test_the_pseudo_inverse_is_that_of_numpy_and_cuts_small_values(offset):
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(2, 20, 3)) @ rng.normal(size=(2, 3, 20)) + 1e-9 * rng.normal(size=(2, 20, 20))
    weights = rng.normal(size=(2, 20))
    targets = (vectors @ weights[..., None])[..., 0]
    if offset:
        vectors -= vectors.mean(axis=1, keepdims=True)
    solver = PseudoInverse(rcond=1e-4, center=bool(offset))
    grown(solver, [12, 8], (vectors, np.zeros((2, 20, 0)), targets + offset))
    _, solved = solver.solve()
    level = targets.mean(axis=1, keepdims=True) if offset else 0
    np.testing.assert_allclose((vectors @ solved[..., None])[..., 0] + level, targets, atol=1e-5)
    assert np.abs(solved).max() < 10  # without the cut, 1e-9 would make it millions
