"""BM25 against the library's own retrieval and against the formula."""

from __future__ import annotations

import math
import re

import bm25s
import numpy as np
import pytest
import Stemmer

from rag import ConfigError, Corpus, DataError, Document, FitContext, Passages, Pipeline, Query, QueryBatch
from rag.retrievers import BM25, inverted

RNG = np.random.default_rng(3)
WORDS = [f"w{number}" for number in range(60)] + ["running", "runs", "the", "a", "Ünïcode", "x"]
TEXTS = [" ".join(RNG.choice(WORDS, size=RNG.integers(0, 30))) for _ in range(120)] + ["", "the a"]
QUERIES = [" ".join(RNG.choice(WORDS, size=5)) for _ in range(12)] + ["nothing known", "w1 w1 w1 w2", "the", "RUNNING"]


def passages_of(texts):
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
    return Passages.whole(corpus)


def fitted(texts=TEXTS, **arguments):
    retriever = BM25(**arguments)
    passages = passages_of(texts)
    retriever.fit(FitContext(passages.corpus, passages))
    return retriever


def batch(*texts):
    return QueryBatch([Query(str(number), text) for number, text in enumerate(texts)])


@pytest.mark.parametrize("variant", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
@pytest.mark.parametrize("stemmer", [None, "english"])
def test_scores_are_those_of_the_librarys_own_retrieval(variant, stemmer):
    stopwords = ["the", "a"]
    stem = Stemmer.Stemmer(stemmer) if stemmer else None

    def tokens(texts, **options):
        return bm25s.tokenize(
            texts, stopwords=stopwords, stemmer=stem, token_pattern=r"\b\w+\b", show_progress=False, **options
        )

    index = bm25s.BM25(k1=1.2, b=0.6, delta=0.7, method=variant)
    index.index(tokens(TEXTS), show_progress=False)
    words = tokens(QUERIES, return_ids=False)
    known = [[word for word in query_words if word in index.vocab_dict] for query_words in words]
    candidates = fitted(
        k1=1.2, b=0.6, delta=0.7, variant=variant, stemmer=stemmer, stopwords=stopwords, top_k=len(TEXTS)
    ).retrieve(batch(*QUERIES))
    for row, query_words in enumerate(known):
        expected = index.get_scores(query_words) if query_words else np.zeros(len(TEXTS))
        if variant in ("bm25l", "bm25+"):  # bm25s gives a share to passages without the word: the papers do not
            for position, text in enumerate(tokens(TEXTS, return_ids=False)):
                absent = [index.vocab_dict[word] for word in query_words if word not in text]
                expected[position] -= index.nonoccurrence_array[absent].sum()
            expected[expected < 1e-5] = 0
        assert (expected > 0).sum() == candidates.counts[row]
        positions = candidates.documents[row][candidates.documents[row] >= 0]
        np.testing.assert_allclose(expected[positions], candidates.scores[row][: len(positions)], rtol=1e-4)


def test_delta_makes_a_word_that_occurs_worth_more():
    texts = ["cat " + "x " * 50, "cat", "dog fish", "bird"]
    for variant in ("bm25l", "bm25+"):
        low, high = (fitted(texts, variant=variant, delta=delta).retrieve(batch("cat")) for delta in (0.0, 2.0))
        assert [[1, 0]] == low.documents.tolist() == high.documents.tolist()
        assert (low.scores[0] < high.scores[0]).all()
        assert high.scores[0][1] / high.scores[0][0] > low.scores[0][1] / low.scores[0][0]


def test_scores_are_those_of_the_formula():
    """Lucene's: idf = ln(1 + (N - n + .5) / (n + .5)), tf / (tf + k1 (1 - b + b l / L)); words told by the pattern."""
    k1, b = 0.9, 0.4
    texts = [re.findall(r"\b\w+\b", text.lower()) for text in TEXTS]
    mean = sum(map(len, texts)) / len(texts)
    candidates = fitted(k1=k1, b=b, stemmer=None, stopwords=None, top_k=200).retrieve(batch(*QUERIES))
    for row, query in enumerate(QUERIES):
        expected = {}
        for position, text in enumerate(texts):
            score = 0.0
            for word in query.lower().split():
                n = sum(word in other for other in texts)
                tf = text.count(word)
                score += (
                    math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) * tf / (tf + k1 * (1 - b + b * len(text) / mean))
                )
            if score:
                expected[position] = score
        actual = dict(zip(candidates.documents[row].tolist(), candidates.scores[row].tolist(), strict=True))
        actual.pop(-1, None)
        assert sorted(expected) == sorted(actual)
        np.testing.assert_allclose([expected[key] for key in actual], list(actual.values()), rtol=1e-4)


def test_words_are_told_as_the_arguments_say():
    texts = ["Running", "the run", "x", "co-op"]

    def positions(query, **arguments):
        table = fitted(texts, **{"stemmer": None, "stopwords": None} | arguments).retrieve(batch(query))
        return sorted(set(table.documents[0].tolist()) - {-1})

    assert positions("running") == [0]
    assert positions("Running", lowercase=False) == [0]
    assert positions("running", lowercase=False) == []
    assert positions("runs", stemmer="english") == [0, 1]
    assert positions("the") == [1]
    assert positions("the", stopwords="en") == []
    assert positions("the", stopwords=["the"]) == []
    assert positions("x") == [2]
    assert positions("x", token_pattern=r"\b\w\w+\b") == []
    assert positions("co") == [3]
    assert positions("co", token_pattern=r"[\w-]+") == []
    assert positions("co-op", token_pattern=r"([\w-]+)") == [3]


def test_passages_without_a_shared_word_are_not_returned():
    candidates = fitted(["cat dog", "cat", "fish"]).retrieve(batch("cat", "bird", "fish bird", ""))
    assert candidates.counts.tolist() == [2, 0, 1, 0]


def test_large_batches_are_scored_in_blocks(monkeypatch):
    retriever = fitted(top_k=7)
    expected = retriever.retrieve(batch(*QUERIES))
    monkeypatch.setattr("rag.retrievers.inverted._BLOCK", len(TEXTS) * 3)
    blocks = []
    original = inverted.strongest
    monkeypatch.setattr(inverted, "strongest", lambda scores, k: blocks.append(len(scores)) or original(scores, k))
    actual = retriever.retrieve(batch(*QUERIES))
    assert blocks == [3, 3, 3, 3, 3, 1]
    assert expected.documents.tolist() == actual.documents.tolist()
    assert expected.scores.tolist() == actual.scores.tolist()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"token_pattern": "("},
            "token_pattern: not a regular expression: missing ), unterminated subpattern at position 0",
        ),
        (
            {"token_pattern": r"(\w)(\w)"},
            "token_pattern: may have one group (the word) at most: write others as (?:...)",
        ),
    ],
)
def test_patterns_that_cannot_be_used_are_refused_at_once(arguments, expected):
    with pytest.raises(ConfigError) as caught:
        BM25(**arguments)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"stemmer": "klingon"}, "unknown stemmer 'klingon'"),
        ({"stopwords": "klingon"}, "no stop words for 'klingon'"),
        ({"stopwords": "none"}, r"no stop words for 'none': for none give null \(None in Python\)"),
    ],
)
def test_languages_that_nobody_knows_are_refused(arguments, expected):
    with pytest.raises(ConfigError, match=expected):
        fitted(**arguments)


@pytest.mark.parametrize("texts", [[""], ["the", "of and"], [" \n", "!?"]])
def test_a_corpus_without_words_is_refused(texts):
    with pytest.raises(DataError, match="'bm25' found no words in the corpus"):
        fitted(texts)


def test_presets_are_published_pairs():
    assert (BM25().k1, BM25().b) == (1.5, 0.75)
    named = BM25(preset="anserini")
    assert (named.k1, named.b) == (0.9, 0.4)
    assert named.fingerprint == BM25(k1=0.9, b=0.4).fingerprint
    again = Pipeline.from_config(Pipeline(retriever=named).spec.to_config()).retriever
    assert (again.preset, again.k1, again.b) == ("anserini", 0.9, 0.4)
    with pytest.raises(ConfigError, match=r"k1: preset 'anserini' has 0.9, got 2: give one of them"):
        BM25(preset="anserini", k1=2.0)
