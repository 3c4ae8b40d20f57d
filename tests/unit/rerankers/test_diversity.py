"""Stages that choose a list as a set, against plain loops over what their functions say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import LSA, Document, Pipeline
from rag.rerankers import DPP, MMR, FacilityLocation
from rag.retrievers import BM25, Dense
from tests.fakes import WordEmbedder


def world(seed, q=3, k=6, d=4):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(q, k, d))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    relevance = np.sort(rng.random((q, k)))[:, ::-1]
    return relevance.astype(np.float32), (vectors @ vectors.transpose(0, 2, 1)).astype(np.float32)


@given(st.integers(0, 200), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_mmr_is_its_formula(seed, weight):
    relevance, similarity = world(seed)
    chosen = MMR(relevance_weight=weight).choose(relevance, similarity, 4)
    for row in range(len(relevance)):
        expected = []
        for _ in range(4):
            gains = {
                column: weight * relevance[row, column]
                - (1 - weight) * max([0.0, *(similarity[row, column, other] for other in expected)])
                for column in range(6)
                if column not in expected
            }
            expected.append(max(gains, key=lambda column: (round(float(gains[column]), 6), -column)))
        assert chosen[row].tolist() == expected


@settings(max_examples=40)
@given(st.integers(0, 200))
def test_facility_location_is_near_the_best_set(seed):
    relevance, similarity = world(seed, q=2)
    stage = FacilityLocation(relevance_weight=0.3)
    chosen = stage.choose(relevance, similarity, 3)
    for row in range(len(relevance)):
        weights = np.exp((relevance[row] - 1) / stage.temperature)
        weights /= weights.sum()

        def value(members, row=row, weights=weights):
            members = list(members)
            covered = np.maximum(similarity[row][members].max(axis=0), 0.0)
            return float((weights * covered).sum() + stage.relevance_weight * relevance[row][members].sum() / 3)

        best = max(value(members) for members in itertools.combinations(range(6), 3))
        assert value(chosen[row]) >= (1 - 1 / np.e) * best - 1e-6
        gains = [value(chosen[row][: n + 1]) for n in range(3)]
        assert gains == sorted(gains)


@settings(max_examples=40)
@given(st.integers(0, 200), st.sampled_from([0.0, 1.0, 3.0]))
def test_dpp_is_the_greedy_largest_determinant(seed, alpha):
    relevance, similarity = world(seed)
    chosen = DPP(alpha=alpha).choose(relevance, similarity, 3)
    for row in range(len(relevance)):
        r = np.exp(alpha * relevance[row].astype(np.float64))
        kernel = r[:, None] * similarity[row].astype(np.float64) * r
        expected = []
        for _ in range(3):
            dets = {
                c: np.linalg.det(kernel[np.ix_([*expected, c], [*expected, c])]) for c in range(6) if c not in expected
            }
            expected.append(max(dets, key=dets.__getitem__))
        same = np.linalg.slogdet(kernel[np.ix_(chosen[row], chosen[row])])[1]
        assert same == pytest.approx(np.linalg.slogdet(kernel[np.ix_(expected, expected)])[1], abs=1e-3)


COPIES = [
    Document("a", "red apple pie with cinnamon"),
    Document("b", "red apple pie with cinnamon"),
    Document("c", "apple orchard in spring"),
    Document("d", "blue boat on a lake"),
]


@pytest.mark.parametrize(
    "stage",
    [
        MMR(relevance_weight=0.4, n_chosen=2),
        FacilityLocation(relevance_weight=0.1, temperature=2.0, n_chosen=2),
        DPP(alpha=1.0, n_chosen=2),
    ],
)
def test_a_copy_is_not_chosen_twice(stage):
    stage = type(stage)(**(stage.spec.arguments | {"embedder": WordEmbedder(size=32)}))
    plain = Pipeline(retriever=BM25(stopwords=None)).fit(COPIES)
    diverse = Pipeline(retriever=BM25(stopwords=None), stages=[stage]).fit(COPIES)
    assert [hit.document.id for hit in plain.search("red apple pie")][:2] == ["a", "b"]
    results = diverse.search("red apple pie")
    assert [hit.document.id for hit in results][:2] == ["a", "c"]
    assert sorted(hit.document.id for hit in results) == sorted(
        hit.document.id for hit in plain.search("red apple pie")
    )
    scores = [hit.score for hit in results]
    assert scores == sorted(scores, reverse=True)


def test_what_is_behind_the_head_stays_and_documents_come_and_go():
    stage = MMR(embedder=LSA(dim=3, stop_words=False), depth=1)
    pipeline = Pipeline(retriever=Dense(embedder=LSA(dim=3, stop_words=False)), stages=[stage]).fit(COPIES[:3])
    plain = Pipeline(retriever=Dense(embedder=LSA(dim=3, stop_words=False))).fit(COPIES[:3])
    assert [hit.document.id for hit in pipeline.search("apple")] == [hit.document.id for hit in plain.search("apple")]
    pipeline.add([COPIES[3]])
    pipeline.delete(["a"])
    assert {hit.document.id for hit in pipeline.search("apple lake")} <= {"b", "c", "d"}
    assert pipeline.search("qqq") is not None
