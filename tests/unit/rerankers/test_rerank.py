"""Reranking: who is scored, what it costs and what is refused."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import (
    Candidates,
    ConfigError,
    Corpus,
    Document,
    FitContext,
    ModelError,
    Passages,
    Pipeline,
    Query,
    QueryBatch,
    Threshold,
    Training,
)
from rag.rerankers import CUR, Rerank
from rag.rerankers.callable import CallableScorer
from rag.retrievers import BM25, Dense
from tests.fakes import BrokenScorer, CountingScorer, WordEmbedder


def corpus_of(n=30):
    corpus = Corpus.from_documents(Document(f"d{number}", f"text {number}") for number in range(n))
    return FitContext(corpus, Passages.whole(corpus))


@st.composite
def candidates(draw):
    rows = draw(st.lists(st.lists(st.integers(0, 29), unique=True, max_size=8), min_size=1, max_size=4))
    width = max(map(len, rows)) + 1
    positions = np.full((len(rows), width), -1, dtype=np.int64)
    for row, documents in enumerate(rows):
        positions[row, : len(documents)] = documents
    return Candidates.from_scores(positions, -np.arange(width, dtype=np.float32) + np.zeros_like(positions), positions)


@given(candidates(), st.integers(1, 10), st.none() | st.integers(1, 10), st.sampled_from([1, -1]))
def test_the_head_is_scored_and_sorted_and_the_rest_dropped(table, budget, top_k, sign):
    top_k = None if top_k is None else min(top_k, budget)
    stage = Rerank(scorer=CountingScorer(sign=sign), budget=budget, top_k=top_k, scores="scorer")
    stage.fit(corpus_of())
    batch = QueryBatch([Query(str(row), "q") for row in range(len(table))])
    reranked = stage.process(batch, table)
    heads = [[p for p in row if p >= 0][:budget] for row in table.documents.tolist()]
    for row, head in enumerate(heads):
        scored = [(sign * float((p * 7 + row * 3) % 11), p) for p in head]
        expected = sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:top_k]
        actual = zip(reranked.scores[row].tolist(), reranked.documents[row].tolist(), strict=True)
        assert [pair for pair in actual if pair[1] >= 0] == expected
    calls = sum(map(len, heads))
    assert calls == batch.ledger.total.scorer_calls
    pairs = [pair for rows, passages in stage.scorer.asked for pair in zip(rows, passages, strict=True)]
    assert sorted((row, p) for row, head in enumerate(heads) for p in head) == sorted(pairs)
    assert all(rows == sorted(rows) for rows, _ in stage.scorer.asked)


def test_the_passage_that_matched_is_what_is_scored():
    stage = Rerank(scorer=CountingScorer())
    stage.fit(corpus_of())
    table = Candidates.from_scores(np.array([[3, 4]]), np.array([[2.0, 1.0]]), np.array([[17, 23]]))
    reranked = stage.process(QueryBatch([Query("0", "q")]), table)
    assert stage.scorer.asked == [([0, 0], [17, 23])]
    assert dict(zip(reranked.documents[0].tolist(), reranked.passages[0].tolist(), strict=True)) == {3: 17, 4: 23}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda n: np.zeros(n - 1), "the scorer 'fake_broken' returned scores of shape (2,) for 3 pairs"),
        (lambda n: np.zeros((n, 1)), "the scorer 'fake_broken' returned scores of shape (3, 1) for 3 pairs"),
        (lambda n: np.float32(1), "the scorer 'fake_broken' returned scores of shape () for 3 pairs"),
        (
            lambda n: np.array([1, np.nan, np.inf]),
            "the scorer 'fake_broken' returned NaN or infinite scores for 2 of 3 pairs, the first for query 'q1'",
        ),
        (
            lambda n: np.array([-np.inf, 1, 1]),
            "the scorer 'fake_broken' returned NaN or infinite scores for 1 of 3 pairs, the first for query 'q0'",
        ),
    ],
)
def test_scores_that_cannot_be_used_are_refused(answer, expected):
    stage = Rerank(scorer=BrokenScorer())
    stage.scorer.answer = answer
    stage.fit(corpus_of())
    table = Candidates.from_scores(np.array([[3, -1], [4, 5]]), np.zeros((2, 2)), np.array([[3, -1], [4, 5]]))
    with pytest.raises(ModelError) as caught:
        stage.process(QueryBatch([Query("q0", "x"), Query("q1", "y")]), table)
    assert str(caught.value) == expected


def test_nothing_to_score_asks_nobody():
    stage = Rerank(scorer=CountingScorer())
    stage.fit(corpus_of())
    batch = QueryBatch([Query("0", "q")])
    stage.process(batch, Candidates.empty(1))
    assert ([], {}) == (stage.scorer.asked, batch.ledger.stages)


def test_more_cannot_be_kept_than_was_paid_for():
    with pytest.raises(ConfigError, match="top_k: must be at most the budget \\(3\\), got 4"):
        Rerank(scorer=CountingScorer(), budget=3, top_k=4, scores="scorer")


@given(candidates(), st.integers(1, 10), st.floats(0, 1))
def test_a_blend_keeps_every_candidate_and_the_order_of_those_not_scored(table, budget, weight):
    stage = Rerank(scorer=CountingScorer(), budget=budget, blend=weight)
    stage.fit(corpus_of())
    answer = stage.process(QueryBatch([Query(str(row), "q") for row in range(len(table))]), table)
    for row in range(len(table)):
        listed = [position for position in table.documents[row].tolist() if position >= 0]
        given_back = [position for position in answer.documents[row].tolist() if position >= 0]
        assert given_back[budget:] == listed[budget:]
        by_scorer = sorted(listed[:budget], key=lambda p: (-((p * 7 + row * 3) % 11), p))
        fused = {p: (1 - weight) / (61 + by_scorer.index(p)) + weight / (61 + listed.index(p)) for p in listed[:budget]}
        got = [fused[p] for p in given_back[:budget]]
        assert got == pytest.approx(sorted(fused.values(), reverse=True), rel=1e-4)


@pytest.mark.parametrize("bound", [{"min_score": 0.5}, {"min_relative": 0.6}, {"top_k": 3}])
@pytest.mark.parametrize("scores", ["blended", "scorer"])
def test_a_bound_on_fused_ranks_is_remarked(bound, scores):
    stages = [Rerank(scorer=CountingScorer(), scores=scores), Threshold(**bound)]
    pipeline = Pipeline(retriever=BM25(), stages=stages).fit([Document("a", "x"), Document("b", "y")])
    said = [remark.message for remark in pipeline.remarks if remark.code == "bound_on_ranks"]
    name = next(iter(bound))
    expected = (
        f"stages.1 threshold bounds scores ({name}), and those of stages.0 rerank are ranks fused: 'scores: scorer' "
        "there gives the scorer's own"
    )
    assert said == ([expected] if scores == "blended" and name != "top_k" else [])


def test_a_blend_cuts_nothing_by_its_budget():
    assert (Rerank(scorer=CountingScorer()).scores_head, Rerank(scorer=CountingScorer(), blend=None).scores_head) == (
        False,
        True,
    )


def _judged(prefix, right, dev=None):
    queries = [Query(f"{prefix}{n}", f"word q{n}") for n in range(12)]
    return Training(queries, {query.id: {right: 1} for query in queries}, dev)


def test_a_blend_is_learned_on_dev_queries_where_there_are_some():
    """The scorer likes what is right for training queries, as one trained on them would, and never for dev."""
    documents = [Document(str(n), f"word {'word ' * n}text{n}") for n in range(6)]
    liked = CallableScorer(lambda pairs: [float("text0" in text) for _, text in pairs], name="likes 0")
    weights = []
    for training in (_judged("t", "0"), _judged("t", "0", _judged("d", "5"))):
        stage = Rerank(scorer=liked, budget=6)
        Pipeline(retriever=BM25(), stages=[stage]).fit(documents, training=training)
        weights.append(stage.weight)
    assert weights[0] < weights[1] == 1.0
    without = Rerank(scorer=liked, budget=6)
    Pipeline(retriever=BM25(), stages=[without]).fit(documents)
    assert without.weight == 0.75


def test_no_blend_is_learned_of_a_scorer_trained_on_the_same_queries(monkeypatch):
    class Trained(CallableScorer):
        type = "callable"
        needs = frozenset({"training"})

    stage = Rerank(scorer=Trained(lambda pairs: [0.0] * len(pairs), name="trained"), budget=6)
    documents = [Document(str(n), f"word text{n}") for n in range(6)]
    Pipeline(retriever=BM25(), stages=[stage]).fit(documents, training=_judged("t", "5"))
    assert stage.weight == 0.75
    assert "trained on the judged questions, and there are no dev queries; 0 passages" in stage.notes()[0]


RNG = np.random.default_rng(5)
LONG = [Document(str(n), " ".join(f"w{word}" for word in RNG.integers(0, 60, size=40))) for n in range(30)]


def _shared(pairs):
    return [float(len(set(query.split()) & set(text.split()))) for query, text in pairs]


def _drawn(pairs):
    return [float(zlib.crc32(f"{query} {text}".encode())) for query, text in pairs]


@pytest.mark.parametrize("stage", [Rerank, CUR])
def test_an_unjudged_scorer_has_to_know_passages_by_their_words(stage):
    said = {}
    for name, function in (("shared", _shared), ("drawn", _drawn), ("constant", lambda pairs: [1.0] * len(pairs))):
        made = stage(scorer=CallableScorer(function, name=name), budget=10)
        pipeline = Pipeline(retriever=Dense(embedder=WordEmbedder()), stages=[made]).fit(LONG)
        made = pipeline.stages[0]
        said[name] = made.weight, made.notes()[0]
        result = pipeline.search("w1 w2 w3")
        plain = Pipeline(retriever=Dense(embedder=WordEmbedder())).fit(LONG).search("w1 w2 w3")
        if name != "shared":
            assert [hit.document.id for hit in plain] == [hit.document.id for hit in result]
            assert 0 == result.costs.scorer_calls
    assert (0.75, 1.0, 1.0) == tuple(weight for weight, _ in said.values())
    assert "no question is judged; asked for 30 passages by some of their words, it puts 0.0" in said["drawn"][1]
    assert said["drawn"][1].endswith("is needed to have a say: it is not called")


def test_what_an_unjudged_scorer_was_given_survives_saving(tmp_path):
    made, again = (Rerank(scorer=CountingScorer(), budget=10) for _ in range(2))
    pipeline = Pipeline(retriever=BM25(), stages=[made]).fit(LONG)
    made.save_state(tmp_path)
    again.load_state(tmp_path, FitContext(pipeline.corpus, pipeline.passages))
    assert (made.weight, made.notes()) == (again.weight, again.notes())
    pipeline.add([Document("new", "w1 " * 40)])
    assert (made.weight, made.notes()) == (pipeline.stages[0].weight, pipeline.stages[0].notes())
