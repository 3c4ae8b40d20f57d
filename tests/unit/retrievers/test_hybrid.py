"""Fusion against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import Candidates, Corpus, Document, FitContext, Passages, Query, QueryBatch
from rag.retrievers import BM25, RRF, Hybrid, MinMax, ZScore
from rag.retrievers.hybrid import fuse

N = 3
SCORES = st.sampled_from([-3.0, -0.5, 0.0, 0.25, 1.0, 7.0]) | st.floats(-100, 100, width=32)


@st.composite
def lists(draw, n=N):
    """One retriever's table: per query a list of unique documents with scores."""
    rows = []
    for _ in range(n):
        documents = draw(st.lists(st.integers(0, 9), unique=True, max_size=6))
        rows.append([(document, draw(SCORES)) for document in documents])
    width = max(map(len, rows))
    positions = np.full((n, width), -1, dtype=np.int64)
    scores = np.full((n, width), -np.inf, dtype=np.float32)
    for row, pairs in enumerate(rows):
        for column, (document, score) in enumerate(pairs):
            positions[row, column], scores[row, column] = document, score
    return Candidates.from_scores(positions, scores, np.where(positions >= 0, positions * 10, -1))


def naive(fusion, pairs):
    """Contribution by document, and that of a document that is not in the list."""
    scores = [score for _, score in pairs]
    if isinstance(fusion, RRF):
        return {document: 1 / (fusion.k + rank) for rank, (document, _) in enumerate(pairs, 1)}, 0.0
    if not pairs:
        return {}, 0.0
    if isinstance(fusion, MinMax):
        low, high = min(scores), max(scores)
        return {document: (score - low) / (high - low) if high > low else 1.0 for document, score in pairs}, 0.0
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / len(scores))
    standardized = {document: (score - mean) / deviation if deviation > 1e-12 else 0.0 for document, score in pairs}
    return standardized, min(standardized.values())


def pairs_of(table, row):
    return [(p, s) for p, s in zip(table.documents[row].tolist(), table.scores[row].tolist(), strict=True) if p >= 0]


FUSIONS = st.sampled_from([RRF(), RRF(k=0), RRF(k=7.5), MinMax(), ZScore()])


@given(st.lists(lists(), min_size=2, max_size=4), FUSIONS, st.data())
def test_fused_scores_are_those_of_a_plain_loop(tables, fusion, data):
    weights = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=len(tables), max_size=len(tables)))
    candidates = fuse(tables, weights, fusion, 100)
    for row in range(N):
        parts = [naive(fusion, pairs_of(table, row)) for table in tables]
        documents = sorted({document for values, _ in parts for document in values})
        expected = {
            document: sum(
                w * values.get(document, missing) for w, (values, missing) in zip(weights, parts, strict=True)
            )
            for document in documents
        }
        actual = dict(pairs_of(candidates, row))
        assert sorted(expected) == sorted(actual)
        np.testing.assert_allclose([expected[d] for d in actual], list(actual.values()), rtol=1e-5, atol=1e-5)
        keys = [(-score, document) for document, score in pairs_of(candidates, row)]
        assert sorted(keys) == keys
    assert (candidates.passages[candidates.mask] == candidates.documents[candidates.mask] * 10).all()


@given(st.lists(lists(), min_size=2, max_size=3), FUSIONS, st.integers(1, 8))
def test_a_cut_is_the_head_of_the_whole(tables, fusion, top_k):
    weights = [1.0] * len(tables)
    whole, cut = fuse(tables, weights, fusion, 100), fuse(tables, weights, fusion, top_k)
    assert whole.documents[:, :top_k].tolist() == cut.documents.tolist()
    assert whole.scores[:, :top_k].tolist() == cut.scores.tolist()


@given(st.lists(lists(), min_size=2, max_size=3), FUSIONS)
def test_the_order_of_the_lists_does_not_matter(tables, fusion):
    weights = [1.0, 2.0, 0.5][: len(tables)]
    forwards, other = fuse(tables, weights, fusion, 100), fuse(tables[::-1], weights[::-1], fusion, 100)
    for row in range(N):
        mine, theirs = dict(pairs_of(forwards, row)), dict(pairs_of(other, row))
        assert sorted(mine) == sorted(theirs)
        np.testing.assert_allclose([mine[key] for key in mine], [theirs[key] for key in mine], rtol=1e-5, atol=1e-6)


@given(lists(), st.floats(0.1, 10), st.floats(-50, 50))
def test_scaled_scores_fuse_alike(table, factor, shift):
    """Min-max and z-score take the scale away, whatever it is."""
    scaled = Candidates(
        table.documents,
        np.where(table.mask, table.scores * np.float32(factor) + np.float32(shift), -np.inf),
        table.passages,
    )
    for fusion in (MinMax(), ZScore()):
        for row in range(N):
            spread = [score for _, score in pairs_of(table, row)]
            if spread and max(spread) - min(spread) > 0.2:
                plain, other = (fusion.contributions(t)[0][row][t.mask[row]] for t in (table, scaled))
                np.testing.assert_allclose(plain, other, atol=2e-2)


def test_the_passage_is_that_of_the_list_that_contributes_most():
    first = Candidates.from_scores(np.array([[5, 6]]), np.array([[2.0, 1.0]]), np.array([[50, 60]]))
    other = Candidates.from_scores(np.array([[6, 5]]), np.array([[2.0, 1.0]]), np.array([[61, 51]]))
    candidates = fuse([first, other], [1.0, 1.0], RRF(), 10)
    assert ([[5, 6]], [[50, 61]]) == (candidates.documents.tolist(), candidates.passages.tolist())
    assert fuse([first, other], [1.0, 5.0], RRF(k=1), 10).passages[:, np.argsort([6, 5])].tolist() == [[51, 61]]


def test_retrievers_are_asked_and_told_apart_in_explanations():
    corpus = Corpus.from_documents([Document("a", "cat dog"), Document("b", "cat"), Document("c", "fish")])
    hybrid = Hybrid(retrievers=[BM25(), BM25(k1=2.0, top_k=1)], fusion=MinMax(), weights=[2, 1])
    context = FitContext(corpus, Passages.whole(corpus))
    context.fit(hybrid)
    batch = QueryBatch([Query("1", "cat"), Query("2", "bird")], trace={})
    candidates = hybrid.retrieve(batch)
    assert candidates.documents.tolist() == [[1, 0], [-1, -1]]
    first, second = batch.trace["retriever.0 bm25"].scores[0]
    assert candidates.scores[0].tolist() == pytest.approx([3.0, 2 * second / first])  # the list has room: scaled from 0
    assert list(batch.trace) == ["retriever.0 bm25", "retriever.1 bm25"]
    assert [int(table.counts[0]) for table in batch.trace.values()] == [2, 1]


def test_identical_retrievers_are_fitted_once(monkeypatch):
    fits = []
    original = BM25.fit
    monkeypatch.setattr(BM25, "fit", lambda self, context: fits.append(self) or original(self, context))
    corpus = Corpus.from_documents([Document("a", "cat dog"), Document("b", "cat")])
    hybrid = Hybrid(retrievers=[BM25(), BM25(), BM25(k1=2.0)])
    FitContext(corpus, Passages.whole(corpus)).fit(hybrid)
    assert len(fits) == 2
    assert hybrid.retrieve(QueryBatch([Query("1", "cat")])).counts[0] == 2


@pytest.mark.parametrize("weights", [[1], [1, 2, 3]])
def test_weights_are_as_many_as_retrievers(weights):
    with pytest.raises(Exception, match="weights"):
        Hybrid(retrievers=[BM25(), BM25()], weights=weights)
