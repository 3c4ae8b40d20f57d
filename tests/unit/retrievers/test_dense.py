"""Dense retrieval against products in numpy, and indexes against the exact one."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rag import ConfigError, Corpus, DataError, Document, FitContext, ModelError, Passages, Query, QueryBatch
from rag.retrievers import HNSW, Dense, Factory, Flat, IVFFlat
from tests.fakes import TableEmbedder

RNG = np.random.default_rng(11)
VECTORS = RNG.normal(size=(400, 12)).astype(np.float32)
N_QUERIES = 25
"""The texts of passages and queries are numbers of rows: queries take the last ones."""


def embedder(vectors=VECTORS):
    made = TableEmbedder(size=vectors.shape[1])
    made.rows = vectors
    return made


def fitted(n, vectors=VECTORS, *, owners=None, **arguments):
    """A retriever over the first ``n`` vectors, each a document, or passages of the owners."""
    dense = Dense(embedder=TableEmbedder(size=vectors.shape[1]), **arguments)
    dense.embedder.rows = vectors
    if owners is None:
        corpus = Corpus.from_documents(Document(f"d{number}", str(number)) for number in range(n))
        passages = Passages.whole(corpus)
    else:
        texts = [" ".join(str(row) for row in np.flatnonzero(owners == owner)) for owner in range(owners.max() + 1)]
        corpus = Corpus.from_documents(Document(f"d{number}", text) for number, text in enumerate(texts))
        spans = [[match.span() for match in re.finditer(r"\d+", text)] for text in texts]
        start, end = np.asarray([span for spans_of_text in spans for span in spans_of_text], dtype=np.int64).T
        passages = Passages(corpus, np.sort(owners), start, end, {})
    dense.fit(FitContext(corpus, passages))
    return dense


def ask(dense, rows=range(400 - N_QUERIES, 400)):
    return dense.retrieve(QueryBatch([Query(f"q{row}", str(row)) for row in rows]))


def exact(documents, queries, metric):
    if metric == "cosine":
        documents, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (documents, queries))
    return queries.astype(np.float64) @ documents.T.astype(np.float64)


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
@pytest.mark.parametrize("top_k", [1, 10, 300, 1000])
def test_flat_is_the_product_of_matrices(metric, top_k):
    candidates = ask(fitted(300, metric=metric, top_k=top_k))
    scores = exact(VECTORS[:300], VECTORS[-N_QUERIES:], metric)
    expected = np.argsort(-scores, axis=1)[:, :top_k]
    assert expected.tolist() == candidates.documents.tolist()
    np.testing.assert_allclose(np.take_along_axis(scores, expected, 1), candidates.scores, rtol=1e-4, atol=1e-5)
    assert candidates.documents.tolist() == candidates.passages.tolist()


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
def test_documents_are_ranked_by_their_best_passage(metric):
    owners = np.sort(RNG.integers(0, 40, size=300))
    owners = np.unique(owners, return_inverse=True)[1]
    candidates = ask(fitted(300, owners=owners, metric=metric, top_k=8))
    scores = exact(VECTORS[:300], VECTORS[-N_QUERIES:], metric)
    for row in range(N_QUERIES):
        best = np.full(owners.max() + 1, -np.inf)
        np.maximum.at(best, owners, scores[row])
        expected = np.argsort(-best)[:8]
        assert expected.tolist() == candidates.documents[row].tolist()
        np.testing.assert_allclose(best[expected], candidates.scores[row], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(scores[row][candidates.passages[row]], candidates.scores[row], rtol=1e-4, atol=1e-5)


def test_equal_vectors_are_returned_in_the_order_of_the_corpus():
    vectors = np.repeat(VECTORS[:2], 50, axis=0)
    for n_queries in (1, 30):  # faiss goes other ways for many
        candidates = ask(fitted(100, vectors, top_k=7), [0] * n_queries)
        assert [[0, 1, 2, 3, 4, 5, 6]] * n_queries == candidates.documents.tolist()


RANDOM = [
    (HNSW(m=16), 0.97),
    (IVFFlat(n_clusters=10, n_probe=5), 0.75),
    (IVFFlat(n_clusters=10, n_probe=10), 1.0),
    (IVFFlat(), 0.85),
]
RANDOM += [(Factory("Flat"), 1.0), (Factory("HNSW16,Flat"), 0.9), (Factory("SQ8"), 0.9)]


@pytest.mark.parametrize(("index", "recall"), RANDOM, ids=lambda value: repr(value))
def test_recall_of_indexes_on_random_vectors(index, recall):
    vectors = np.random.default_rng(5).normal(size=(2100, 12)).astype(np.float32)
    rows = range(2000, 2100)
    expected = ask(fitted(2000, vectors, top_k=10), rows).documents
    candidates = ask(fitted(2000, vectors, index=index, top_k=10), rows)
    shared = np.mean(
        [len(set(a) & set(b)) / 10 for a, b in zip(expected.tolist(), candidates.documents.tolist(), strict=True)]
    )
    assert shared >= recall
    if not isinstance(index, Factory):  # scores are exact whatever is missed
        scores = exact(vectors[:2000], vectors[2000:], "cosine")
        np.testing.assert_allclose(
            np.take_along_axis(scores, candidates.documents, 1), candidates.scores, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    "index", [HNSW(m=4, ef_search=1), IVFFlat(n_clusters=50, n_probe=1), IVFFlat(n_clusters=1)], ids=repr
)
def test_approximate_indexes_pad_what_they_did_not_find(index):
    candidates = ask(fitted(50, index=index, top_k=1000))
    assert candidates.documents.shape[1] <= 50
    assert (candidates.counts >= 1).all()
    assert all(
        len(set(row)) == len(row) for row in ([p for p in row if p >= 0] for row in candidates.documents.tolist())
    )


# -- vectors that are no good -------------------------------------------------------------------------------------


def test_a_zero_vector_scores_zero_and_a_zero_query_finds_nothing():
    vectors = VECTORS.copy()
    vectors[3] = vectors[399] = 0
    candidates = ask(fitted(10, vectors, top_k=10), [398, 399])
    assert candidates.counts.tolist() == [10, 0]
    assert candidates.scores[0][candidates.documents[0] == 3].tolist() == [0.0]
    assert np.isfinite(candidates.scores[0]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused_with_the_documents_name(bad):
    vectors = VECTORS.copy()
    vectors[7, 2] = vectors[9, 0] = bad
    with pytest.raises(ModelError) as caught:
        fitted(20, vectors)
    assert (
        str(caught.value)
        == "the embedder 'fake_table' returned NaN or infinite values for 2 of 20 passages, the first one "
        "of document 'd7'"
    )
    with pytest.raises(ModelError) as caught:
        ask(fitted(7, vectors), [1, 9])
    assert str(caught.value) == "the embedder 'fake_table' returned NaN or infinite values for query 'q9'"


def test_vectors_of_the_wrong_shape_are_refused():
    class Short(TableEmbedder):
        type = "short"

        def embed_queries(self, texts):
            return super().embed_queries(texts)[:1]

    dense = Dense(embedder=Short(size=12))
    dense.embedder.rows = VECTORS
    corpus = Corpus.from_documents([Document("a", "0"), Document("b", "1")])
    with pytest.raises(ModelError) as caught:
        dense.fit(FitContext(corpus, Passages.whole(corpus)))
    assert str(caught.value) == "the embedder 'short' returned an array of shape (1, 12) for 2 texts, expected (2, 12)"


def test_queries_of_another_dimension_are_refused():
    index = Flat()
    index.build(VECTORS)
    with pytest.raises(DataError, match="the queries' vectors have 5 dimensions, the index has 12"):
        index.search(VECTORS[:, :5], 3)


# -- arguments of indexes -----------------------------------------------------------------------------------------


def message_of(action):
    with pytest.raises(ConfigError) as caught:
        action()
    return str(caught.value)


def test_more_clusters_than_vectors_are_refused():
    expected = "n_clusters: 'ivf_flat': n_clusters must be at most the number of vectors (20), got 21"
    assert message_of(lambda: IVFFlat(n_clusters=21).build(VECTORS[:20])) == expected
    exact_anyway = ask(fitted(20, index=IVFFlat(n_clusters=20, n_probe=20)), range(20))
    assert list(range(20)) == exact_anyway.documents[:, 0].tolist()


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (38, 1), (100, 2), (400, 10)])
def test_clusters_are_as_many_as_the_vectors_can_fill(n, expected):
    index = IVFFlat()
    index.build(VECTORS[:n])
    assert index._index.nlist == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("", "could not parse index string"),
        ("nonsense", "could not parse index string nonsense"),
        ("PQ5", "should be a multiple of the number of subquantizers"),
        ("IVF256,Flat", "should be at least as large as number of clusters"),
        ("PCA64,Flat", "PCA matrix cannot output 64 dimensions from 12"),
        ("IDMap,Flat", "use add_with_ids"),
        ("NSG8", "cannot build a graph smaller than 100"),
    ],
)
def test_a_factory_string_that_faiss_refuses_is_told_in_one_line(description, expected, capfd):
    message = message_of(lambda: Factory(description).build(VECTORS[:50]))
    assert message.startswith(f"description: 'factory': faiss does not accept '{description}': ")
    assert expected in message
    assert "\n" not in message
    assert ".cpp" not in message
