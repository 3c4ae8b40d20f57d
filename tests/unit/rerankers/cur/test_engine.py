"""The engine against a plain loop, and what CUR promises of matrices of low rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rag.rerankers.cur.items as blocks
from rag.rerankers.cur.anchor_queries import fold_in
from rag.rerankers.cur.anchors import choose_anchors
from rag.rerankers.cur.engine import Plan, Prior, round_sizes, search
from rag.rerankers.cur.items import Everything, Listed
from rag.tables import is_in

SEEDS = st.integers(0, 2**32 - 1)


class World:
    """Queries, items and a table of scores."""

    def __init__(self, seed, queries=3, items=40, dimension=5, listed=15, noise=0.3):
        rng = np.random.default_rng(seed)
        self.vectors = rng.normal(size=(items, dimension)).astype(np.float32)
        true = rng.normal(size=(queries, dimension)) @ self.vectors.T
        self.table = (true + noise * rng.normal(size=true.shape)).astype(np.float32)
        guess = true + rng.normal(size=true.shape)
        self.listed = np.argsort(-guess, axis=1)[:, :listed]
        self.prior = Prior.of(self.listed, np.take_along_axis(guess, self.listed, 1).astype(np.float32))
        self.asked = []

    def score(self, rows, ids):
        assert (np.diff(rows) >= 0).all()
        self.asked += zip(rows.tolist(), ids.tolist(), strict=True)
        return self.table[rows, ids]


def predicted_by_hand(world, query, taken, ridge):
    """Scores of all items that the model of those taken predicts, solved anew."""
    n = len(world.vectors)
    prior = np.full(n, world.prior.missing[query], dtype=np.float64)
    prior[world.listed[query]] = world.prior.values[query]
    vectors = world.vectors.astype(np.float64)
    a = world.table[query, taken].astype(np.float64)
    kernel = vectors[taken] @ vectors[taken].T + ridge * np.eye(len(taken))
    inverse = np.linalg.inv(kernel)
    features = np.stack([np.ones(len(taken)), prior[taken]], axis=1)
    b = np.linalg.solve(features.T @ inverse @ features, features.T @ inverse @ a)
    if b[1] < 0:
        b = np.array([inverse.sum(0) @ a / inverse.sum(), 0.0])
    return b[0] + b[1] * prior + vectors @ (vectors[taken].T @ inverse @ (a - features @ b))


def by_hand(world, query, sizes, ridge):
    """One query, every score looked at."""
    taken = world.listed[query, : sizes[0]].tolist()
    for size in sizes[1:]:
        predicted = predicted_by_hand(world, query, taken, ridge)
        order = sorted(set(range(len(predicted))) - set(taken), key=lambda i: (-predicted[i], i))
        taken += order[:size]
    return taken


@given(SEEDS, st.sampled_from([[5, 5, 5], [8]]), st.sampled_from([0.1, 1.0]))
def test_it_predicts_the_rest_of_the_list_from_all_it_scored(seed, sizes, ridge):
    world = World(seed)
    items = Everything(world.vectors, None, world.listed)
    plan = Plan(sizes, ridge=ridge)
    taken, exact, predicted = search(items, world.score, plan, first=world.listed, prior=world.prior, predict=True)
    unasked = search(items, world.score, plan, first=world.listed, prior=world.prior)
    assert unasked.predicted is None
    np.testing.assert_array_equal(unasked.items, taken)
    for query in range(3):
        expected = predicted_by_hand(world, query, taken[query].tolist(), ridge)[world.listed[query]]
        np.testing.assert_allclose(predicted[query], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("level", [0.0, 50.0])
def test_predictions_of_a_pseudo_inverse_have_the_level_of_the_scores(level):
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(30, 4)).astype(np.float32)
    table = (rng.normal(size=(2, 4)) @ (vectors - vectors[:12].mean(0)).T + level).astype(np.float32)
    listed = np.tile(np.arange(30), (2, 1))
    *_, predicted = search(
        Everything(vectors - vectors[:12].mean(0), None, listed),
        lambda rows, ids: table[rows, ids],
        Plan([12], solver="pinv"),
        first=listed[:, :12],
        prior=Prior.of(listed, np.zeros(listed.shape, dtype=np.float32)),
        predict=True,
    )
    np.testing.assert_allclose(predicted, table, atol=1e-2)


@given(SEEDS, st.sampled_from([[5, 5, 5], [3, 9], [8], [4, 1, 1, 1, 1]]), st.sampled_from([0.1, 1.0]), st.booleans())
def test_it_picks_what_a_plain_loop_picks(seed, sizes, ridge, in_blocks):
    world = World(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_BLOCK", 7 if in_blocks else 1 << 16)
        taken, exact, _ = search(
            Everything(world.vectors, None, world.listed),
            world.score,
            Plan(sizes, ridge=ridge),
            first=world.listed,
            prior=world.prior,
        )
    for query in range(3):
        assert by_hand(world, query, sizes, ridge) == taken[query].tolist()
        np.testing.assert_array_equal(world.table[query, taken[query]], exact[query])
    assert len(set(world.asked)) == len(world.asked) == 3 * sum(sizes)


@pytest.mark.parametrize("level", [0.0, -900.0])
@pytest.mark.parametrize("anchors", [4, 7])
@pytest.mark.parametrize("how", ["random", "k_means", "l2_greedy"])
def test_a_matrix_of_rank_4_is_recovered_from_4_anchors(level, anchors, how):
    rng = np.random.default_rng(1)
    right = rng.normal(size=(4, 60))
    offline = rng.normal(size=(9, 4)) @ right + level
    online = (rng.normal(size=(5, 4)) @ right + level).astype(np.float32)
    vectors, offsets = fold_in(offline.astype(np.float32))
    items = Everything(vectors, offsets, np.empty((5, 0), dtype=np.int64))
    chosen = choose_anchors(vectors, how, anchors, seed=3)
    taken, *_ = search(
        items,
        lambda rows, ids: online[rows, ids],
        Plan([anchors, 10], solver="pinv"),
        first=np.broadcast_to(chosen, (5, anchors)),
        prior=Prior.of(items.listed, np.empty((5, 0), dtype=np.float32)),
    )
    left = np.where(np.isin(np.arange(60), chosen), -np.inf, online)
    expected = np.argsort(-left, axis=1)[:, :10]
    assert expected.tolist() == taken[:, anchors:].tolist()


def test_as_many_anchors_as_anchor_queries_do_no_harm():
    rng = np.random.default_rng(2)
    right = rng.normal(size=(10, 1000))
    offline = rng.normal(size=(60, 10)) @ right + 1e-4 * rng.normal(size=(60, 1000))
    online = (rng.normal(size=(20, 10)) @ right + 0.3 * rng.normal(size=(20, 1000))).astype(np.float32)
    vectors, offsets = fold_in(offline.astype(np.float32))
    listed = np.empty((20, 0), dtype=np.int64)
    best = np.argsort(-online, axis=1)[:, :10]

    def share_found(anchors, rcond):
        taken, *_ = search(
            Everything(vectors, offsets, listed),
            lambda rows, ids: online[rows, ids],
            Plan([anchors, 30], solver="pinv", rcond=rcond),
            first=np.broadcast_to(choose_anchors(vectors, "random", anchors), (20, anchors)),
            prior=Prior.of(listed, listed.astype(np.float32)),
        )
        return is_in(best, taken).mean()

    assert share_found(60, 1e-4) > 0.85
    assert share_found(60, 0.0) < 0.5  # the collapse that the cut is for


def test_items_in_another_order_give_the_answer_in_that_order():
    world = World(5)
    order = np.random.default_rng(6).permutation(40)
    position_of = np.argsort(order)
    plan = Plan([5, 5, 5])
    taken, *_ = search(
        Everything(world.vectors, None, world.listed), world.score, plan, first=world.listed, prior=world.prior
    )
    moved = position_of[world.listed]
    prior = Prior(moved, world.prior.values, world.prior.missing)
    again, *_ = search(
        Everything(world.vectors[order], None, moved),
        lambda rows, ids: world.table[rows, order[ids]],
        plan,
        first=moved,
        prior=prior,
    )
    assert position_of[taken].tolist() == again.tolist()


@given(SEEDS, st.integers(1, 12), st.sampled_from(["mean", "softmax", "ucb", "thompson"]), st.booleans())
def test_lists_of_any_length_cost_the_whole_budget_and_no_pair_twice(seed, listed, acquisition, only_the_list):
    world = World(seed, queries=4, listed=12)
    listed_ids = np.where(np.arange(12) < np.array([[listed], [12], [1], [3]]), world.listed, -1)
    values = np.where(listed_ids >= 0, world.prior.values, -np.inf)
    prior = Prior.of(listed_ids, values)
    items = (Listed if only_the_list else Everything)(world.vectors, None, listed_ids)
    taken, exact, _ = search(
        items,
        world.score,
        Plan([6, 5, 5], acquisition=acquisition),
        first=listed_ids,
        prior=prior,
        random=[np.random.default_rng([seed, row]) for row in range(4)],
    )
    spent = np.minimum((listed_ids >= 0).sum(1), 16) if only_the_list else np.full(4, 16)
    assert spent.tolist() == (taken >= 0).sum(1).tolist()
    assert spent.sum() == len(set(world.asked)) == len(world.asked)
    assert np.isfinite(exact[taken >= 0]).all()
    assert np.isneginf(exact[taken < 0]).all()
    if only_the_list:
        assert is_in(taken, listed_ids)[taken >= 0].all()


@pytest.mark.parametrize("solver", ["prior_mean_ridge", "ridge", "pinv"])
def test_scores_that_are_all_one_are_spent_on_all_the_same(solver):
    world = World(7)
    world.table[:] = -3.25
    taken, exact, _ = search(
        Everything(world.vectors, None, world.listed),
        world.score,
        Plan([4, 4, 4], solver=solver),
        first=world.listed,
        prior=world.prior,
    )
    assert len(set(taken[0].tolist())) == 12
    assert set(exact.ravel().tolist()) == {-3.25}


def test_fewer_items_than_the_budget_are_all_scored():
    world = World(8, items=10, listed=4)
    taken, *_ = search(
        Everything(world.vectors, None, world.listed),
        world.score,
        Plan([6, 6, 6]),
        first=world.listed,
        prior=world.prior,
    )
    assert [list(range(10))] * 3 == [sorted(row[row >= 0].tolist()) for row in taken]
    assert len(world.asked) == 30


def test_only_what_is_allowed_is_scored():
    world = World(9)
    allowed = np.random.default_rng(1).random(40) < 0.6
    listed = np.where(allowed[world.listed], world.listed, -1)
    listed = np.take_along_axis(listed, np.argsort(listed < 0, axis=1, kind="stable"), 1)
    prior = Prior.of(listed, np.zeros(listed.shape, dtype=np.float32))
    taken, *_ = search(
        Everything(world.vectors, None, listed, allowed), world.score, Plan([10, 10, 30]), first=listed, prior=prior
    )
    for row in range(3):
        assert np.flatnonzero(allowed).tolist() == sorted(taken[row][taken[row] >= 0].tolist())


@given(SEEDS, st.integers(1, 9), st.sampled_from([1, 3, 50]))
def test_the_best_of_blocks_are_the_best_of_all(seed, k, block):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, size=(30, 2)).astype(np.float32)  # ties everywhere
    weights = rng.integers(-2, 3, size=(4, 2)).astype(np.float32)
    listed = np.stack([rng.permutation(30)[:6] for _ in range(4)])
    taken = np.stack([rng.permutation(30)[:5] for _ in range(4)])
    bonus = rng.integers(0, 3, size=listed.shape).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_BLOCK", block)
        best = Everything(vectors, None, listed).best(weights, bonus, taken, k)
    for row in range(4):
        scores = vectors @ weights[row]
        scores[listed[row]] += bonus[row]
        order = sorted(set(range(30)) - set(taken[row].tolist()), key=lambda i: (-scores[i], i))
        assert order[:k] == best[row].tolist()


def test_rounds_share_a_budget():
    assert round_sizes(10, 3) == [4, 3, 3]
    assert round_sizes(2, 2) == [1, 1]


def test_the_prior_of_unlisted_items_is_the_least_of_the_list():
    prior = Prior.of(np.array([[4, 2, 7], [3, -1, -1], [-1, -1, -1]]), np.array([[9.0, 6, 3], [1, 0, 0], [0, 0, 0]]))
    values = prior.of_items(np.array([[2, 4, 5, -1], [3, 2, 0, 1], [0, 1, 2, 3]]))
    np.testing.assert_allclose([[0, 1.2247, -1.2247, 0], [0, 0, 0, 0], [0, 0, 0, 0]], values, atol=1e-4)
