"""What is shared while fitting and asking, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import (
    LSA,
    Candidates,
    Corpus,
    Costs,
    Document,
    FitContext,
    Ledger,
    Passages,
    Pipeline,
    Query,
    QueryBatch,
    Retriever,
    Stage,
)
from rag.embedders.base import TokenVectors
from rag.retrievers import BM25, Hybrid
from rag.step import Step
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
    asked, embedder, twin, other = batch("a", "b"), Counting(), Counting(), Counting(size=5)
    first = asked.embeddings(embedder)
    assert first is asked.embeddings(twin) is asked.embeddings(embedder)
    assert asked.embeddings(other).shape == (2, 5)
    assert (["a", "b"], [], ["a", "b"]) == (embedder.seen, twin.seen, other.seen)
    assert asked.ledger.total.texts_embedded == 4


def test_an_empty_batch_embeds_nothing():
    asked, embedder = batch(), Counting()
    assert ((0, 4), []) == (asked.embeddings(embedder).shape, embedder.seen)
    assert asked.ledger.stages == {}


def test_tables_are_kept_only_when_asked_for():
    asked = batch("a")
    asked.record("x", Candidates.empty(1))
    assert asked.trace is None
    asked.trace = {}
    asked.record("x", Candidates.empty(1))
    assert list(asked.trace) == ["x"]


def table(*positions):
    rows = np.array(positions, dtype=np.int64)
    return Candidates(rows, -rows.astype(np.float32), rows)


def test_a_view_of_all_rows_shares_what_is_known_and_books_elsewhere():
    asked, embedder = batch("a", "b"), Counting()
    asked.trace = {}
    ledger, trace = Ledger(), {}
    view = asked.view(ledger=ledger, trace=trace)
    assert view.embeddings(embedder) is asked.embeddings(embedder)
    view.record("x", table([1], [2]), lambda at: ["key"])
    assert (ledger.total.texts_embedded, asked.ledger.total.texts_embedded) == (2, 0)
    assert (list(trace), list(asked.trace), list(asked.lists)) == (["x"], [], ["x"])
    assert (list(view.key_texts), list(asked.key_texts)) == (["x"], [])
    view.mark_uncacheable("why")
    assert asked.is_uncacheable
    assert (asked.ledger is ledger, view.queries is asked.queries) == (False, True)


def test_a_view_of_some_rows_stands_for_itself():
    asked, embedder = batch("a", "b", "c"), Counting()
    asked.record("x", table([1], [2], [3]))
    view = asked.view(rows=np.array([0, 2]))
    assert [query.id for query in view.queries] == ["0", "2"]
    assert view.lists["x"].documents.tolist() == [[1], [3]]
    view.record("y", table([4], [5]))
    assert list(asked.lists) == ["x"]
    view.embeddings(embedder)
    assert (embedder.seen, asked.ledger.total.texts_embedded) == (["a", "c"], 2)


def test_vectors_that_replace_those_of_the_queries_are_booked_by_the_view():
    embedder, ledger = Counting(), Ledger()
    asked = batch("a", "b", "c")
    other = asked.with_queries(asked.queries, lambda embedder: asked.view(ledger=ledger).embeddings(embedder) * 2)
    vectors = other.view(rows=slice(1, 3)).embeddings(embedder)
    np.testing.assert_allclose(vectors, embedder.embed_queries(["b", "c"]) * 2)
    assert (asked.ledger.total.texts_embedded, ledger.total.texts_embedded) == (0, 3)


@pytest.mark.parametrize(
    ("step", "name", "path"),
    [
        (Step.retriever(), "retriever", "retriever"),
        (Step.retriever().part(1, "dense"), "retriever.1 dense", "retriever.1"),
        (Step.stage(0, "rerank"), "stages.0 rerank", "stages.0"),
        (
            Step.stage(2, "learned_rank").part(0, "feedback").part("again"),
            "stages.2 learned_rank.0 feedback.again",
            "stages.2.0.again",
        ),
    ],
)
def test_steps_have_a_name_and_a_path(step, name, path):
    assert (step.name, step.path) == (name, path)


def test_a_part_that_a_stage_asks_is_named_after_the_stage():
    class Asks(Stage):
        """Asks a retriever.

        Args:
            source: Asked.
        """

        type = "fake_asks"

        def __init__(self, *, source: Retriever) -> None:
            self.source = source

        def process(self, batch, candidates):
            part = batch.for_part(0, self.source.type)
            part.record(part.step.name, part.found_by(self.source))
            return candidates

    source = Hybrid(retrievers=[BM25(), BM25(top_k=9)])
    pipeline = Pipeline(retriever=BM25(top_k=5), stages=[Asks(source=source), Asks(source=source)])
    asked = QueryBatch([Query("0", "cat")], trace={})
    pipeline.fit([Document("a", "cat dog"), Document("b", "fish")]).run(asked)
    parts = ["0 hybrid.0 bm25", "0 hybrid.1 bm25", "0 hybrid"]
    first = [f"stages.0 fake_asks.{part}" for part in parts]
    second = [f"stages.1 fake_asks.{part}" for part in parts]  # the same names where the table is remembered
    assert list(asked.trace) == ["retriever", *first, "stages.0 fake_asks", *second, "stages.1 fake_asks"]
    assert asked.step == Step.retriever()


@given(st.integers(0, 50), st.integers(1, 7))
def test_shares_of_costs_sum_to_the_whole(count, n):
    shares = Costs(seconds=1.5, scorer_calls=count).shares(n)
    assert sum(share.scorer_calls for share in shares) == count
    assert max(share.scorer_calls for share in shares) - min(share.scorer_calls for share in shares) <= 1
    assert sum(share.seconds for share in shares) == pytest.approx(1.5)
    assert Costs().shares(0) == []


def test_identical_components_are_fitted_once_and_share_their_state():
    corpus = Corpus.from_documents([Document("a", "cat dog"), Document("b", "cat fish")])
    context = FitContext(corpus, Passages.whole(corpus))
    first, twin, other = LSA(dim=2), LSA(dim=2), LSA(dim=3)
    for lsa in (first, twin, other):
        context.fit(lsa)
    assert first._components is twin._components
    assert first._components is not other._components
    assert context.embed_passages(first) is context.embed_passages(twin)
    assert context.ledger.total.texts_embedded == 2
    context.fit(first)  # again: nothing to do
    assert first._components is twin._components


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
    expected = [
        token_vectors.vectors[a:b].tolist()
        for token_vectors in tables
        for a, b in zip(token_vectors.ends[:-1], token_vectors.ends[1:], strict=True)
    ]
    actual = [joined.vectors[a:b].tolist() for a, b in zip(joined.ends[:-1], joined.ends[1:], strict=True)]
    assert actual == expected


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
    assert counts == {
        "other": {"llm_calls": 2},
        "outer": {"scorer_calls": 7},
        "inner": {"texts_embedded": 3, "llm_tokens": 4},
    }
    total = ledger.total
    assert (3, 7, 2, 4) == (total.texts_embedded, total.scorer_calls, total.llm_calls, total.llm_tokens)
    assert total.seconds == sum(costs.seconds for costs in ledger.stages.values()) > 0
    assert set(Costs().as_dict()) == {"seconds", "texts_embedded", "scorer_calls", "llm_calls", "llm_tokens"}


def test_a_component_without_state_is_still_told_apart():
    assert BM25().fingerprint != BM25(top_k=99).fingerprint
