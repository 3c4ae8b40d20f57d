"""Sparse encoders that sentence-transformers saved, as weights of terms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from rag import ModelError, SparseTransformerEmbedder
from rag.embedders.sparse.base import strongest_terms
from tests import tiny_models

TEXTS = ["the cat sleeps on the stove", "a dog", "", "cat cat dog " * 60, "fish swim in cold water"]
WORDS = tiny_models.words_of(TEXTS)


@pytest.fixture(scope="module")
def splade(tmp_path_factory):
    return tiny_models.splade(WORDS, tmp_path_factory.mktemp("splade"))


def library(model, texts, method):
    from sentence_transformers import SparseEncoder

    encoder = SparseEncoder(model, device="cpu")
    return getattr(encoder, method)(texts, convert_to_sparse_tensor=False, show_progress_bar=False).numpy()


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_weights_are_those_of_the_library(splade, batch_size):
    embedder = SparseTransformerEmbedder(splade, batch_size=batch_size, device="cpu")
    for embed, method in ((embedder.embed_documents, "encode_document"), (embedder.embed_queries, "encode_query")):
        weights = embed(TEXTS)
        assert isinstance(weights, scipy.sparse.csr_array)
        assert (weights.dtype, weights.shape) == (np.float32, (len(TEXTS), embedder.dimension))
        assert weights.data.min() > 0
        np.testing.assert_allclose(weights.toarray(), library(splade, TEXTS, method), atol=1e-4)


def test_no_text_has_no_weights(splade):
    embedder = SparseTransformerEmbedder(splade, device="cpu")
    assert embedder.embed_documents([]).shape == (0, embedder.dimension)


def test_terms_are_words(splade):
    embedder = SparseTransformerEmbedder(splade, device="cpu")
    assert embedder.terms([0, 4, embedder.dimension - 1]) == ["[PAD]", WORDS[0], WORDS[-1]]


def test_long_texts_are_cut(splade):
    whole, short = (SparseTransformerEmbedder(splade, max_length=n, device="cpu") for n in (None, 5))
    cut = short.embed_documents(["cat dog fish water sleeps stove"]).toarray()
    np.testing.assert_allclose(cut, whole.embed_documents(["cat dog fish"]).toarray(), atol=1e-5)


def test_queries_without_inference(tmp_path):
    embedder = SparseTransformerEmbedder(tiny_models.splade(WORDS, tmp_path, inference_free=True), device="cpu")
    weights = embedder.embed_queries(["cat cat dog"]).toarray()[0]
    [cat, dog] = (4 + WORDS.index(word) for word in ("cat", "dog"))
    table = np.linspace(0.5, 2.0, embedder.dimension, dtype=np.float32)
    assert {cat, dog} <= set(np.flatnonzero(weights).tolist())
    np.testing.assert_allclose(weights[[cat, dog]], table[[cat, dog]], rtol=1e-6)
    assert np.count_nonzero(embedder.embed_documents(["cat cat dog"]).toarray()) > 3


def test_features_of_an_autoencoder(tmp_path):
    embedder = SparseTransformerEmbedder(tiny_models.sparse_autoencoder(WORDS, tmp_path), device="cpu")
    weights = embedder.embed_documents(TEXTS)
    assert embedder.dimension == 256
    assert np.diff(weights.indptr).max() <= 6
    assert embedder.terms([7]) == ["feature 7"]


def test_a_model_that_would_get_random_weights_is_refused(tmp_path):
    model = tiny_models.encoder(WORDS, tmp_path)
    with pytest.raises(ModelError) as caught:
        SparseTransformerEmbedder(model).embed_queries(["cat"])
    assert str(caught.value) == (
        f"the model '{model}' is not a sparse encoder (Transformer, Pooling, Normalize): it has neither a "
        f"masked language "
        "model's head nor a sparse autoencoder, and would be given random weights; use it as the embedder of 'dense', "
        "or of 'term_weights'"
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [([np.nan, 1.0], "returned weights that are NaN or infinite"), ([-1.0, 1.0], "returned weights below 0, which an")],
)
def test_weights_that_no_index_can_hold_are_refused(splade, data, expected):
    embedder = SparseTransformerEmbedder(splade, device="cpu")
    arrays = (np.float32(data), [0, 1], [0, 1, 2])
    with pytest.raises(ModelError, match=expected):
        embedder.checked(scipy.sparse.csr_array(arrays, shape=(2, embedder.dimension)), 2)
    with pytest.raises(ModelError, match=r"returned weights of shape \(2, 3\) for 2 texts, expected \(2, "):
        embedder.checked(scipy.sparse.csr_array((2, 3), dtype=np.float32), 2)


@pytest.mark.parametrize("k", [1, 2, 5, None])
def test_the_strongest_terms_of_each_text(k):
    weights = scipy.sparse.random_array((30, 20), density=0.3, format="csr", rng=np.random.default_rng(0))
    weights.data = np.round(weights.data, 1) + 0.1  # with ties
    kept = strongest_terms(weights, k).toarray()
    for row, actual in zip(weights.toarray(), kept, strict=True):
        expected = sorted(np.flatnonzero(row), key=lambda column: (-row[column], column))[:k]
        assert np.flatnonzero(actual).tolist() == sorted(expected)
        assert actual[expected].tolist() == row[expected].tolist()
