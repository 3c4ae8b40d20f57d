"""Conversations in every form they come in, and the texts that stand for them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from rag import DataError, Query, QueryBatch, Turn, read_documents
from rag.conversation import conversation_text, last_turn, render, turns_of
from rag.queries.identity import IdentityQuery
from rag.summarizer import Source
from rag.types import Document
from tests.fakes import WordEmbedder

SPOKEN = (Turn("user", "hello there"), Turn("agent", "how can I help"), Turn("user", "a room"), Turn("agent", "ok"))


def test_every_form_gives_the_same_turns():
    expected = (Turn("user", "a"), Turn("assistant", "b"))
    forms = [
        [{"speaker": "user", "text": "a"}, {"speaker": "assistant", "text": "b"}],
        [("user", "a"), ["assistant", "b"]],
        [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
        ],
        [SystemMessage("be kind"), HumanMessage("a"), ToolMessage("7", tool_call_id="1"), AIMessage("b")],
        [HumanMessage([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": "x"}]), AIMessage(["b"])],
        [Turn("user", "a"), Turn("x", "  "), Turn("assistant", "b")],
        [ChatMessage("a", role="user"), {"role": "assistant", "content": "b"}, {"role": "assistant", "content": None}],
        iter(expected),
    ]
    assert [expected] * len(forms) == [turns_of(form) for form in forms]
    # said by a speaker of that name, not the instructions of a model
    assert turns_of([{"speaker": "system", "text": "b"}]) == (Turn("system", "b"),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("hello", "a conversation is a list of turns, got 'hello'"),
        ([{"speaker": "user"}], "turn 0 of a conversation must be {speaker, text}"),
        ([("user", "a"), 7], "turn 1 of a conversation must be"),
        ([("user", "a", "b")], "turn 0 of a conversation must be"),
        ([], "a conversation needs a turn with text, this one has none"),
        ([("user", " ")], "a conversation needs a turn with text"),
        ([SystemMessage("be kind")], "a conversation needs a turn with text"),
    ],
)
def test_what_is_no_conversation_is_refused(given, message):
    with pytest.raises(DataError, match=re.escape(message)):
        turns_of(given)


def test_what_stands_for_a_conversation():
    assert conversation_text(SPOKEN, "last_turn") == "a room"
    assert render(SPOKEN) == conversation_text(SPOKEN, "concatenate")
    assert conversation_text(SPOKEN, "latest_first_budget", budget=6) == "agent: ok\nuser: a room"
    assert conversation_text(SPOKEN, "latest_first_budget", budget=1) == "agent: ok"
    assert conversation_text(SPOKEN, "latest_first_budget", budget=25, count=len) == "agent: ok\nuser: a room"


def test_without_a_user_the_last_turn_asks():
    assert last_turn([Turn("Ann", "hi"), Turn("Bob", "hello")]) == 1
    assert last_turn([Turn("Customer", "hi"), Turn("Bob", "hello")]) == 0


turns = st.lists(
    st.builds(Turn, st.sampled_from(["user", "agent"]), st.text("ab ", min_size=1).filter(str.strip)), min_size=1
)


@given(turns, st.integers(1, 30))
def test_a_budget_takes_as_many_of_the_latest_turns_as_fit(spoken, budget):
    lines = conversation_text(spoken, "latest_first_budget", budget=budget).split("\n")
    expected = [render([turn]) for turn in reversed(spoken)]
    assert expected[: len(lines)] == lines
    words = [len(line.split()) for line in expected]
    assert len(lines) == 1 or sum(words[: len(lines)]) <= budget
    assert len(lines) == len(spoken) or sum(words[: len(lines) + 1]) > budget


def test_a_query_may_be_a_conversation():
    query = Query("q", turns=[HumanMessage("a room"), AIMessage("where?")])
    assert query.turns == (Turn("user", "a room"), Turn("assistant", "where?"))
    assert query.text == "user: a room\nassistant: where?"
    assert Query("q", "other", turns=[("user", "a")]).text == "other"


def test_identity_asks_a_part_of_a_conversation():
    class Counted(WordEmbedder):
        def tokenizer(self):
            from tokenizers import Tokenizer, models, pre_tokenizers

            tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
            tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")  # every character a token
            return tokenizer

    batch = QueryBatch([Query("a", turns=SPOKEN), Query("b", "plain")])

    def ask(**arguments):
        return IdentityQuery(**arguments).encode(batch).texts

    assert ask() == ["a room", "plain"]
    assert ask(history="concatenate") == [render(SPOKEN), "plain"]
    assert ask(history="latest_first_budget", budget=6) == ["agent: ok\nuser: a room", "plain"]
    assert ask(history="latest_first_budget", budget=12, embedder=Counted()) == ["agent: ok", "plain"]
    plain = QueryBatch([Query("b", "plain")])
    assert IdentityQuery().encode(plain) is plain


def test_documents_may_be_conversations(tmp_path):
    file = tmp_path / "corpus.jsonl"
    file.write_text(
        '{"_id": "a", "text": "x"}\n{"_id": "b", "text": null, "turns": [{"speaker": "user", "text": "hi"}]}\n'
    )
    plain, spoken = read_documents(file)
    assert spoken.text == "user: hi"
    assert Source("b", "user: hi", (Turn("user", "hi"),)) == Source.of_document(spoken)
    assert Source("a", "x") == Source.of_document(plain)
    with pytest.raises(DataError, match="document 'c': turn 0 of a conversation must be"):
        Source.of_document(Document("c", "x", {"turns": [7]}))
    file.write_text('{"_id": "a", "text": null, "turns": [7]}\n')
    with pytest.raises(DataError, match=re.escape("corpus.jsonl:1: turn 0 of a conversation must be")):
        list(read_documents(file))
