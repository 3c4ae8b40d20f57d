"""MUVERA's encodings against a plain loop over tokens, and what the paper promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import MUVERA, ConfigError, Corpus, Document, FitContext, Passages, Query, QueryBatch
from rag.embedders.base import TokenVectors
from rag.embedders.fixed_dimensional import FixedDimensional
from rag.retrievers import Dense
from tests.fakes import WordEmbedder


def tokens_of(*texts):
    """Token vectors of texts that are given as lists of vectors."""
    ends = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    dimension = next((len(text[0]) for text in texts if len(text)), 3)
    vectors = np.array([vector for text in texts for vector in text], dtype=np.float32).reshape(-1, dimension)
    return TokenVectors(vectors, ends)


def unit(rng, n, d):
    vectors = rng.normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def slowly(space, tokens, *, query, fill):
    """The definition (paper, section 2), one token after another."""
    encoded = []
    for start, stop in zip(tokens.ends[:-1], tokens.ends[1:], strict=True):
        text, whole = tokens.vectors[start:stop].astype(np.float32), []
        for number in range(space._repetitions):
            planes = space._planes[number]
            project = None if space._projection is None else space._projection[number % len(space._projection)]
            cells = {cell: [] for cell in range(2**space._k_sim)}
            signs = []
            for vector in text:
                bits = [bool(vector @ planes[:, plane] > 0) for plane in range(space._k_sim)]
                signs.append(bits)
                own = vector if project is None else vector @ project
                cells[sum(2**plane for plane, bit in enumerate(bits) if bit)].append(own)
            for cell, members in cells.items():
                if members:
                    whole.append(np.sum(members, axis=0) if query else np.mean(members, axis=0))
                elif fill and len(text):
                    wanted = [bool(cell >> plane & 1) for plane in range(space._k_sim)]
                    away = [sum(a != b for a, b in zip(bits, wanted, strict=True)) for bits in signs]
                    nearest = text[int(np.argmin(away))]
                    whole.append(nearest if project is None else nearest @ project)
                else:
                    whole.append(np.zeros(space._width))
        row = np.concatenate(whole)
        if query:
            row = row / (max(len(text), 1) * space._repetitions)
        encoded.append(row if space._sketch is None else row @ space._sketch.toarray())
    return np.array(encoded)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=7), st.integers(0, 4), st.integers(1, 3), st.booleans(),
    st.booleans(), st.sampled_from([None, 5]), st.integers(0, 100),
)  # fmt: skip
def test_equal_to_a_plain_loop(lengths, k_sim, repetitions, projected, fill, final, seed):
    rng = np.random.default_rng(seed)
    tokens = tokens_of(*[unit(rng, length, 6) for length in lengths])
    if not len(tokens.vectors):
        tokens = TokenVectors(np.empty((0, 6), dtype=np.float32), tokens.ends)
    projection = rng.normal(size=(repetitions, 6, 2)).astype(np.float32) if projected else None
    space = FixedDimensional(
        6, k_sim=k_sim, repetitions=repetitions, projection=projection, final_dimension=final, seed=seed
    )
    queries, documents = space.queries(tokens), space.documents(tokens, fill=fill)
    assert queries.shape == documents.shape == (len(lengths), space.length)
    np.testing.assert_allclose(queries, slowly(space, tokens, query=True, fill=False), atol=1e-5)
    np.testing.assert_allclose(documents, slowly(space, tokens, query=False, fill=fill), atol=1e-5)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    tokens = tokens_of(*[unit(rng, length, 6) for length in (3, 1, 5, 2, 4)])
    space = FixedDimensional(6, k_sim=3, repetitions=4, seed=1)
    whole = space.documents(tokens)
    monkeypatch.setattr("rag.embedders.fixed_dimensional._BLOCK", 1)
    np.testing.assert_allclose(space.documents(tokens), whole, atol=1e-6)


def test_a_document_of_one_token_is_scored_exactly():
    rng = np.random.default_rng(1)
    query, document = unit(rng, 5, 8), unit(rng, 1, 8)
    space = FixedDimensional(8, k_sim=4, repetitions=3, seed=2)
    estimate = space.queries(tokens_of(query)) @ space.documents(tokens_of(document)).T
    assert float(estimate[0, 0]) == pytest.approx(float((query @ document.T).mean()), abs=1e-5)


def test_more_repetitions_estimate_better():
    """The claim of theorem 2.1, in numbers: the error falls with what the encoding is allowed."""
    rng = np.random.default_rng(3)
    documents = [unit(rng, 12, 16) for _ in range(40)]
    query = unit(rng, 6, 16)
    exact = np.array([(query @ document.T).max(axis=1).mean() for document in documents])
    correlations = []
    for repetitions in (1, 40):
        space = FixedDimensional(16, k_sim=4, repetitions=repetitions, seed=4)
        estimates = (space.queries(tokens_of(query)) @ space.documents(tokens_of(*documents)).T)[0]
        correlations.append(np.corrcoef(exact, estimates)[0, 1])
    assert correlations[1] > max(correlations[0], 0.7)


def test_order_and_repetition_of_tokens_do_not_count():
    rng = np.random.default_rng(5)
    text = unit(rng, 6, 5)
    space = FixedDimensional(5, k_sim=2, repetitions=2)
    encoded = space.documents(tokens_of(text, text[::-1], np.repeat(text, 2, axis=0)), fill=False)
    np.testing.assert_allclose(encoded[1], encoded[0], atol=1e-6)
    np.testing.assert_allclose(encoded[2], encoded[0], atol=1e-6)


TEXTS = ["cat sat mat", "dog bark", "fish water cold", "tree leaves", "cat dog fish"]


def fitted(component):
    corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(TEXTS))
    context = FitContext(corpus, Passages.whole(corpus))
    context.fit(component)
    return context


@pytest.mark.parametrize("projection", ["none", "random", "svd"])
def test_dense_over_it_finds_what_late_interaction_would(projection):
    space = MUVERA(embedder=WordEmbedder(size=24), k_sim=3, repetitions=30, projection=projection, d_proj=12)
    retriever = Dense(embedder=space, metric="inner_product", top_k=2)
    fitted(retriever)
    table = retriever.retrieve(QueryBatch([Query("q", "cold water"), Query("r", "cat mat")]))
    assert table.documents[:, 0].tolist() == [2, 0]


def test_tokens_are_embedded_once_for_all(monkeypatch):
    calls = []
    whole = WordEmbedder.embed_document_tokens

    def counting(self, texts, **options):
        calls.append(len(texts))
        return whole(self, texts, **options)

    monkeypatch.setattr(WordEmbedder, "embed_document_tokens", counting)
    space = MUVERA(embedder=WordEmbedder(size=8), projection="svd", d_proj=4)
    context = fitted(Dense(embedder=space, metric="inner_product"))
    context.embed_passage_tokens(WordEmbedder(size=8))
    assert calls == [5]


def test_it_says_when_it_does_not_pay():
    context = fitted(MUVERA(embedder=WordEmbedder()))
    assert [remark.code for remark in context.remarks] == ["not_trained_for_max_sim"]


def test_wrong_lengths_and_metrics():
    with pytest.raises(ConfigError, match="d_proj: must be at most the token vectors' 8 dimensions, got 9"):
        fitted(Dense(embedder=MUVERA(embedder=WordEmbedder(size=8), d_proj=9), metric="inner_product"))
    with pytest.raises(ConfigError, match="metric: must be inner_product with"):
        Dense(embedder=MUVERA(embedder=WordEmbedder()))._preflight()
