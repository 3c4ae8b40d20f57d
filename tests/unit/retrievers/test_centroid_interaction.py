"""Candidates by centroids of tokens, against a plain loop over centroids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import Corpus, Document, FitContext, NotFittedError, Passages, Pipeline, Query, QueryBatch, RecursiveChunker
from rag.retrievers import CentroidInteraction, LateInteraction
from tests.fakes import WordEmbedder, word_vector

WORDS = [f"w{n}" for n in range(12)]
TEXTS = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=0, max_size=6).map(" ".join), min_size=1, max_size=12, unique=True
)
QUERIES = st.lists(st.lists(st.sampled_from(WORDS), min_size=0, max_size=4).map(" ".join), min_size=1, max_size=3)


@pytest.fixture(autouse=True)
def many_centroids(monkeypatch):
    monkeypatch.setattr("rag.embedders.token_table._TRAINED_ON", 4)


def fitted(texts, retriever):
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
    FitContext(corpus, Passages.whole(corpus)).fit(retriever)
    return retriever


def batch(texts):
    return QueryBatch([Query(str(number), text) for number, text in enumerate(texts)])


@settings(max_examples=15)
@given(TEXTS, QUERIES, st.sampled_from([0.0, 0.3]))
def test_all_centroids_probed_are_a_plain_loop(texts, queries, prune):
    embedder = WordEmbedder(size=8)
    retriever = fitted(texts, CentroidInteraction(embedder=embedder, n_probe=999, prune=prune, refine=99))
    table = retriever.retrieve(batch(queries))
    tokens, asked = retriever.tokens, embedder.embed_query_tokens(queries)
    for row in range(len(queries)):
        own = asked.vectors[asked.ends[row] : asked.ends[row + 1]]
        scores = {}
        for passage in range(len(texts)):
            vectors = tokens.vectors(slice(int(tokens.ends[passage]), int(tokens.ends[passage + 1])))
            if len(vectors) and len(own):
                scores[passage] = float((own @ vectors.T).max(axis=1).mean())
        n = table.counts[row]
        assert n == len(scores)
        listed = table.documents[row, :n].tolist()
        np.testing.assert_allclose(table.scores[row, :n], [scores[passage] for passage in listed], atol=1e-5)
        np.testing.assert_allclose(table.scores[row, :n], sorted(scores.values(), reverse=True), atol=1e-5)


def test_the_first_ranking_leaves_far_centroids_out():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, size=8)) for _ in range(200)]
    embedder = WordEmbedder(size=16)
    whole = fitted(texts, CentroidInteraction(embedder=embedder, n_probe=99, prune=0.0, top_k=5))
    pruned = fitted(texts, CentroidInteraction(embedder=embedder, n_probe=1, prune=0.5, top_k=5))
    asked = batch([" ".join(rng.choice(WORDS, size=3)) for _ in range(20)])
    tables = [retriever.retrieve(asked) for retriever in (whole, pruned)]
    np.testing.assert_allclose(tables[1].scores, tables[0].scores, atol=0.05)  # many texts are equally good
    assert fitted(texts, pruned.spec.clone())._nearest(word_vector("w1", 16)[None], 5, None)[1].min() > 0.9


PETS = [
    Document("cat", "the cat sat on the mat. it was warm and quiet there", {"year": 2001}),
    Document("dog", "a dog barks at the postman. the postman runs", {"year": 2002}),
    Document("fish", "fish live in cold water. cold water is quiet", {"year": 2003}),
    Document("tree", "leaves fall from the tree in autumn", {"year": 2004}),
]


def test_chunks_filters_and_updates():
    def pipeline():
        embedder = WordEmbedder(size=16)
        candidates = CentroidInteraction(embedder=embedder, n_probe=99)
        retriever = LateInteraction(embedder=embedder, candidates=candidates, top_k=3)
        return Pipeline(retriever=retriever, chunker=RecursiveChunker(size=25, overlap=0, unit="characters"))

    made = pipeline().fit(PETS)
    assert made.search("cold water")[0].document.id == "fish"
    assert "fish" not in [hit.document.id for hit in made.search("cold water", filter={"year": {"lt": 2003}})]
    grown = pipeline().fit(PETS[:2])
    grown.add(PETS[2:])
    assert grown.search("cold water")[0].document.id == "fish"
    grown.delete(["fish"])
    grown.compact()
    assert "fish" not in [hit.document.id for hit in grown.search("cold water")]
    assert grown.search("leaves fall")[0].document.id == "tree"


def test_saved_and_loaded(tmp_path):
    texts = [document.text for document in PETS]
    retriever = fitted(texts, CentroidInteraction(embedder=WordEmbedder(size=16)))
    retriever.save_state(tmp_path)
    corpus = Corpus.from_documents(PETS)
    twin = CentroidInteraction(embedder=WordEmbedder(size=16))
    twin.load_state(tmp_path, FitContext(corpus, Passages.whole(corpus)))
    np.testing.assert_array_equal(
        twin.retrieve(batch(["quiet"])).documents, retriever.retrieve(batch(["quiet"])).documents
    )


def test_before_it_is_fitted():
    with pytest.raises(NotFittedError, match="'centroid_interaction' has not been fitted"):
        CentroidInteraction(embedder=WordEmbedder()).retrieve(batch(["cat"]))
