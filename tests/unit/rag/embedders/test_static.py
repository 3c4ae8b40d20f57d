"""Word tables against the sum that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from rag import LSA, Corpus, DataError, Document, FitContext, NotFittedError, Passages, Pipeline
from rag.embedders.base import Embedder
from rag.embedders.static import Static
from rag.retrievers import Dense

TEXTS = ["red fox", "red red hound", "blue whale swims", "the the the fox", ""]


class Lengths(Embedder):
    """Gives each word a vector of its letters."""

    type = "letters"

    @property
    def dimension(self):
        return 26

    def embed_queries(self, texts):
        return np.array([[text.count(chr(97 + n)) for n in range(26)] for text in texts], dtype=np.float32)

    def embed_documents(self, texts, *, advance=None):
        return self.embed_queries(texts)


def fitted(texts=TEXTS, **arguments):
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
    static = Static(**{"embedder": Lengths(), "dim": 26} | arguments)
    context = FitContext(corpus, Passages.whole(corpus))
    static.fit(context)
    return static, context


def test_a_text_is_the_weighted_mean_of_its_centered_words():
    static, context = fitted(sif=0.1)
    words = ["blue", "fox", "hound", "red", "swims", "the", "whale"]
    share = np.array([1, 2, 1, 3, 1, 3, 1]) / 12
    vectors = Lengths().embed_documents(words)
    centered = vectors - vectors.mean(axis=0)
    weights = 0.1 / (0.1 + share)
    expected = np.array(
        [weights[1] * centered[1] + weights[3] * centered[3], 2 * weights[3] * centered[3] + weights[2] * centered[2]]
    )
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    actual = static.embed_documents(TEXTS[:2])
    np.testing.assert_allclose(actual @ actual.T, expected @ expected.T, atol=1e-5)  # all dimensions kept: a rotation
    assert (actual.dtype, context.ledger.total.texts_embedded) == (np.float32, len(words))


def test_it_keeps_the_first_components_and_no_more_than_there_are_words():
    assert fitted(dim=3)[0].dimension == 3
    assert fitted(["a1 b1", "a1"], dim=100)[0].dimension == 2


def test_unknown_words_and_no_words_give_the_zero_vector():
    static, _ = fitted()
    assert not static.embed_queries(["zzz", "", " "]).any()
    np.testing.assert_array_equal(static.embed_queries(["RED zzz fox"]), static.embed_queries(["fox red"]))


def test_a_corpus_without_words_is_refused():
    with pytest.raises(DataError, match="'static' found no words to build on in the corpus"):
        fitted(["", "!"])
    with pytest.raises(NotFittedError, match="'static' has not been fitted"):
        Static(embedder=Lengths()).embed_queries(["x"])


def test_a_pipeline_saves_it_and_embeds_what_is_added(tmp_path):
    pipeline = Pipeline(retriever=Dense(embedder=Static(embedder=LSA(stop_words=False, dim=8), dim=4)))
    pipeline.fit([Document(str(number), text) for number, text in enumerate(TEXTS)])
    pipeline.add([Document("new", "blue red fox")])
    expected = pipeline.search("blue whale").hits
    assert expected[0].document.id == "2"
    pipeline.save(tmp_path / "p")
    assert Pipeline.load(tmp_path / "p").search("blue whale").hits == expected
