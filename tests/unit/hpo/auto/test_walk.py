"""The walk: what comes next, what is kept, and what there is no time for."""

from __future__ import annotations

import numpy as np
import pytest

from rag.config.source import node_from_python
from rag.hpo.auto.walk import Guesses, walk
from rag.hpo.execution.trials import Finished
from rag.hpo.objectives import Objective
from rag.hpo.space.point import point_key
from rag.hpo.space.space import Space

GOAL = Objective("nDCG@10", "maximize")
NOISE = np.random.default_rng(0).normal(0, 0.01, size=200)


def space(**arguments) -> Space:
    parsed = Space.parse(
        node_from_python({"type": "pipeline", "retriever": {"type": "bm25", **arguments}}), mistakes=(wrong := [])
    )
    assert wrong == []
    return parsed


def numbers(name, choices, default):
    return {"tune": "categorical", "name": name, "choices": choices, "default": default}


def walked(where, quality, *, guesses=None, budget=None, seconds=1.0):
    """Follow the walk to its end, with ``quality(point)`` as the mean."""
    trials, order = {}, []
    guesses = guesses or Guesses({}, {})
    while (state := walk(where, guesses, GOAL, trials, budget)).following is not None:
        point = state.following
        assert point_key(point) not in trials
        values = 0.5 + quality(point) + NOISE * (len(order) + 1)
        mean = {"nDCG@10": float(values.mean())}
        number = len(order)
        trials[point_key(point)] = Finished(number, "complete", point, mean, {"nDCG@10": values}, 200, seconds, seconds)
        order.append(point)
    return state, order


def test_it_climbs_numbers_and_keeps_what_wins():
    where = space(k1=numbers("k1", [0.5, 1.0, 1.5, 2.0, 2.5], 1.0), b=numbers("b", [0.2, 0.4, 0.6], 0.4))
    state, order = walked(where, lambda point: -((point["k1"] - 2.0) ** 2) + 0.0 * point["b"])
    assert order[0] == {"k1": 1.0, "b": 0.4}
    assert state.best.point["k1"] == 2.0
    assert state.best.point["b"] == 0.4  # what changes nothing stays as it was


@pytest.mark.parametrize(("gain", "kept"), [(0.005, False), (0.02, False), (0.026, True)])
def test_a_gain_that_may_be_chance_is_left(gain, kept):
    """The standard error is 0.0128, of which a gain has to be 1.65."""
    where = space(k1=numbers("k1", [1.0, 2.0], 1.0))
    noise = np.random.default_rng(1).normal(0, 0.2, size=200)

    def run(point, trials):
        values = 0.5 + (noise - noise.mean() + gain if point["k1"] == 2.0 else 0 * noise)
        mean = {"nDCG@10": float(values.mean())}
        trials[point_key(point)] = Finished(len(trials), "complete", point, mean, {"nDCG@10": values}, 200, 1.0, 1.0)

    trials = {}
    while (state := walk(where, Guesses({}, {}), GOAL, trials, None)).following is not None:
        run(state.following, trials)
    assert {"k1": 2.0 if kept else 1.0} == state.best.point
    step = state.steps[0]
    assert (kept, pytest.approx(gain)) == (step.kept, step.gain)
    assert 0.0120 < step.error < 0.0150


def test_the_largest_gain_a_second_comes_first():
    where = space(k1=numbers("k1", [1.0, 2.0], 1.0), b=numbers("b", [0.2, 0.4], 0.4))
    _, order = walked(where, lambda point: 0.0, guesses=Guesses({"k1": 0.01, "b": 0.02}, {}))
    assert order[1] == {"k1": 1.0, "b": 0.2}
    _, order = walked(where, lambda point: 0.0, guesses=Guesses({"k1": 0.01, "b": 0.02}, {"b": "learn"}))
    assert order[1] == {"k1": 2.0, "b": 0.4}


def test_what_takes_longer_than_what_is_left_is_not_begun():
    where = space(k1=numbers("k1", [1.0, 2.0], 1.0), b=numbers("b", [0.2, 0.4], 0.4))
    state, order = walked(where, lambda point: 0.0, guesses=Guesses({}, {"b": "encode"}), budget=2.5)
    assert order == [{"k1": 1.0, "b": 0.4}, {"k1": 2.0, "b": 0.4}]
    assert state.skipped == {"b": 1.0}


def test_a_failed_trial_is_passed_over():
    where = space(k1=numbers("k1", [1.0, 2.0], 1.0))
    start, other = {"k1": 1.0}, {"k1": 2.0}
    values = {"nDCG@10": NOISE}
    trials = {
        point_key(start): Finished(0, "complete", start, {"nDCG@10": 0.0}, values, 200, 1.0, 1.0),
        point_key(other): Finished(1, "failed", other, reason="no model"),
    }
    state = walk(where, Guesses({}, {}), GOAL, trials, None)
    assert state.following is None
    assert state.best.point == start
