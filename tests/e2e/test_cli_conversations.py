"""Conversations by the command line: indexed from rows with turns, summarized, asked with a file."""

from __future__ import annotations

import json

import pytest

from tests.chat_server import asked, chat_server
from tests.e2e.test_cli import rag  # noqa: F401 - a fixture

ROWS = [
    {"_id": "room", "turns": [{"speaker": "user", "text": "hello"}, {"speaker": "user", "text": "any bed for two"}]},
    {
        "_id": "taxi",
        "turns": [{"speaker": "user", "text": "good day"}, {"speaker": "user", "text": "a cab to go home"}],
    },
]
PIPELINE = """
type: pipeline
retriever:
  type: keyed
  keys:
    - type: summary
      summarizer: {{type: chat_model, model: tiny, base_url: "{url}", retries: 0}}
      retriever: {{type: bm25}}
      query: {{type: identity}}
"""


def answer(request, number):
    text = asked(request)
    return {"body": "wants a hotel bed" if "bed" in text else "wants a taxi home"}


@pytest.fixture
def written(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return tmp_path


def test_from_turns_to_the_answer(rag, written):  # noqa: F811
    with chat_server(answer) as server:
        (written / "p.yaml").write_text(PIPELINE.format(url=server.url))
        assert rag("index", "p.yaml", "--corpus", "corpus.jsonl", "--out", "kept").code == 0
        assert len(server.requests) == 2
        talk = json.dumps([["user", "hi"], ["agent", "yes?"], ["user", "some hotel"]])
        (written / "talk.json").write_text(talk, encoding="utf-8-sig")  # a mark that editors leave is dropped
        searched = json.loads(rag("search", "kept", "--conversation", "talk.json", "--explain", "--json").out)
        assert [hit["id"] for hit in searched["hits"]] == ["room"]
        assert searched["hits"][0]["keys"] == {"retriever.0 summary": "wants a hotel bed"}
        assert "retriever.0 summary: wants a hotel bed" in rag("search", "kept", "hotel", "--explain").out
        assert len(server.requests) == 2


def test_strict_stops_and_leaves_nothing_half_written(rag, written):  # noqa: F811
    with chat_server(lambda request, number: {"body": ""}) as server:
        (written / "p.yaml").write_text(PIPELINE.format(url=server.url))
        index = ("index", "p.yaml", "--corpus", "corpus.jsonl", "--out", "kept", "--store", "off")
        err = rag.refused(*index, "--set", "retriever.keys.0.strict=true")
        assert "made nothing of 2 of 2 texts: 'room', 'taxi' (it answered with nothing)" in " ".join(err.split())
        assert not (written / "kept").exists()
        assert rag(*index).code == 1
        assert not (written / "kept").exists()
        outcome = rag(*index, "--max-failed", "1")
        assert outcome.code == 0
        assert "they are keyed by their own text" in " ".join(outcome.err.split())
        searched = json.loads(rag("search", "kept", "cab", "--json").out)
        assert [hit["id"] for hit in searched["hits"]] == ["taxi"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "talk.json: cannot be read: No such file or directory"),
        ("[", "talk.json: not JSON"),
        ("[]", "a conversation needs a turn with text"),
        ('[{"speaker": "user"}]', "turn 0 of a conversation must be"),
        ("7", "a conversation is a list of turns, got 7"),
    ],
)
def test_a_conversation_that_is_none(rag, written, text, message):  # noqa: F811
    (written / "p.yaml").write_text("type: pipeline\nretriever: {type: bm25}\n")
    rag("index", "p.yaml", "--corpus", "corpus.jsonl", "--out", "kept")
    if text is not None:
        (written / "talk.json").write_text(text)
    assert message in " ".join(rag.refused("search", "kept", "--conversation", "talk.json").split())
    assert "give a question, or a conversation" in rag.refused("search", "kept")
    assert "give a question, or a conversation" in rag.refused("search", "kept", "x", "--conversation", "talk.json")
