"""Questions split into parts, by rules and by a model, and lists fused so that each part is covered."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import LSA, Candidates, ConfigError, Document, Pipeline, Query, QueryBatch, Store
from rag.retrievers import BM25, Decomposed
from rag.retrievers.decomposition.coverage import fused_by_coverage
from rag.retrievers.decomposition.prompts import parts_of_reply, with_answers
from rag.retrievers.decomposition.rules import parts_by_rules
from rag.summarizers import ChatModel, Extractive
from tests.chat_server import asked, chat_server

DOCUMENTS = [
    Document("emma", "Emma was written by Jane Austen.", {"title": "Jane Austen"}),
    Document("austen", "Austen, Jane: born in 1775 in Steventon."),
    Document("tides", "Tides follow the moon."),
    Document("emma film", "A film of 2020 about Emma, with clothes and houses of its time.", {"title": "Emma"}),
]


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What is a tuple, and how do I sort a list?", ["What is a tuple", "how do I sort a list"]),
        ("What is the difference between a list and a tuple?", ["a list", "a tuple"]),
        ("compare Python with Ruby", ["Python", "Ruby"]),
        ("Python vs. Ruby", ["Python", "Ruby"]),
        ("Which is longer, the Nile or the Amazon?", ["Which is longer the Nile", "Which is longer the Amazon"]),
        ("Who is it? Where is it?", ["Who is it", "Where is it"]),
        ("What do Jon and Gina both like?", ["What do Jon like", "What do Gina like"]),
        ("Where have both Jon and Gina been?", ["Where have Jon been", "Where have Gina been"]),
        ("Wer ist das? Wo wohnt er?", ["Wer ist das", "Wo wohnt er"]),
        ("salt and pepper", []),
        ("How do I sort a list? Why?", []),
        ("", []),
    ],
)
def test_rules_split_questions(question, parts):
    assert parts_by_rules(question) == parts


@given(st.text(max_size=80))
def test_rules_take_any_text(text):
    assert len(parts_by_rules(text)) != 1


def table(rows):
    k = max(map(len, rows))
    documents = np.full((len(rows), k), -1)
    scores = np.full((len(rows), k), -np.inf, dtype=np.float32)
    for row, listed in enumerate(rows):
        for column, (document, score) in enumerate(listed):
            documents[row, column], scores[row, column] = document, score
    return Candidates(documents, scores, documents + 100 * (documents >= 0))


def reference(lists, weight, coverage, top_k):
    """One query, in plain Python: dictionaries of scaled scores, the first of the whole question."""
    whole, *parts = lists
    parts = [part for part in parts if part]
    weight = weight if parts else 1.0
    left, open_documents, chosen = [1.0] * len(parts), set().union(whole, *parts), []
    while open_documents and len(chosen) < top_k:

        def gain(document, left=tuple(left)):
            of_parts = sum(u * part.get(document, 0.0) for u, part in zip(left, parts, strict=True))
            return weight * whole.get(document, 0.0) + (1 - weight) * of_parts / max(len(parts), 1)

        best = max(open_documents, key=lambda document: (gain(document), -document))
        chosen.append((best, gain(best)))
        left = [u * (1 - coverage * part.get(best, 0.0)) for u, part in zip(left, parts, strict=True)]
        open_documents.remove(best)
    return chosen


def test_coverage_chooses_as_the_definition_says():
    random = np.random.default_rng(0)
    lists = [[{}, {}, {}] for _ in range(6)]
    for of_query in lists:
        for part in of_query[: random.integers(1, 4)]:
            documents = random.permutation(12)[: random.integers(3, 8)].tolist()
            values = [1.0, *np.sort(random.uniform(0.01, 0.99, len(documents) - 2))[::-1], 0.0]
            part.update(zip(documents, values, strict=True))
    tables = [table([list(of_query[kind].items()) for of_query in lists]) for kind in range(3)]
    for weight, coverage in ((0.5, 0.4), (0.2, 1.0), (0.7, 0.0)):
        actual = fused_by_coverage(tables[0], tables[1:], question_weight=weight, coverage=coverage, top_k=7)
        for row, of_query in enumerate(lists):
            expected = reference(of_query, weight, coverage, 7)
            n = len(expected)
            np.testing.assert_allclose(actual.scores[row, :n], [gain for _, gain in expected], atol=1e-6)
            clear = [gain for _, gain in expected if gain > 1e-6]
            assert actual.documents[row, : len(clear)].tolist() == [document for document, _ in expected[: len(clear)]]
        assert (actual.passages[actual.mask] - 100 == actual.documents[actual.mask]).all()
        assert (np.diff(np.where(actual.mask, actual.scores, -1), axis=1) <= 1e-6).all()


def test_each_part_is_searched_and_shown():
    pipeline = Pipeline(retriever=Decomposed(retriever=BM25(), top_k=3)).fit(DOCUMENTS)
    result = pipeline.search("Who wrote Emma? What do tides follow?", explain=True)
    assert {hit.document.id for hit in result[:2]} == {"emma", "tides"}
    tides = next(hit for hit in result if hit.document.id == "tides")
    assert tides.keys["retriever.2"] == "What do tides follow"
    whole = Pipeline(retriever=BM25()).fit(DOCUMENTS).search("Who wrote Emma")
    alone = pipeline.search("Who wrote Emma")
    assert [hit.document.id for hit in alone] == [hit.document.id for hit in whole]


def test_with_rules_a_later_part_sees_the_title_of_the_best_document():
    question = Query("q", "Who wrote Emma, and when was she born?")
    for sequential, expected in ((False, "when was she born"), (True, "when was she born Jane Austen")):
        pipeline = Pipeline(retriever=Decomposed(retriever=BM25(), sequential=sequential)).fit(DOCUMENTS)
        result = pipeline.search(question, explain=True)
        born = next(hit for hit in result if hit.document.id == "austen")
        assert born.keys["retriever.2"] == expected


def reply(request, number):
    text = asked(request)
    if text.startswith("Split"):
        return {"body": "1. Who wrote Emma?\n2. When was #1 born?" if "Emma" in text else "Tides?"}
    assert text.endswith("Question: Who wrote Emma?")
    return {"body": "Jane Austen."}


def test_a_model_splits_answers_and_is_asked_once(tmp_path):
    with chat_server(reply) as server:
        writer = ChatModel("tiny", base_url=server.url, backoff=0.0)
        retriever = Decomposed(retriever=BM25(), writer=writer, sequential=True)
        pipeline = Pipeline(retriever=retriever).fit(DOCUMENTS)
        store = Store(tmp_path)
        question = "When was the author of Emma born?"
        for _ in range(2):
            batch = QueryBatch([Query("q", question)], store=store, trace={})
            candidates = pipeline.retriever.retrieve(batch)
            assert len(server.requests) == 2
            assert batch.ledger.total.llm_calls == 2
            searched = [batch.key_texts[f"retriever.{part}"] for part in (1, 2)]
            at = np.array([0]), np.array([0])
            assert [texts(at)[0] for texts in searched] == ["Who wrote Emma?", "When was Jane Austen born?"]
            assert DOCUMENTS[candidates.documents[0, 0]].id == "austen"
        pipeline.search("Tides?")
        assert len(server.requests) == 3


def test_where_the_model_fails_the_question_is_searched_whole(tmp_path):
    with chat_server(lambda request, number: {"status": 400, "body": "no"}) as server:
        writer = ChatModel("tiny", base_url=server.url, backoff=0.0, retries=0)
        pipeline = Pipeline(retriever=Decomposed(retriever=BM25(), writer=writer)).fit(DOCUMENTS)
        batch = QueryBatch([Query("q", "tides and Emma")])
        assert pipeline.retriever.retrieve(batch).counts.tolist() == [3]
        assert batch.is_uncacheable


def test_parts_beyond_the_last_are_said(caplog):
    pipeline = Pipeline(retriever=Decomposed(retriever=BM25(), max_parts=2)).fit(DOCUMENTS)
    pipeline.search("Who wrote Emma? Where is the moon? What are tides?")
    assert re.search(r"1 of 1 queries have more than max_parts \(2\) parts", caplog.text)


def test_a_writer_must_be_a_language_model():
    with pytest.raises(ConfigError, match=r"writer: .*needs a language model"):
        Decomposed(retriever=BM25(), writer=Extractive(embedder=LSA()))


def test_replies_are_read():
    assert parts_of_reply("- a b?\n\n* c d?\n- a b?", "q") == ["a b?", "c d?"]
    assert parts_of_reply("What is it?", "what is it?") == []
    assert parts_of_reply("", "q") == []
    assert with_answers("is #1 older than #2 or #3?", ["x", "y"]) == "is x older than y or #3?"
