"""What is shared while fitting and asking, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import LSA, Candidates, Corpus, Costs, Document, FitContext, Ledger, Passages, Query, QueryBatch
from rag.embedders.base import TokenVectors
from rag.retrievers import BM25
from tests.fakes import WordEmbedder


class Counting(WordEmbedder):
    """Counts texts.

    Args:
        size: Length of the vectors.
    """

    type = "fake_batch_counting"

    def __init__(self, *, size: int = 4) -> None:
        self.size = size
        self.seen: list[str] = []

    def embed_queries(self, texts):
        self.seen += texts
        return super().embed_queries(texts)


def batch(*texts):
    return QueryBatch([Query(str(number), text) for number, text in enumerate(texts)])


def test_equal_embedders_embed_a_batch_once():
    asked, one, twin, other = batch("a", "b"), Counting(), Counting(), Counting(size=5)
    first = asked.embeddings(one)
    assert first is asked.embeddings(twin) is asked.embeddings(one)
    assert (2, 5) == asked.embeddings(other).shape
    assert (["a", "b"], [], ["a", "b"]) == (one.seen, twin.seen, other.seen)
    assert 4 == asked.ledger.total.texts_embedded


def test_an_empty_batch_embeds_nothing():
    asked, one = batch(), Counting()
    assert ((0, 4), []) == (asked.embeddings(one).shape, one.seen)
    assert {} == asked.ledger.stages


def test_tables_are_kept_only_when_asked_for():
    asked = batch("a")
    asked.record("x", Candidates.empty(1))
    assert asked.trace is None
    asked.trace = {}
    asked.record("x", Candidates.empty(1))
    assert ["x"] == list(asked.trace)


def test_identical_components_are_fitted_once_and_share_their_state():
    corpus = Corpus.from_documents([Document("a", "cat dog"), Document("b", "cat fish")])
    context = FitContext(corpus, Passages.whole(corpus))
    one, twin, other = LSA(dim=2), LSA(dim=2), LSA(dim=3)
    for lsa in (one, twin, other):
        context.fit(lsa)
    assert one._components is twin._components
    assert one._components is not other._components
    assert context.embed_passages(one) is context.embed_passages(twin)
    assert 2 == context.ledger.total.texts_embedded
    context.fit(one)  # again: nothing to do
    assert one._components is twin._components


def test_passages_are_embedded_in_blocks_in_order(monkeypatch):
    monkeypatch.setattr("rag.corpus.documents_file.ROWS", 3)
    texts = [f"w{number}" for number in range(10)]
    corpus = Corpus.from_documents(Document(text, text) for text in texts)
    context = FitContext(corpus, Passages.whole(corpus))
    embedder = WordEmbedder()
    np.testing.assert_allclose(embedder.embed_documents(texts), context.embed_passages(embedder))
    tokens = context.embed_passage_tokens(WordEmbedder(size=4))
    assert list(range(11)) == tokens.ends.tolist()
    expected = WordEmbedder(size=4).embed_query_tokens(texts).vectors
    np.testing.assert_allclose(expected, tokens.vectors, atol=1e-3)


@given(st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=4))
def test_token_vectors_are_joined(parts):
    def table(lengths):
        ends = np.cumsum([0, *lengths]).astype(np.int64)
        return TokenVectors(np.arange(ends[-1], dtype=np.float32)[:, None], ends)

    tables = [table(lengths) for lengths in parts]
    joined = TokenVectors.concatenate(tables)
    expected = [one.vectors[a:b].tolist() for one in tables for a, b in zip(one.ends[:-1], one.ends[1:], strict=True)]
    actual = [joined.vectors[a:b].tolist() for a, b in zip(joined.ends[:-1], joined.ends[1:], strict=True)]
    assert expected == actual


def test_costs_go_to_the_stage_that_is_open():
    ledger = Ledger()
    ledger.spend(llm_calls=1)
    with ledger.stage("outer"):
        ledger.spend(scorer_calls=2)
        with ledger.stage("inner"):
            ledger.spend(texts_embedded=3, llm_tokens=4)
        ledger.spend(scorer_calls=5)
    with pytest.raises(ZeroDivisionError), ledger.stage("outer"):
        ledger.spend(llm_calls=1 // 0)
    ledger.spend(llm_calls=1)
    counts = {
        name: {k: v for k, v in costs.as_dict().items() if k != "seconds" and v}
        for name, costs in ledger.stages.items()
    }
    assert {
        "other": {"llm_calls": 2},
        "outer": {"scorer_calls": 7},
        "inner": {"texts_embedded": 3, "llm_tokens": 4},
    } == counts
    total = ledger.total
    assert (3, 7, 2, 4) == (total.texts_embedded, total.scorer_calls, total.llm_calls, total.llm_tokens)
    assert total.seconds == sum(costs.seconds for costs in ledger.stages.values()) > 0
    assert {"seconds", "texts_embedded", "scorer_calls", "llm_calls", "llm_tokens"} == set(Costs().as_dict())


def test_a_component_without_state_is_still_told_apart():
    assert BM25().fingerprint != BM25(top_k=99).fingerprint
