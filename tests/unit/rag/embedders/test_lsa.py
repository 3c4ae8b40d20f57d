"""LSA against numpy's own singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from rag import LSA, Corpus, DataError, Document, FitContext, NotFittedError, Passages

TEXTS = [f"{' '.join(f'w{(number * step) % 17}' for step in range(1, 9))} tail{number % 5}" for number in range(40)]


def fitted(texts, **arguments):
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
    lsa = LSA(**{"stop_words": False} | arguments)
    lsa.fit(FitContext(corpus, Passages.whole(corpus)))
    return lsa


@pytest.mark.parametrize("ngram_max", [1, 2])
def test_cosines_are_those_of_the_exact_decomposition(ngram_max):
    lsa = fitted(TEXTS, dim=8, ngram_max=ngram_max)
    matrix = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, ngram_max)).fit_transform(TEXTS).toarray()
    _, _, rows = np.linalg.svd(matrix, full_matrices=False)
    expected = matrix @ rows[:8].T
    actual = lsa.embed_documents(TEXTS)
    np.testing.assert_allclose(expected @ expected.T, actual @ actual.T, atol=1e-3)
    assert (8, (40, 8), np.float32) == (lsa.dimension, actual.shape, actual.dtype)


def test_it_has_no_more_dimensions_than_there_are_documents_or_words():
    assert fitted(["a1 b1 c1", "a1 d1 e1"], dim=256).dimension == 2
    assert fitted(["aa bb cc"] * 10, dim=256).dimension == 3


def test_unknown_words_and_no_words_give_the_zero_vector():
    lsa = fitted(TEXTS, dim=4)
    assert not lsa.embed_queries(["zzz", "", " "]).any()


def test_arguments_reach_the_vocabulary():
    def words(**arguments):
        return set(fitted(["the cat sat", "the cat ran", "the dog"], dim=2, **arguments)._vectorizer.vocabulary_)

    assert words() == {"the", "cat", "sat", "ran", "dog"}
    assert words(stop_words=True) == {"cat", "sat", "ran", "dog"}
    assert words(min_df=2) == {"the", "cat"}
    assert words(max_features=2) == {"the", "cat"}
    assert {"the cat", "cat sat", "cat ran", "the dog"} < words(ngram_max=2)


@pytest.mark.parametrize("arguments", [{"stop_words": True}, {"min_df": 9}])
def test_a_corpus_without_words_is_refused(arguments):
    with pytest.raises(DataError, match="'lsa' found no words to build on in the corpus"):
        fitted(["the", "and", ""], **arguments)


def test_before_it_is_fitted():
    with pytest.raises(NotFittedError, match="'lsa' has not been fitted"):
        LSA().embed_queries(["x"])
