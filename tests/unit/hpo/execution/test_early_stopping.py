"""Early stopping, against simulations."""

from __future__ import annotations

import numpy as np

from rag.hpo.execution.early_stopping import blocks, hopeless, optimistic_gain


def test_blocks_grow_to_the_end():
    assert blocks(100) == [20, 35, 55, 80, 100]
    assert blocks(12) == [12]
    for n in range(1, 400):
        ends = blocks(n)
        assert n == ends[-1]
        assert ends == sorted(set(ends))
        assert all(end >= min(20, n) for end in ends)


def test_the_bound_is_the_mean_once_all_queries_are_seen():
    gains = np.random.default_rng(0).normal(size=50)
    assert gains.mean() == optimistic_gain(gains, 50, 0.05)
    assert gains.mean() < optimistic_gain(gains, 60, 0.05) < optimistic_gain(gains, 500, 0.05)


def test_the_bound_is_wrong_as_rarely_as_it_says():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(2000):
        everything = rng.normal(0, 0.3, size=200) * (rng.random(200) < 0.5)
        seen = rng.permutation(200)[:60]
        wrong += optimistic_gain(everything[seen], 200, 0.05) < everything.mean()
    assert wrong / 2000 < 0.065


def test_a_would_be_winner_is_stopped_no_more_often_than_stated():
    rng = np.random.default_rng(2)
    ends, stopped = blocks(200), 0
    for _ in range(1000):
        gains = rng.normal(0.0, 0.3, size=200)
        gains += 0.005 - gains.mean()  # better, by little, over all queries
        stopped += any(hopeless([[gains[:end]]], 200, risk=0.1, looks=len(ends) - 1) for end in ends[:-1])
    assert stopped / 1000 <= 0.1


def test_what_is_clearly_worse_is_stopped_early():
    gains = np.random.default_rng(3).normal(-0.2, 0.3, size=200)
    assert hopeless([[gains[:20]]], 200, risk=0.05, looks=5)
    assert not hopeless([[np.zeros(20)]], 200, risk=0.05, looks=5)  # alike so far: it may still win
    assert not hopeless([], 200, risk=0.05, looks=5)


def test_with_several_objectives_worse_in_one_is_no_reason():
    gains = np.random.default_rng(4).normal(-0.2, 0.1, size=40)
    assert not hopeless([[gains, 3.0]], 200, risk=0.05, looks=5)  # worse, but cheaper
    assert hopeless([[gains, -3.0]], 200, risk=0.05, looks=5)
    assert hopeless([[gains, 3.0], [gains, 0.0]], 200, risk=0.05, looks=5)  # another rival is as cheap
