"""Late interaction as a retriever against a plain loop; candidates, filters, updates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import (
    Corpus,
    Document,
    FitContext,
    ModelError,
    NotFittedError,
    Passages,
    Pipeline,
    Query,
    QueryBatch,
    RecursiveChunker,
)
from rag.embedders.base import TokenVectors
from rag.rerankers import MaxSim, Rerank
from rag.retrievers import BM25, Dense, LateInteraction
from tests.fakes import WordEmbedder, word_vector

WORDS = ["cat", "dog", "fish", "bird", "tree", "a", "b"]
TEXTS = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join), min_size=1, max_size=9, unique=True
)
QUERIES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join), min_size=1, max_size=4)


def fitted(texts, retriever):
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
    context = FitContext(corpus, Passages.whole(corpus))
    context.fit(retriever)
    return retriever


def batch(texts):
    return QueryBatch([Query(str(number), text) for number, text in enumerate(texts)])


def naive(query, text, size=8):
    words = [word_vector(word, size).astype(np.float16).astype(np.float32) for word in text.split()]
    return float(np.mean([max(float(word_vector(word, size) @ other) for other in words) for word in query.split()]))


@settings(max_examples=60)
@given(TEXTS, QUERIES, st.integers(1, 6), st.sampled_from([1, 60, 1 << 24]))
def test_the_exact_search_is_a_plain_loop(texts, queries, top_k, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rag.embedders.max_similarity._BLOCK", block)
        retriever = fitted(texts, LateInteraction(embedder=WordEmbedder(size=8), top_k=top_k))
        table = retriever.retrieve(batch(queries))
    for row, query in enumerate(queries):
        scores = np.array([naive(query, text) for text in texts])
        best = np.sort(scores)[::-1][:top_k]
        np.testing.assert_allclose(table.scores[row], best, atol=1e-3)
        np.testing.assert_allclose(scores[table.documents[row]], table.scores[row], atol=1e-3)


@given(TEXTS, QUERIES)
def test_all_documents_as_candidates_are_the_exact_search(texts, queries):
    exact = fitted(texts, LateInteraction(embedder=WordEmbedder(size=8)))
    first = Dense(embedder=WordEmbedder(size=8), top_k=100)
    narrowed = fitted(texts, LateInteraction(embedder=WordEmbedder(size=8), candidates=first, n_candidates=100))
    expected, actual = exact.retrieve(batch(queries)), narrowed.retrieve(batch(queries))
    np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-6)


PETS = [
    Document("cat", "the cat sat on the mat. it was warm and quiet there", {"year": 2001}),
    Document("dog", "a dog barks at the postman. the postman runs", {"year": 2002}),
    Document("fish", "fish live in cold water. cold water is quiet", {"year": 2003}),
    Document("tree", "leaves fall from the tree in autumn", {"year": 2004}),
]


@pytest.mark.parametrize("candidates", [None, BM25(stopwords=None)])
def test_chunks_filters_and_updates(candidates):
    def pipeline():
        retriever = LateInteraction(embedder=WordEmbedder(size=16), candidates=candidates, top_k=3)
        return Pipeline(retriever=retriever, chunker=RecursiveChunker(size=25, overlap=0, unit="characters"))

    made = pipeline().fit(PETS)
    assert made.search("cold water")[0].document.id == "fish"
    only = made.search("cold water", filter={"year": {"lt": 2003}})
    assert "fish" not in [hit.document.id for hit in only]

    grown = pipeline().fit(PETS[:2])
    grown.add(PETS[2:])
    assert [hit.document.id for hit in grown.search("cold water")] == [
        hit.document.id for hit in made.search("cold water")
    ]
    grown.delete(["fish"])
    assert "fish" not in [hit.document.id for hit in grown.search("cold water")]
    grown.compact()
    assert "fish" not in [hit.document.id for hit in grown.search("cold water")]
    assert grown.search("leaves fall")[0].document.id == "tree"


def test_it_ranks_as_max_sim_reranks():
    embedder = WordEmbedder(size=16)
    retrieved = Pipeline(retriever=LateInteraction(embedder=embedder)).fit(PETS)
    stage = Rerank(scorer=MaxSim(embedder=WordEmbedder(size=16)), budget=10, scores="scorer")
    reranked = Pipeline(retriever=Dense(embedder=WordEmbedder(size=16)), stages=[stage]).fit(PETS)
    for text in ("quiet cat", "postman", "autumn leaves in water"):
        expected = [(hit.document.id, pytest.approx(hit.score, abs=1e-6)) for hit in reranked.search(text)]
        assert [(hit.document.id, hit.score) for hit in retrieved.search(text)] == expected


def test_saved_and_loaded(tmp_path):
    made = Pipeline(retriever=LateInteraction(embedder=WordEmbedder(size=16), storage="int8"))
    retriever = fitted([document.text for document in PETS], made.retriever)
    retriever.save_state(tmp_path)
    corpus = Corpus.from_documents(PETS)
    twin = LateInteraction(embedder=WordEmbedder(size=16), storage="int8")
    twin.load_state(tmp_path, FitContext(corpus, Passages.whole(corpus)))
    asked = batch(["cold water"])
    np.testing.assert_array_equal(twin.retrieve(asked).documents, retriever.retrieve(asked).documents)


def test_a_query_without_a_token_finds_nothing():
    retriever = fitted(["cat", "dog"], LateInteraction(embedder=WordEmbedder()))
    assert retriever.retrieve(batch(["", "cat"])).counts.tolist() == [0, 2]


def test_before_it_is_fitted():
    with pytest.raises(NotFittedError, match="'late_interaction' has not been fitted"):
        LateInteraction(embedder=WordEmbedder()).retrieve(batch(["cat"]))


def test_passages_without_a_token_and_of_one_token():
    texts = ["", "cat", "cat dog fish", "..."]
    for candidates in (None, Dense(embedder=WordEmbedder(size=8))):
        retriever = fitted(texts, LateInteraction(embedder=WordEmbedder(size=8), candidates=candidates))
        table = retriever.retrieve(batch(["cat"]))
        best = table.documents[0][table.scores[0] > 0.99]
        assert sorted(best.tolist()) == [1, 2]
        assert 0 not in table.documents[0][: table.counts[0]]


class NoNumbers(WordEmbedder):
    """Vectors that are none."""

    type = "fake_no_numbers"

    def embed_query_tokens(self, texts):
        tokens = super().embed_query_tokens(texts)
        return TokenVectors(tokens.vectors * np.float32(np.nan), tokens.ends)


def test_tokens_that_are_not_finite():
    with pytest.raises(ModelError, match="gave NaN or infinite values for tokens of query '1'"):
        QueryBatch([Query("0", ""), Query("1", "cat")]).token_vectors(NoNumbers())


def test_tokens_of_passages_that_are_not_finite():
    class NoPassages(WordEmbedder):
        type = "fake_no_passages"

        def embed_document_tokens(self, texts, *, advance=None):
            tokens, vectors = super().embed_document_tokens(texts)
            return TokenVectors(tokens.vectors * np.float16(np.nan), tokens.ends), vectors

    with pytest.raises(ModelError, match="gave NaN or infinite values for tokens of 1 of 2 passages, the first"):
        fitted(["", "cat"], LateInteraction(embedder=NoPassages()))
