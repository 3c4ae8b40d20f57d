"""Fronts and careful choice, against slow or simple references."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rag.hpo.results.choice import one_standard_error, pareto

DIRECTIONS = st.lists(st.sampled_from(["maximize", "minimize"]), min_size=2, max_size=3)
TABLES = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(0, 5).map(float))


def beats(a, b, directions):
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    pairs = [(s * x, s * y) for s, x, y in zip(signs, a, b, strict=True)]
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


@given(TABLES, DIRECTIONS)
def test_the_front_is_what_nothing_beats(table, directions):
    values = table[:, : len(directions)]
    expected = [n for n, row in enumerate(values) if not any(beats(other, row, directions) for other in values)]
    assert pareto(values, directions).tolist() == expected


def test_one_standard_error_takes_the_cheapest_of_those_alike():
    rng = np.random.default_rng(0)
    queries = rng.normal(0.5, 0.3, size=200)
    values = np.stack([queries + rng.normal(gain, 0.05, size=200) for gain in (0.10, 0.099, 0.0)])
    assert one_standard_error(values, np.array([3.0, 2.0, 1.0])) == 1
    assert int(np.argmax(values.mean(axis=1))) == one_standard_error(values, np.array([0.0, 0.0, 0.0]))


def test_one_query_is_no_evidence():
    assert one_standard_error(np.array([[0.3], [0.4]]), np.array([1.0, 2.0])) == 1
