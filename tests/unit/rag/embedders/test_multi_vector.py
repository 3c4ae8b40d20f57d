"""Late-interaction checkpoints, against the library's own encoding."""

from __future__ import annotations

import numpy as np
import pytest

from rag import ConfigError, Document, MultiVectorEmbedder, Pipeline, PooledTokens
from rag.component.checks import wrong_parts
from rag.rerankers import MaxSim, Rerank
from rag.retrievers import BM25, LateInteraction
from tests import tiny_models

WORDS = ["a", "the", "cat", "dog", "fish", "tree", "warm", "cold", "water", "sat", "on", "mat"]
TEXTS = ["the cat sat on the mat", "cold water", "fish", "a dog on a warm tree the cat"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_models.multi_vector(WORDS, tmp_path_factory.mktemp("model"))


def test_tokens_are_those_of_the_library(checkpoint):
    from sentence_transformers import MultiVectorEncoder

    embedder = MultiVectorEmbedder(checkpoint, precision="float32", batch_size=2, device="cpu")
    library = MultiVectorEncoder(checkpoint, device="cpu")
    tokens, pooled = embedder.embed_document_tokens(TEXTS)
    for row, expected in enumerate(library.encode_document(TEXTS, convert_to_numpy=True)):
        actual = tokens.vectors[tokens.ends[row] : tokens.ends[row + 1]]
        np.testing.assert_allclose(actual, expected, atol=1e-3)
        mean = expected.sum(axis=0) / np.linalg.norm(expected.sum(axis=0))
        np.testing.assert_allclose(pooled[row], mean, atol=1e-5)
    assert embedder.dimension == 8
    queries = embedder.embed_query_tokens(["the cat"])
    expected = library.encode_query(["the cat"], convert_to_numpy=True)[0]
    np.testing.assert_allclose(queries.vectors, expected, atol=1e-6)


def test_pooled_tokens_are_fewer(checkpoint):
    whole = MultiVectorEmbedder(checkpoint, device="cpu").embed_document_tokens(TEXTS)[0]
    pooled = MultiVectorEmbedder(checkpoint, pool_factor=2, device="cpu").embed_document_tokens(TEXTS)[0]
    lengths, fewer = np.diff(whole.ends), np.diff(pooled.ends)
    assert (fewer <= lengths // 2 + 1).all()
    np.testing.assert_allclose(np.linalg.norm(pooled.vectors.astype(np.float32), axis=1), 1.0, atol=1e-3)


def test_a_checkpoint_that_pools_is_not_pooled_again(tmp_path):
    model = tiny_models.multi_vector(WORDS, tmp_path, pool_factor=2)
    assert np.diff(MultiVectorEmbedder(model, device="cpu").embed_document_tokens(TEXTS[:1])[0].ends).tolist() == [4]
    with pytest.raises(ConfigError, match="pool_factor: the model .* pools its tokens already: must be 1, got 3"):
        MultiVectorEmbedder(model, pool_factor=3, device="cpu").embed_documents(TEXTS)
    with pytest.raises(
        ConfigError, match="precision: the model .* pools its tokens, which the library does in float32"
    ):
        MultiVectorEmbedder(model, precision="bfloat16", device="cpu").embed_documents(TEXTS)
    [mistake] = wrong_parts(LateInteraction(embedder=PooledTokens(embedder=MultiVectorEmbedder(model))))
    assert (mistake.path, "which pools them already" in mistake.message) == ("embedder.factor", True)


def test_no_random_projection(tmp_path):
    encoder = tiny_models.encoder(WORDS, tmp_path)
    embedder = MultiVectorEmbedder(encoder, device="cpu")
    with pytest.raises(ConfigError, match="model: the model .* is not a late-interaction checkpoint"):
        embedder.embed_queries(["cat"])
    [mistake] = wrong_parts(LateInteraction(embedder=embedder))
    assert mistake.path == "embedder.model"


def test_max_sim_takes_it(checkpoint):
    embedder = MultiVectorEmbedder(checkpoint, device="cpu")
    documents = [Document(str(number), text) for number, text in enumerate(TEXTS)]
    stage = Rerank(scorer=MaxSim(embedder=embedder.spec.clone()), budget=10, scores="scorer")
    exact = Pipeline(retriever=LateInteraction(embedder=embedder)).fit(documents).search("cat water")
    again = Pipeline(retriever=BM25(stopwords=None), stages=[stage]).fit(documents).search("cat water")
    scores = {hit.document.id: hit.score for hit in exact}
    assert len(again) > 0
    assert {hit.document.id: hit.score for hit in again} == {
        hit.document.id: pytest.approx(scores[hit.document.id], abs=1e-5) for hit in again
    }


def test_all_tokens_masked_and_texts_longer_than_the_window(tmp_path):
    model = tiny_models.multi_vector(WORDS, tmp_path, skipped=["mat", "[CLS]", "[SEP]"])
    embedder = MultiVectorEmbedder(model, device="cpu")
    assert np.diff(embedder.embed_document_tokens(["mat", "cat mat"])[0].ends).tolist() == [0, 1]
    documents = [Document("long", "cat " * 100), Document("short", "mat"), Document("dog", "a dog")]
    pipeline = Pipeline(retriever=LateInteraction(embedder=embedder)).fit(documents)
    assert [remark.code for remark in pipeline.remarks] == ["beyond_window"]
    last = pipeline.search("cat")[-1]
    assert (last.document.id, last.score) == ("short", -1.0)  # as far away as can be
