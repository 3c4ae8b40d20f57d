"""Late interaction against a plain loop over tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rag.embedders.max_similarity as module
from rag import Corpus, Document, FitContext, ModelError, NotFittedError, Passages, Query, QueryBatch
from rag.rerankers import MaxSim
from rag.retrievers import Dense
from tests.fakes import WordEmbedder, word_vector

WORDS = ["cat", "dog", "fish", "bird", "tree", "a", "b"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join), min_size=1, max_size=6)
QUERIES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join), min_size=1, max_size=4)


def fitted(texts, *, scorer=None):
    scorer = scorer or MaxSim(embedder=WordEmbedder(size=8))
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
    context = FitContext(corpus, Passages.whole(corpus))
    scorer.prepare(context)
    context.fit(scorer)
    return scorer


def batch(texts):
    return QueryBatch([Query(str(number), text) for number, text in enumerate(texts)])


def naive(query, text, size=8):
    """Mean over the query's words of the best cosine among the text's, which are kept in half precision."""
    if not text.split():
        return -1.0
    words = [word_vector(word, size).astype(np.float16).astype(np.float32) for word in text.split()]
    return float(np.mean([max(float(word_vector(word, size) @ other) for other in words) for word in query.split()]))


@given(TEXTS, QUERIES, st.data(), st.sampled_from([1, 40, 1 << 25]))
def test_scores_are_those_of_a_plain_loop(texts, queries, data, block):
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, len(queries) - 1), st.integers(0, len(texts) - 1)), max_size=20)
    )
    pairs.sort(key=lambda pair: pair[0])
    rows, passages = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        actual = fitted(texts).score(batch(queries), rows, passages)
    expected = [naive(queries[row], texts[passage]) for row, passage in pairs]
    np.testing.assert_allclose(actual, expected, atol=1e-3)


def test_a_passage_that_has_every_word_scores_one():
    scorer = fitted(["dog bird", "the cat sat", "cat"])
    scores = scorer.score(batch(["cat sat"]), np.zeros(3, dtype=np.int64), np.arange(3))
    assert int(scores.argmax()) == 1
    assert scores[1] == pytest.approx(1.0, abs=1e-3)


def test_a_query_without_tokens_is_told():
    with pytest.raises(ModelError, match="the first for query '0'"):
        fitted(["cat"]).score(batch([" "]), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))


def test_before_it_is_fitted():
    with pytest.raises(NotFittedError, match="'max_sim' has not been fitted"):
        MaxSim(embedder=WordEmbedder()).score(batch(["cat"]), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))


class Counting(WordEmbedder):
    """Counts its texts, and wants to be fitted first.

    Args:
        size: Length of the vectors.
    """

    type = "fake_counting_words"
    log: list[str] = []

    def fit(self, context):
        self.log.append("fit")

    def embed_documents(self, texts, *, advance=None):
        self.log.append(f"documents {len(texts)}")
        return super().embed_documents(texts)

    def embed_document_tokens(self, texts, *, advance=None):
        self.log.append(f"tokens {len(texts)}")
        return super().embed_query_tokens(texts), super().embed_queries(texts)

    def embed_query_tokens(self, texts):
        self.log.append(f"query tokens {len(texts)}")
        return super().embed_query_tokens(texts)


def test_one_pass_serves_a_dense_retriever_and_queries_are_embedded_once(monkeypatch):
    monkeypatch.setattr(Counting, "log", [])
    corpus = Corpus.from_documents([Document("a", "cat"), Document("b", "dog")])
    context = FitContext(corpus, Passages.whole(corpus))
    dense, scorer = Dense(embedder=Counting()), MaxSim(embedder=Counting())
    for component in (dense, scorer):
        component.prepare(context)
    for component in (dense, scorer):
        context.fit(component)
    assert Counting.log == ["fit", "tokens 2"]
    assert context.ledger.total.texts_embedded == 2
    asked = batch(["cat", "dog"])
    for _ in range(3):
        scorer.score(asked, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    assert Counting.log == ["fit", "tokens 2", "query tokens 2"]
    assert asked.ledger.total.texts_embedded == 2
