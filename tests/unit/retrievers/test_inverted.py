"""The inverted index against a product of matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from rag.retrievers import inverted
from rag.retrievers.inverted import InvertedIndex, strongest


def tables(seed, *, n_terms=40, n_passages=300, n_queries=17, values=None):
    """Weights of terms in passages and in queries."""
    generator = np.random.default_rng(seed)

    def table(n, m, density):
        drawn = scipy.sparse.random_array((n, m), density=density, format="csr", dtype=np.float32, rng=generator)
        drawn.data = generator.choice(values, size=drawn.nnz).astype(np.float32) if values else drawn.data + 0.01
        return drawn

    return table(n_terms, n_passages, 0.2), table(n_queries, n_terms, 0.1)


def product(postings, queries, k, allowed=None):
    """The best of each row of a dense product, ties by column."""
    scores = (queries @ postings).toarray()
    columns = np.arange(scores.shape[1]) if allowed is None else np.arange(scores.shape[1])[allowed]
    best = []
    for row in scores:
        order = sorted(columns[row[columns] > 0], key=lambda column: (-row[column], column))[:k]
        best.append([(int(column), float(row[column])) for column in order])
    return best


def rows_of(passages, scores):
    pairs = zip(passages.tolist(), scores.tolist(), strict=True)
    return [[(p, s) for p, s in zip(*row, strict=True) if p >= 0] for row in pairs]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [1, 7, 100, 500])
@pytest.mark.parametrize("values", [None, (1.0, 2.0)], ids=["all different", "many ties"])
def test_it_finds_what_a_product_finds(seed, k, values, monkeypatch):
    monkeypatch.setattr(inverted, "_BLOCK", 1000)
    postings, queries = tables(seed, values=values)
    allowed = [None, slice(20, 150), np.flatnonzero(np.random.default_rng(seed).random(300) < 0.3), np.arange(0)]
    for some in allowed:
        best = InvertedIndex(postings).search(queries, k, some)
        assert rows_of(*best) == product(postings, queries, k, some)


def test_it_gives_the_same_without_scipys_own_kernel(monkeypatch):
    postings, queries = tables(1)
    expected = InvertedIndex(postings).search(queries, 20)
    monkeypatch.setattr(inverted, "_adder", lambda: inverted._add)
    actual = InvertedIndex(postings).search(queries, 20)
    assert actual[0].tolist() == expected[0].tolist()
    assert actual[1].tolist() == expected[1].tolist()


def test_scores_of_given_passages():
    postings, queries = tables(2)
    passages = np.random.default_rng(0).integers(-1, 300, size=(17, 30))
    dense = (queries @ postings).toarray()
    expected = np.where(passages < 0, 0, np.take_along_axis(dense, np.maximum(passages, 0), axis=1))
    assert InvertedIndex(postings).scores_of(queries, passages).tolist() == expected.tolist()


def test_small_weights_with_a_scale():
    postings, queries = tables(3, values=(1.0, 5.0, 255.0))
    scale = np.linspace(0.01, 0.02, 40, dtype=np.float32)
    coded = scipy.sparse.csr_array((postings.data.astype(np.uint8), postings.indices, postings.indptr), postings.shape)
    expected = product(postings, queries.multiply(scale[None]).tocsr().astype(np.float32), 10)
    assert rows_of(*InvertedIndex(coded, scale=scale).search(queries, 10)) == expected


def test_terms_are_prepared_before_they_are_read():
    postings, queries = tables(4)
    asked = []
    InvertedIndex(postings, prepare=asked.append).search(queries, 5)
    assert [some.tolist() for some in asked] == [queries.indices.tolist()]


@pytest.mark.parametrize(("n", "m", "k"), [(0, 5, 3), (2, 0, 3), (2, 5, 0)])
def test_nothing_is_found_in_nothing(n, m, k):
    assert [array.tolist() for array in strongest(np.ones((n, m), dtype=np.float32), k)] == [[], [], []]


def test_a_query_without_terms_finds_nothing():
    postings, _ = tables(5)
    passages, scores = InvertedIndex(postings).search(scipy.sparse.csr_array((3, 40), dtype=np.float32), 5)
    assert (passages.shape, scores.shape) == ((3, 0), (3, 0))
