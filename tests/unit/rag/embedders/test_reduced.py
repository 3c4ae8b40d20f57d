"""Vectors with fewer dimensions, against plain algebra."""

from __future__ import annotations

import numpy as np
import pytest

from rag import ConfigError, Corpus, Document, FitContext, Passages, Pipeline, Query, QueryBatch, Reduced, Training
from rag.retrievers import Dense
from tests.fakes import WordEmbedder

TEXTS = ["cat sat mat", "dog bark", "fish water cold", "tree leaves", "cat dog fish", "cold tree", "mat leaves water"]


def fitted(component, texts=TEXTS):
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
    context = FitContext(corpus, Passages.whole(corpus))
    context.fit(component)
    return context


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_pca_is_the_svd_of_the_passages():
    whole = WordEmbedder(size=16)
    reduced = Reduced(embedder=whole, dimensions=3)
    context = fitted(reduced)
    vectors = whole.embed_documents(TEXTS)
    _, _, directions = np.linalg.svd(vectors.astype(np.float64))
    expected = unit(vectors @ directions[:3].T)
    actual = context.embed_passages(reduced)
    np.testing.assert_allclose(actual @ actual.T, expected @ expected.T, atol=1e-5)
    batch = QueryBatch([Query("q", "cat fish")])
    asked = unit(whole.embed_queries(["cat fish"]) @ directions[:3].T)
    np.testing.assert_allclose(batch.embeddings(reduced) @ actual.T, asked @ expected.T, atol=1e-5)


def test_all_dimensions_keep_all_cosines():
    whole = WordEmbedder(size=5)
    reduced = Reduced(embedder=whole, dimensions=5)
    vectors, kept = whole.embed_documents(TEXTS), fitted(reduced).embed_passages(reduced)
    np.testing.assert_allclose(kept @ kept.T, vectors @ vectors.T, atol=1e-5)


def test_truncated_are_the_first_and_random_ones_are_near():
    whole = WordEmbedder(size=64)
    vectors = whole.embed_documents(TEXTS)
    truncated = Reduced(embedder=whole, dimensions=4, method="truncate").embed_documents(TEXTS)
    np.testing.assert_allclose(truncated, unit(vectors[:, :4]), atol=1e-6)
    projected = np.array([
        Reduced(embedder=whole, dimensions=48, method="random", seed=seed).embed_documents(TEXTS) for seed in range(40)
    ])  # fmt: skip
    cosines = (projected @ projected.transpose(0, 2, 1)).mean(axis=0)
    np.testing.assert_allclose(cosines, vectors @ vectors.T, atol=0.1)


def test_the_whole_vectors_are_computed_once(monkeypatch):
    calls = []
    whole = WordEmbedder.embed_queries

    def counting(self, texts):
        calls.append(len(texts))
        return whole(self, texts)

    monkeypatch.setattr(WordEmbedder, "embed_queries", counting)
    context = fitted(Dense(embedder=Reduced(embedder=WordEmbedder(), dimensions=4)))
    context.embed_passages(WordEmbedder())
    assert calls == [len(TEXTS)]


def test_added_documents_are_of_the_same_space():
    documents = [Document(str(number), text) for number, text in enumerate(TEXTS)]
    pipeline = Pipeline(retriever=Dense(embedder=Reduced(embedder=WordEmbedder(), dimensions=8))).fit(documents[:5])
    before = pipeline.search("cat dog fish")[0]
    pipeline.add(documents[5:])
    after = pipeline.search("cat dog fish")[0]
    assert (after.document.id, after.score) == (before.document.id, pytest.approx(before.score, abs=1e-6))
    assert pipeline.search("cold tree")[0].document.id == "5"


def test_more_dimensions_than_there_are():
    with pytest.raises(ConfigError, match="dimensions: must be at most the 16 of .*, got 17"):
        fitted(Reduced(embedder=WordEmbedder(size=16), dimensions=17))


def test_supervised_directions_are_those_in_which_queries_and_relevant_passages_agree():
    whole = WordEmbedder(size=16)
    queries = [Query("a", "cat"), Query("b", "cold tree"), Query("none", "dog")]
    training = Training(queries, {"a": {"0": 1, "5": 2}, "b": {"6": 1}, "none": {"1": 0}})
    reduced = Reduced(embedder=whole, dimensions=3, method="supervised")
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(TEXTS))
    context = FitContext(corpus, Passages.whole(corpus), training)
    context.fit(reduced)
    vectors, asked = whole.embed_documents(TEXTS), whole.embed_queries(["cat", "cold tree"])
    product = (np.outer(asked[0], (vectors[0] + vectors[5]) / 2) + np.outer(asked[1], vectors[6])) / 2
    moment = vectors.T.astype(np.float64) @ vectors
    agreement = (product + product.T) / 2 + 1e-3 * moment / np.trace(moment)
    directions = np.linalg.svd(agreement + np.eye(16))[0][:, :3]  # all eigenvalues above 0, in descending order
    expected, actual = unit(vectors @ directions), context.embed_passages(reduced)
    np.testing.assert_allclose(actual @ actual.T, expected @ expected.T, atol=1e-4)
    with pytest.raises(ConfigError, match="learns from judged queries"):
        FitContext(corpus, Passages.whole(corpus)).fit(Reduced(embedder=whole, dimensions=3, method="supervised"))
