"""The adapters: what they learn, and what must hold whatever they learn."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from rag import ArtifactError, ConfigError, CosineAdapter, DataError, NotFittedError, QueryBatch, ScoreAdapter
from rag.filters.base import descending
from rag.filters.curves import logits, n_parameters, stretched
from rag.filters.features import in_deviations, list_features
from rag.filters.network import Bag, Recipe, forward, left_out
from rag.filters.platt import fit_platt, sigmoid
from rag.filters.score_adapter import _drawn
from tests.fakes import TableEmbedder
from tests.unit.rag.filters.world import World, candidates_of

FAMILIES = ("linear", "sqrt", "quadratic", "power")
SCORES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-9, -1e-9, 0.3, 0.30000001]) | st.floats(-1, 1, width=32)
ROWS = st.lists(st.lists(SCORES, max_size=6), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(n=120)


@pytest.fixture(scope="module", params=FAMILIES)
def adapter(request, world) -> ScoreAdapter:
    fitted = ScoreAdapter(family=request.param, networks=2, keep={"recall": 0.9})
    fitted.fit(world.context())
    return fitted


def area(values, relevant) -> float:
    return float(average_precision_score(relevant.ravel(), values.ravel()))


class TestWhatItLearns:
    def test_it_puts_queries_on_one_scale(self):
        seen, new = World.make(n=400), World.make(n=300, seed=1)
        adapter = CosineAdapter(embedder=seen.embedder, features="query", networks=3, keep={"recall": 0.9})
        unit = 1 / np.abs(seen.candidates.scores).max()
        for half in (seen, new):
            half.candidates = type(half.candidates)(
                half.candidates.documents, np.clip(half.candidates.scores * unit, -1, 1), half.candidates.passages
            )
        adapter.fit(seen.context())
        seen.embedder.rows = new.embedder.rows
        values = adapter.values(new.batch, new.candidates)
        raw, best = area(new.candidates.scores, new.relevant), area(new.logits, new.relevant)
        assert raw < best - 0.2
        assert area(values, new.relevant) > raw + 0.7 * (best - raw)
        kept = values >= adapter.threshold
        assert kept[new.relevant].mean() == pytest.approx(0.9, abs=0.04)
        assert values.mean() == pytest.approx(new.relevant.mean(), abs=0.03)

    def test_the_list_alone_tells_a_shifted_scale(self):
        seen, new = World.make(n=400, unit=3.0), World.make(n=200, seed=1, unit=3.0)
        adapter = ScoreAdapter(networks=3)
        adapter.fit(seen.context())
        learned = area(adapter.values(new.batch, new.candidates), new.relevant)
        raw, best = area(new.candidates.scores, new.relevant), area(new.logits, new.relevant)
        assert learned > raw + 0.6 * (best - raw)

    def test_the_calibration_queries_meet_the_target(self, world):
        for keep in ({"recall": 0.8}, {"precision": 0.5}, {"expected_relevant": 3.0}):
            adapter = ScoreAdapter(networks=2, keep=keep)
            adapter.fit(world.context())
            (target, value), cut = next(iter(keep.items())), adapter.cut
            achieved = {
                "recall": cut.recall,
                "precision": cut.precision,
                "expected_relevant": cut.recall * cut.relevant / cut.queries,
            }[target]
            assert achieved >= value

    def test_calibration_queries_are_not_those_that_a_network_saw(self):
        for n, networks in ((20, 1), (57, 10), (100, 4)):
            outside = left_out(n, networks, seed=3)
            assert outside.shape == (networks, n)
            assert 0.2 <= outside.mean() <= 0.4
            assert not outside.all(axis=1).any()
            if networks == 10:
                assert np.unique(outside.sum(axis=0)).tolist() == [3]

    def test_the_prior_is_that_of_the_lists(self, world):
        adapter = ScoreAdapter(networks=2, negatives=3)  # learns from few of the irrelevant ones
        rows, values = adapter.learn(world.batch, world.candidates, world.relevant, world.context())
        assert values.mean() == pytest.approx(world.relevant[rows].mean(), abs=1e-3)

    def test_one_seed_gives_one_adapter(self, world):
        def values(seed):
            adapter = ScoreAdapter(networks=2)
            adapter.fit(world.context(seed=seed))
            return adapter.values(world.batch, world.candidates)

        assert values(1).tolist() == values(1).tolist()
        assert values(1).tolist() != values(2).tolist()

    def test_saved_and_loaded_it_gives_identical_scores(self, adapter, world, tmp_path):
        adapter.save_state(tmp_path)
        again = adapter.spec.clone()
        again.load_state(tmp_path, world.context())
        assert (
            adapter.values(world.batch, world.candidates).tolist()
            == again.values(world.batch, world.candidates).tolist()
        )
        assert adapter.cut == again.cut
        assert not list(tmp_path.glob("*.pkl"))

    def test_the_papers_form(self, world):
        few = World.make(n=60, k=10)
        adapter = CosineAdapter(
            embedder=few.embedder, features="query", family="power", monotone=False, network="paper", networks=1
        )
        adapter.fit(few.context())
        candidates = adapter.process(few.batch, few.candidates)
        assert np.isfinite(candidates.scores[candidates.mask]).all()
        # Ordered by what it says, whatever that is.
        assert (candidates.scores[:, 1:] <= candidates.scores[:, :-1]).all()
        assert not adapter.keeps_order


class TestOrder:
    @given(rows=ROWS)
    def test_the_order_within_a_query_never_changes(self, adapter, rows):
        given_ = candidates_of(rows)
        batch = QueryBatch([None] * len(rows))
        everything = copy.copy(adapter)
        everything.cut = replace(adapter.cut, threshold=0.0)
        candidates = everything.process(batch, given_)
        assert given_.documents.tolist() == candidates.documents.tolist()
        assert ((candidates.scores >= 0) & (candidates.scores <= 1))[candidates.mask].all()
        cut = adapter.process(batch, given_)
        for before, after in zip(given_.documents.tolist(), cut.documents.tolist(), strict=True):
            kept = [position for position in after if position >= 0]
            assert before[: len(kept)] == kept

    @given(
        st.lists(st.lists(st.sampled_from([0.0, 1e-38, 0.5, 1.0]) | st.floats(0, 1, width=32), min_size=4, max_size=4))
    )
    def test_lists_of_sure_things_stay_in_order(self, rows):
        given_ = np.array(rows, dtype=np.float32).reshape(-1, 4)
        descended = descending(given_)
        assert (descended[:, 1:] < descended[:, :-1]).all()
        assert (descended > 0).all()
        falling = np.minimum.accumulate(np.maximum(given_, 1e-30), axis=1)
        np.testing.assert_allclose(falling, descended, rtol=1e-6)


class TestCurves:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_scores_of_zero_and_below_have_finite_values_and_gradients(self, family):
        import torch

        x = torch.tensor([[-1.0, -0.3, -1e-9, 0.0, 1e-9, 0.3, 1.0]])
        raw = torch.tensor([[0.3, -0.2, 0.7][: n_parameters(family)]], requires_grad=True)
        values = logits(raw, x, family, torch, slope=2.0, offset=-1.0, monotone=True)
        values.sum().backward()
        assert torch.isfinite(values).all()
        assert torch.isfinite(raw.grad).all()
        assert (torch.diff(values) >= 0).all()
        assert values[0, 3].item() == pytest.approx(raw[0, 1].item() - 1.0)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_numpy_and_torch_agree(self, family):
        import torch

        rng = np.random.default_rng(0)
        raw = rng.normal(size=(5, n_parameters(family))).astype(np.float32)
        x = rng.normal(size=(5, 9)).astype(np.float32)
        by_numpy = logits(raw, x, family, np, slope=1.5, offset=0.5, monotone=True)
        other = logits(torch.tensor(raw), torch.tensor(x), family, torch, slope=1.5, offset=0.5, monotone=True)
        np.testing.assert_allclose(by_numpy, other.numpy(), rtol=1e-5, atol=1e-6)

    def test_the_formulas(self):
        x = np.array([[-0.25, 0.25]])
        for family, expected in (("linear", 0.25), ("sqrt", 0.5), ("quadratic", 0.0625)):
            np.testing.assert_allclose(stretched(x, family, np), [[-expected, expected]])
        np.testing.assert_allclose(stretched(x, "power", np, np.array([[3.0]])), [[-1 / 64, 1 / 64]])

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_bag_is_the_mean_of_its_networks(self, family):
        rng = np.random.default_rng(1)
        shapes = {"w1": (3, 4, 6), "b1": (3, 1, 6), "w2": (3, 6, 6), "b2": (3, 1, 6), "w3": (3, 6, 3), "b3": (3, 1, 3)}
        weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        bag = Bag(Recipe(family, True, "small", 3, 1.3, -0.7), weights)
        features, x = rng.normal(size=(5, 4)).astype(np.float32), rng.normal(size=(5, 7)).astype(np.float32)
        raw = forward(weights, features)
        each = [logits(network, x, family, np, slope=1.3, offset=-0.7, monotone=True) for network in raw]
        np.testing.assert_allclose(np.mean(each, axis=0), bag(features, x), rtol=1e-4, atol=1e-4)


class TestInputs:
    def test_features_of_short_and_empty_lists_are_finite(self):
        features = list_features(candidates_of([[0.9, 0.5, 0.1], [0.4], [], [0.2, 0.2]]), depth=100)
        assert np.isfinite(features).all()
        assert (features[2, :1] == 0).all()

    def test_standardized_scores(self):
        z, mean, spread = in_deviations(candidates_of([[3.0, 2.0, 1.0], [5.0]]))
        np.testing.assert_allclose([[1.2247449, 0, -1.2247449], [0, -np.inf, -np.inf]], z, rtol=1e-6)
        np.testing.assert_allclose([[2.0], [5.0]], mean)
        assert spread[0] == pytest.approx(0.8164966)

    @given(st.integers(1, 6), st.integers(0, 1000))
    def test_what_is_drawn_stands_for_all(self, most, seed):
        rng = np.random.default_rng(seed)
        mask = np.arange(9) < rng.integers(0, 10, size=5)[:, None]
        mask[0] = True
        relevant = (rng.random((5, 9)) < 0.4) & mask
        columns, weight = _drawn(mask, relevant, most, rng)
        at = np.maximum(columns, 0)
        labels = np.take_along_axis(relevant, at, 1)
        for kind, drawn in ((relevant, labels), (mask & ~relevant, ~labels)):
            np.testing.assert_allclose(kind.sum(axis=1), (weight * drawn).sum(axis=1), rtol=1e-5)
            assert ((weight > 0) & drawn).sum(axis=1).max() <= most
        assert (weight[columns < 0] == 0).all()

    def test_platt_against_scikit_learn(self):
        from sklearn.linear_model import LogisticRegression

        rng = np.random.default_rng(0)
        scores = rng.normal(5.0, 3.0, size=4000)
        relevant = rng.random(4000) < sigmoid(0.8 * scores - 6.0)
        slope, offset = fit_platt(scores, relevant)
        other = LogisticRegression(C=1e9, tol=1e-8).fit(scores[:, None], relevant)
        assert (other.coef_[0, 0], other.intercept_[0]) == pytest.approx((slope, offset), abs=0.02)
        assert sigmoid(slope * scores + offset).mean() == pytest.approx(relevant.mean(), abs=1e-3)
        assert fit_platt(-scores, relevant)[0] > 0  # an order is never turned round
        assert np.isfinite(fit_platt(np.array([0.0, 0.0, 1.0]), np.array([False, False, True]))).all()


class TestMistakes:
    def test_no_relevant_candidates(self, world):
        with pytest.raises(DataError, match=r"'score_adapter' learns from relevant and other candidates .* none is"):
            ScoreAdapter().fit(world.context(judged=False))

    def test_few_queries(self):
        with pytest.raises(DataError, match="needs at least 10 training queries, got 9"):
            ScoreAdapter().fit(World.make(n=9).context())

    def test_a_target_out_of_reach(self, world):
        with pytest.raises(DataError, match=r"keep.precision 1 cannot be met .* the best is 0\.\d+"):
            ScoreAdapter(networks=1, keep={"precision": 1.0}).fit(World.make(n=60, k=40, base=-6.0, seed=2).context())

    def test_scores_that_are_no_cosines(self):
        logit = World.make(n=20, unit=5.0)
        with pytest.raises(
            DataError, match=r"'cosine_adapter' takes cosines, between -1 and 1, .* 'q\d+'.*score_adapter"
        ):
            CosineAdapter(embedder=logit.embedder).fit(logit.context())

    def test_features_without_their_embedder(self):
        with pytest.raises(ConfigError, match="'score_adapter': features 'query' need the embedder"):
            ScoreAdapter(features="query")
        CosineAdapter(embedder=None)  # takes the retriever's

    def test_another_embedder_than_it_was_fitted_with(self, tmp_path):
        few = World.make(n=20, k=5)
        adapter = ScoreAdapter(embedder=few.embedder, features="query", networks=1)
        adapter.fit(few.context())
        adapter.save_state(tmp_path)
        other = TableEmbedder(size=5)
        with pytest.raises(ArtifactError, match="fitted with another embedder"):
            ScoreAdapter(embedder=other, features="query", networks=1).load_state(tmp_path, few.context())
        few.embedder.rows = few.embedder.rows[:, :5]
        few.embedder.size = 5
        few.batch._remembered.clear()
        with pytest.raises(DataError, match="query embeddings of 8 dimensions and is asked with 5"):
            adapter.values(few.batch, few.candidates)

    def test_asked_before_it_is_fitted(self, world):
        with pytest.raises(NotFittedError, match="'score_adapter' has not been fitted"):
            ScoreAdapter().process(world.batch, world.candidates)
