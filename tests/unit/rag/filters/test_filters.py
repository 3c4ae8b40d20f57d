"""The other filters, and what holds for all of them in a pipeline."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import (
    LSA,
    ConfigError,
    Conformal,
    CosineAdapter,
    DataError,
    Document,
    GapFilter,
    Isotonic,
    Pipeline,
    Platt,
    Query,
    QueryBatch,
    ScoreAdapter,
    Store,
    Threshold,
    Training,
)
from rag.retrievers import BM25, Dense
from tests.unit.rag.filters.world import World, candidates_of

ROWS = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 0.5, 1.0, -1.0, 60.0]) | st.floats(-9, 9, width=32), max_size=6),
    min_size=1,
    max_size=4,
)


def batch_of(rows) -> QueryBatch:
    return QueryBatch([Query(str(number), "x") for number in range(len(rows))])


def lists(candidates):
    return [[p for p in row if p >= 0] for row in candidates.documents.tolist()]


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(n=200, k=20)


class TestGap:
    @given(ROWS)
    def test_by_default_it_cuts_at_the_largest_drop(self, rows):
        candidates = candidates_of(rows)
        expected = []
        for row, scores in zip(lists(candidates), candidates.scores.tolist(), strict=True):
            drops = [a - b for a, b in pairwise(scores[: len(row)])]
            largest = max(drops, default=0)
            # the last of those that are equally large in float32; a list without any is kept whole
            at = max(n for n, drop in enumerate(drops) if np.float32(drop / largest) == 1) + 1 if largest else len(row)
            expected.append(row[:at])
        assert lists(GapFilter().process(batch_of(rows), candidates)) == expected

    def test_a_lower_share_cuts_later(self):
        candidates = candidates_of([[10.0, 9.0, 4.0, 3.0, 0.5, 0.4]])
        for share, expected in ((1.0, 2), (0.5, 4), (0.2, 4), (0.01, 5)):
            gap = GapFilter(keep={"threshold": share})
            values = gap.values(batch_of([0]), candidates)
            assert int((values >= share).sum()) == expected

    def test_it_looks_at_the_head_only(self):
        candidates = candidates_of([[10.0, 9.0, 8.5, 0.0]])
        assert lists(GapFilter(top_k=3).process(batch_of([0]), candidates)) == [[0]]


class TestThreshold:
    @pytest.mark.parametrize("scale", ["raw", "max", "z_score"])
    def test_it_learns_where_to_cut(self, world, scale):
        threshold = Threshold(keep={"recall": 0.9}, scale=scale)
        threshold.fit(world.context())
        candidates = threshold.process(world.batch, world.candidates)
        kept = np.arange(20) < candidates.counts[:, None]
        assert kept[world.relevant].mean() == pytest.approx(threshold.cut.recall)
        assert threshold.cut.recall >= 0.9
        hits = np.sort(threshold.values(world.batch, world.candidates)[world.relevant])[::-1]
        assert np.float32(threshold.threshold) == hits[int(np.ceil(0.9 * len(hits))) - 1]  # the largest that does

    def test_scales(self):
        candidates = candidates_of([[4.0, 2.0, 0.0], [-1.0, -3.0]])
        batch = batch_of([0, 0])
        for scale, expected in (
            ("raw", [[4, 2, 0], [-1, -3, -np.inf]]),
            ("max", [[1, 0.5, 0], [-1, -3, -np.inf]]),
            ("z_score", [[1.2247449, 0, -1.2247449], [1, -1, -np.inf]]),
        ):
            np.testing.assert_allclose(Threshold(scale=scale).values(batch, candidates), expected, rtol=1e-6)

    def test_two_thresholds_at_once(self):
        with pytest.raises(ConfigError, match="keep chooses the threshold, so min_score cannot be given too"):
            Threshold(keep={"recall": 0.9}, min_score=0.5)


class TestCalibration:
    @pytest.mark.parametrize("make", [Platt, Isotonic])
    def test_probabilities_are_those_of_the_training_queries(self, world, make):
        calibrated = make(keep={"recall": 0.9})
        calibrated.fit(world.context())
        values = calibrated.values(world.batch, world.candidates)
        assert values.mean() == pytest.approx(world.relevant.mean(), abs=2e-3)
        assert calibrated.cut.recall >= 0.9
        order = np.argsort(world.candidates.scores.ravel())
        assert (np.diff(values.ravel()[order]) >= 0).all()  # one rising curve

    def test_isotonic_is_scikit_learns(self, world):
        from sklearn.isotonic import IsotonicRegression

        isotonic = Isotonic()
        isotonic.fit(world.context())
        other = IsotonicRegression(out_of_bounds="clip").fit(world.candidates.scores.ravel(), world.relevant.ravel())
        new = World.make(n=30, k=20, seed=5)
        expected = other.predict(new.candidates.scores.ravel())
        np.testing.assert_allclose(expected, isotonic.values(new.batch, new.candidates).ravel(), atol=1e-5)


class TestConformal:
    def test_the_promise_is_kept_on_average(self):
        recalls = []
        for seed in range(60):
            seen, new = World.make(n=60, k=15, seed=seed), World.make(n=60, k=15, seed=1000 + seed)
            conformal = Conformal(keep={"recall": 0.9})
            conformal.fit(seen.context())
            kept = conformal.values(new.batch, new.candidates) >= conformal.threshold
            n = new.relevant.sum(axis=1)
            recalls.append(np.where(n > 0, (kept & new.relevant).sum(axis=1) / np.maximum(n, 1), 1.0).mean())
        assert np.mean(recalls) >= 0.9 - 2 * np.std(recalls) / len(recalls) ** 0.5
        assert np.mean(recalls) <= 0.95  # and not by keeping everything

    def test_the_threshold_against_every_threshold_tried(self, world):
        conformal = Conformal(keep={"recall": 0.8})
        conformal.fit(world.context())
        values, n = conformal.values(world.batch, world.candidates), len(world.batch)
        share = world.relevant / np.maximum(world.relevant.sum(axis=1, keepdims=True), 1)
        safe = [
            t for t in np.unique(values[world.relevant]) if (share * (values < t)).sum() + 1 <= (n + 1) * 0.2 + 1e-9
        ]
        assert np.float32(conformal.threshold) == max(safe)

    def test_it_takes_the_scale_of_what_it_holds(self, world):
        conformal = Conformal(filter=ScoreAdapter(networks=1), keep={"recall": 0.8})
        conformal.fit(world.context())
        candidates = conformal.process(world.batch, world.candidates)
        assert ((candidates.scores > 0) & (candidates.scores <= 1))[candidates.mask].all()
        assert conformal.gives_probabilities

    def test_other_promises_are_not_made(self):
        for keep in ({"precision": 0.9}, {"recall": 1.0}):
            with pytest.raises(ConfigError, match="keep must be a recall below 1"):
                Conformal(keep=keep)

    def test_few_queries_promise_little(self):
        with pytest.raises(DataError, match="a guaranteed recall of 0.99 needs at least 99 training queries, got 50"):
            Conformal(keep={"recall": 0.99}).fit(World.make(n=50).context())


# -- in a pipeline --------------------------------------------------------------------------------------------------

SUBJECTS = [f"topic{number}" for number in range(24)]
DOCUMENTS = [
    Document(f"{subject}-{number}", f"{subject} word{number} filler" if number < 2 else f"word{number} word{n} filler")
    for n, subject in enumerate(SUBJECTS)
    for number in range(4)
]
QUERIES = [Query(subject, f"{subject} word{n % 4}") for n, subject in enumerate(SUBJECTS)]
TRAINING = Training(QUERIES[:18], {subject: {f"{subject}-0": 1, f"{subject}-1": 1} for subject in SUBJECTS})


def stages():
    return [
        Threshold(keep={"recall": 0.9}),
        GapFilter(keep={"f_beta": 1.0}),
        Platt(keep={"precision": 0.5}),
        Isotonic(keep={"expected_relevant": 1.0}),
        Conformal(keep={"recall": 0.8}),
        ScoreAdapter(networks=1, keep={"threshold": 0.3}),
        CosineAdapter(embedder=LSA(dim=32, stop_words=False), networks=2),
    ]


@pytest.mark.parametrize("stage", stages(), ids=lambda stage: stage.type)
def test_fitted_through_a_store_saved_and_loaded(stage, tmp_path):
    def make():
        return Pipeline(retriever=Dense(embedder=LSA(dim=32, stop_words=False), top_k=12), stages=[stage.spec.clone()])

    store = Store(tmp_path / "store")
    first, second = (make().fit(DOCUMENTS, training=TRAINING, store=store) for _ in range(2))
    assert first.stages[0].cut == second.stages[0].cut
    assert f"stage {stage.type}" in second.reused
    first.save(tmp_path / "index")
    third = Pipeline.load(tmp_path / "index")
    asked = QUERIES[18:]
    answers = [[(h.document.id, h.score) for h in result] for result in first.search(asked)]
    for other in (second, third):
        assert answers == [[(h.document.id, h.score) for h in result] for result in other.search(asked)]
    explained = [hit for result in first.search(asked, explain=True) for hit in result]
    assert explained
    for hit in explained:  # the cosine beside what the filter made of it
        assert set(hit.explanation) == {"retriever", f"stages.0 {stage.type}"}
        assert hit.score == hit.explanation[f"stages.0 {stage.type}"]
        if not first.stages[0].gives_probabilities:
            assert hit.score == hit.explanation["retriever"]
    store.close()


def test_behind_scores_of_any_kind_and_other_filters():
    pipeline = Pipeline(
        retriever=BM25(top_k=12),
        stages=[
            ScoreAdapter(networks=1, keep={"threshold": 1e-6}),
            Threshold(keep={"recall": 0.9}),
            GapFilter(),
        ],
    )
    pipeline.fit(DOCUMENTS, training=TRAINING)
    assert all(0 < hit.score <= 1 for result in pipeline.search(QUERIES) for hit in result)


def test_nothing_relevant_nothing_returned():
    pipeline = Pipeline(retriever=BM25(top_k=12), stages=[Threshold(keep={"precision": 0.9})])
    pipeline.fit(DOCUMENTS, training=TRAINING)
    assert list(pipeline.search("filler")) == []
    assert list(pipeline.search("unheard of")) == []
    assert "topic20-0" in [hit.document.id for hit in pipeline.search("topic20 word0")]


def test_without_judged_queries_it_says_so():
    pipeline = Pipeline(retriever=BM25(), stages=[Platt()])
    with pytest.raises(ConfigError, match=r"stages\.0 \('platt'\) learns from judged training queries"):
        pipeline.fit(DOCUMENTS)
    pipeline = Pipeline(retriever=BM25(), stages=[Threshold(min_score=0.1), GapFilter()])
    pipeline.fit(DOCUMENTS)  # these need none
