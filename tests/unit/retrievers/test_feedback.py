"""Feedback against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from rag import Candidates, ConfigError, Corpus, Document, FitContext, Passages, Pipeline, Query, QueryBatch
from rag.retrievers import BM25, Dense, Feedback, Hybrid, Keyed, MinMax, TextKey
from rag.retrievers.asked_again import Recipe, trust
from rag.retrievers.rm3 import expanded
from tests.fakes import WordEmbedder

TEXTS = [
    "statin lowers cholesterol in blood",
    "cholesterol and heart disease",
    "heart attack after stress",
    "garden flowers in spring",
    "spring water for the garden",
    "statin and muscle pain",
]


def fitted(retriever, texts=TEXTS):
    corpus = Corpus.from_documents(Document(str(n), text, {"even": n % 2 == 0}) for n, text in enumerate(texts))
    FitContext(corpus, Passages.whole(corpus)).fit(retriever)
    return retriever


def table(rows, scores):
    positions = np.array(rows, dtype=np.int64)
    return Candidates(positions, np.where(positions >= 0, np.array(scores), -np.inf).astype(np.float32), positions)


def test_trust_falls_with_the_rank_whatever_the_scores():
    scores = [[3.0, 1.0, -7.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]
    actual = trust(table([[0, 1, 2], [3, 4, -1], [-1, -1, -1]], scores))
    np.testing.assert_allclose(actual, [[6 / 11, 3 / 11, 2 / 11], [2 / 3, 1 / 3, 0], [0, 0, 0]], rtol=1e-6)


def test_words_are_added_as_a_plain_loop_adds_them():
    rng = np.random.default_rng(0)
    passages = rng.integers(0, 4, size=(7, 9)).astype(np.float32)
    queries = rng.integers(0, 2, size=(3, 9)).astype(np.float32)
    queries[:, 0] = 1
    trusted = table([[0, 3, 5], [6, 2, -1], [-1, -1, -1]], [[3.0, 2.0, 1.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    lengths = passages.sum(axis=1)
    actual = expanded(
        sp.csr_array(queries), sp.csr_array(passages), lengths, trusted, terms=3, original_weight=0.4
    ).toarray()
    for row in range(3):
        pairs = [(p, 1 / rank) for rank, p in enumerate(trusted.documents[row], 1) if p >= 0]
        if not pairs:
            assert queries[row].tolist() == actual[row].tolist()
            continue
        total = sum(s for _, s in pairs)
        model = [sum(s / total * passages[p, w] / lengths[p] for p, s in pairs) for w in range(9)]
        best = sorted(range(9), key=lambda w: (-np.float32(model[w]), w))[:3]
        mass = sum(model[w] for w in best)
        words = queries[row].sum()
        expected = [0.4 * queries[row, w] + (0.6 * words * model[w] / mass if w in best else 0) for w in range(9)]
        np.testing.assert_allclose(actual[row], expected, rtol=1e-5)


def test_bm25_finds_what_shares_words_with_what_was_found():
    batch = QueryBatch([Query("q", "statin")])
    plain, again = fitted(BM25()).retrieve(batch), fitted(Feedback(target=BM25())).retrieve(batch)
    assert set(plain.documents[0].tolist()) == {0, 5}
    assert {0, 5, 1} <= set(again.documents[0].tolist())  # by cholesterol
    assert 3 not in again.documents[0].tolist()


def test_words_are_those_of_the_texts_where_they_are_too_many_to_transpose(monkeypatch):
    batch = QueryBatch([Query("q", "statin heart"), Query("r", "garden")])
    feedback = fitted(Feedback(target=BM25(), documents=3))
    turned = feedback.retrieve(batch)
    monkeypatch.setattr("rag.retrievers.bm25._MOST_TRANSPOSED", 0)
    cut = feedback.retrieve(QueryBatch(batch.queries))
    assert cut.documents.tolist() == turned.documents.tolist()
    np.testing.assert_allclose(turned.scores, cut.scores, rtol=1e-5)


def test_vectors_are_moved_as_a_plain_loop_moves_them():
    embedder = WordEmbedder()
    dense = fitted(Dense(embedder=embedder))
    batch = QueryBatch([Query("q", "statin pain"), Query("none", "")])
    trusted = table([[1, 2, 3], [0, 1, 2]], [[3.0, 2.0, 1.0], [1.0, 0.9, 0.8]])
    recipe = Recipe(documents=10, terms=5, original_weight=0.5, vectors=2, vector_weight=0.25)
    candidates = dense.retrieve_again(batch, trusted, recipe)
    documents = embedder.embed_documents(TEXTS)
    moved = 0.75 * embedder.embed_queries(["statin pain"])[0] + 0.25 * (documents[1] + documents[2]) / 2
    expected = documents @ (moved / np.linalg.norm(moved))
    assert np.argsort(-expected).tolist() == candidates.documents[0].tolist()
    np.testing.assert_allclose(candidates.scores[0], np.sort(expected)[::-1], rtol=1e-5)
    assert candidates.counts[1] == 0
    scores = dense.scores_again(batch, trusted, recipe, candidates)["dense"]
    np.testing.assert_allclose(scores[0], candidates.scores[0], rtol=1e-5)


def test_a_hybrid_has_its_parts_asked_again_and_another_list_may_be_trusted():
    target = Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder())], fusion=MinMax())
    feedback = fitted(Feedback(target=target, retriever=BM25(), vectors=1))
    batch = QueryBatch([Query("q", "statin")], trace={})
    candidates = feedback.retrieve(batch)
    names = ["retriever.trusted", "retriever.again.0 bm25", "retriever.again.1 dense"]
    assert names == list(batch.trace)
    scores = feedback.features(batch, candidates, candidates)
    assert list(scores) == ["0 bm25", "1 dense"]
    listed = dict(zip(*(side[0].tolist() for side in (candidates.documents, scores["1 dense"])), strict=True))
    asked = batch.trace["retriever.again.1 dense"]
    for document, score in zip(asked.documents[0].tolist(), asked.scores[0].tolist(), strict=True):
        assert score == pytest.approx(listed[document], abs=1e-5)


def test_filters_hold_when_it_is_asked_again():
    feedback = fitted(Feedback(target=Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder())])))
    queries = [Query("q", "statin cholesterol", filter={"even": True}), Query("r", "statin cholesterol")]
    candidates = feedback.retrieve(QueryBatch(queries))
    assert all(position % 2 == 0 for position in candidates.documents[0] if position >= 0)
    assert any(position % 2 for position in candidates.documents[1] if position >= 0)


@pytest.mark.parametrize(
    "target", [Keyed(keys=[TextKey(retriever=BM25())]), Feedback(target=BM25())], ids=["keyed", "feedback"]
)
def test_what_cannot_be_asked_again_is_refused(target):
    with pytest.raises(ConfigError, match="cannot be searched again"):
        Feedback(target=target)


def test_an_index_without_vectors_is_refused_in_words():
    from rag.retrievers import IVFPQ

    texts = [f"word{n % 17} word{n % 5} word{n % 3}" for n in range(300)]
    feedback = fitted(
        Feedback(target=Dense(embedder=WordEmbedder(), index=IVFPQ(n_clusters=4, n_parts=4, refine=None))), texts
    )
    with pytest.raises(ConfigError, match="keeps no full vectors"):
        feedback.retrieve(QueryBatch([Query("q", "word1")]))


def test_without_a_pipeline_it_needs_a_target():
    with pytest.raises(ConfigError, match="a retriever to search again"):
        fitted(Feedback())


def test_in_a_pipeline_it_finds_the_same_once_saved(tmp_path):
    pipeline = Pipeline(retriever=Feedback(target=Hybrid(retrievers=[BM25(), Dense(embedder=WordEmbedder())])))
    corpus = Corpus.from_documents(Document(str(n), text) for n, text in enumerate(TEXTS))
    batch = QueryBatch([Query("q", "statin")])
    pipeline.fit(corpus)
    before = pipeline.run(batch)
    after = pipeline.run(QueryBatch([Query("q", "statin")]))
    assert before.scores.tolist() == after.scores.tolist()
