"""Wrapping an ``Embeddings`` object of LangChain."""

from __future__ import annotations

import numpy as np
import pytest

from rag import ConfigError, LangChainEmbedder, ModelError


class Fake:
    def __init__(self, vector=lambda text: [len(text), 1.0]):
        self.vector = vector
        self.requests: list[int] = []

    def embed_query(self, text):
        return self.vector(text)

    def embed_documents(self, texts):
        self.requests.append(len(texts))
        return [self.vector(text) for text in texts]


def test_documents_go_in_batches_and_come_back_in_order():
    fake = Fake()
    steps: list[int] = []
    vectors = LangChainEmbedder(fake, batch_size=3).embed_documents(["a" * n for n in range(8)], advance=steps.append)
    assert [[float(n), 1.0] for n in range(8)] == vectors.tolist()
    assert ([3, 3, 2], [3, 3, 2], np.float32) == (fake.requests, steps, vectors.dtype)


def test_the_dimension_is_that_of_what_the_object_gives():
    embedder = LangChainEmbedder(Fake())
    assert (2, (0, 2)) == (embedder.dimension, embedder.embed_documents([]).shape)


def test_identity_is_the_name_or_nothing_else():
    fake = Fake()
    assert (
        LangChainEmbedder(fake, name="m").fingerprint == LangChainEmbedder(Fake(), name="m", batch_size=1).fingerprint
    )
    assert LangChainEmbedder(fake, name="m").fingerprint != LangChainEmbedder(fake, name="n").fingerprint
    assert LangChainEmbedder(fake).fingerprint != LangChainEmbedder(fake).fingerprint


def test_it_works_with_the_real_class():
    from langchain_core.embeddings import DeterministicFakeEmbedding

    embeddings = DeterministicFakeEmbedding(size=5)
    expected = np.asarray(embeddings.embed_documents(["a", "b"]), dtype=np.float32)
    np.testing.assert_array_equal(expected, LangChainEmbedder(embeddings).embed_documents(["a", "b"]))


def test_what_is_no_embeddings_object_is_refused():
    with pytest.raises(ConfigError, match="'langchain': embeddings must be an instance of"):
        LangChainEmbedder(object())


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        (lambda text: [1.0] * (len(text) + 1), "Fake returned vectors of different lengths"),
        (
            lambda text: [1.0] if text == "dimension" else [1.0, 2.0],
            "Fake returned vectors of length 2, before of length 1",
        ),
    ],
)
def test_vectors_of_the_wrong_length_are_refused(vector, expected):
    with pytest.raises(ModelError) as caught:
        LangChainEmbedder(Fake(vector)).embed_documents(["a", "bb"])
    assert str(caught.value) == expected


def test_too_few_vectors_are_refused():
    fake = Fake()
    fake.embed_documents = lambda texts: [[1.0, 2.0]]
    with pytest.raises(ModelError, match="Fake returned 1 vectors for 2 texts"):
        LangChainEmbedder(fake).embed_documents(["a", "b"])
