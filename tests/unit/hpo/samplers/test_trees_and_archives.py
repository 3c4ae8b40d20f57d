"""Random trees of parameters with Gaussian processes, against scikit-learn; archives of the best by cell."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import optuna
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from rag import ConfigError
from rag.hpo import MapElites, RandomDecompositions
from rag.hpo.samplers.history import Tried
from rag.hpo.samplers.map_elites import elites
from rag.hpo.samplers.random_decompositions import additive_kernel, posterior, random_tree
from tests.unit.hpo.samplers.test_samplers import branched_space, easy, plain_space, run

optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_trees_are_trees_and_all_are_as_likely():
    rng = np.random.default_rng(0)
    drawn = Counter(tuple(sorted(random_tree(4, rng))) for _ in range(3200))
    assert all(nx.is_tree(nx.Graph(tree)) for tree in drawn)
    assert len(drawn) == 16  # Cayley: 4 ** 2
    assert min(drawn.values()) > 140
    assert random_tree(1, rng) == [(0,)]
    assert random_tree(2, rng) == [(0, 1)]


def test_the_posterior_is_that_of_a_gaussian_process():
    rng = np.random.default_rng(0)
    points, scores = rng.random((12, 1)), rng.normal(size=7)
    kernel = RBF(0.4)
    model = GaussianProcessRegressor(kernel, alpha=0.3**2, optimizer=None).fit(points[:7], scores)
    expected = model.predict(points, return_std=True)
    np.testing.assert_allclose(posterior(kernel(points, points[:7]), scores, 0.3), expected, atol=1e-9)


def test_kernels_of_an_edge_multiply_and_edges_add_up():
    first, second, third = (np.full((1, 1), value) for value in (0.5, 0.4, 0.2))
    np.testing.assert_allclose(additive_kernel([first, second, third], [(0, 1), (1, 2)]), [[(0.2 + 0.08) / 2]])


@pytest.mark.parametrize("space", [plain_space(), branched_space()], ids=["plain", "branched"])
def test_no_point_is_tried_twice_and_seeds_repeat(space):
    def score(point):
        return float(len(point)) if "model" not in point else easy(point)

    first, again = (run(RandomDecompositions(), space, score, 12, seed=3)[1] for _ in range(2))
    assert again == first
    assert len({repr(sorted(point.items())) for point in first}) == 12


def test_it_finds_the_best_of_a_space_with_interactions():
    def score(point):
        return 1.0 if (point["model"], point["size"]) == ("b", 3) else 0.1 * point["k"]

    reached = [
        max(map(score, run(RandomDecompositions(), plain_space(), score, 20, seed=seed)[1])) for seed in range(5)
    ]
    assert np.mean(reached) > 0.8


def test_cells_hold_the_best():
    tried = [
        Tried({"n": n}, None, (quality, latency))
        for n, (quality, latency) in enumerate([(0.1, 1.0), (0.5, 2.0), (0.3, 3.0), (0.4, 4.0), (0.9, 9.0), (0.8, 9.5)])
    ]
    best = elites(tried, 3)
    assert {cell: entry.point["n"] for cell, entry in best.items()} == {(0,): 1, (1,): 3, (2,): 4}


def test_an_archive_is_filled_and_needs_a_dimension():
    space = plain_space()
    study = optuna.create_study(directions=["maximize", "minimize"])
    points = []
    for number in range(30):
        study.sampler = MapElites(startup=5).optuna(space, seed=0, n_begun=number)
        trial = study.ask()
        points.append(space.suggest(trial))
        study.tell(trial, (easy(points[-1]), points[-1]["k"]))
    assert len({repr(sorted(point.items())) for point in points}) == 30
    best = {k: max(easy(point) for point in points if point["k"] == k) for k in range(1, 5)}
    assert sum(best[k] > 0.75 - 0.05 * k for k in best) >= 3  # the best of a cell has model b and size 3 or 4
    with pytest.raises(ConfigError, match="needs a second objective to cut its cells by"):
        MapElites().check(space, 1)
