"""Answers of a language model, over REST with server-sent events and over MCP."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.testclient import TestClient

from rag import Document, Pipeline
from rag.pipeline import Snapshot
from rag.retrievers import BM25
from rag.serving import Limits, create_app
from rag.summarizers import ChatModel, Generate, LangChainSummarizer
from tests.chat_server import ChatServer, asked, chat_server
from tests.served import serving

EVENTS = {"Accept": "text/event-stream"}


def reply(request: dict, number: int) -> dict:
    question = asked(request).rpartition("Question: ")[2]
    if "broken" in question:
        return {"status": 500, "body": "sk-secret-key in /srv/models"}
    if "breaks off" in question or "ends too early" in question:
        return {"body": "Bananas are yellow [1].", "broken": 2, "silently": "early" in question}
    return {"body": "Apples are red [1]."}


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with chat_server(reply) as server:
        writer = ChatModel("tiny", base_url=server.url, retries=0)
        pipeline = Pipeline(retriever=BM25(top_k=3), stages=[Generate(writer=writer)])
        yield pipeline.fit([Document("a", "apples are red"), Document("b", "broken bananas")])


PAUSE = 0.01


def written_by(server: ChatServer) -> Pipeline:
    writer = ChatModel("tiny", base_url=server.url, retries=0)
    return Pipeline(retriever=BM25(top_k=3), stages=[Generate(writer=writer)]).fit([Document("a", "apples are red")])


@pytest.fixture(scope="module")
def slow() -> Iterator[tuple[ChatServer, str]]:
    """A model that takes its time, and the address of a server that asks it."""

    def reply(request: dict, number: int) -> dict:
        n_words = 10_000 if asked(request).endswith("forever") else 10
        return {"body": " ".join(f"word{n}" for n in range(n_words)), "pause": PAUSE}

    with chat_server(reply) as server, serving(create_app(written_by(server))) as url:
        yield server, url


@pytest.fixture
def client(pipeline: Pipeline) -> Iterator[TestClient]:
    with TestClient(create_app(pipeline)) as client:
        yield client


def events(text: str) -> list[tuple[str, dict]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n") if not block.startswith(":")]  # signs of life
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_what_was_found_comes_before_the_answer(client):
    answer = client.post("/answer", json={"query": "apples"}, headers=EVENTS)
    assert answer.headers["content-type"].startswith("text/event-stream")
    (first, retrieved), *deltas, (last, written) = events(answer.text)
    assert (first, {name for name, _ in deltas}, last) == ("found", {"delta"}, "answer")
    assert "".join(delta["text"] for _, delta in deltas).strip() == written["text"]
    assert [hit["id"] for hit in retrieved["result"]["hits"]] == ["a"]
    assert (written["text"], written["citations"]) == ("Apples are red [1].", [{"rank": 1, "id": "a"}])
    assert "rag_llm_calls_total 1.0" in client.get("/metrics").text


def test_pieces_come_as_they_are_written(slow):
    server, url = slow
    with httpx.stream("POST", f"{url}/answer", json={"query": "apples"}, headers=EVENTS, timeout=20) as answer:
        times = {line: time.monotonic() for line in answer.iter_lines() if line.startswith("data:")}
    deltas = [json.loads(line.removeprefix("data: "))["text"] for line in list(times)[1:-1]]
    assert len(deltas) > 5
    assert "".join(deltas) == "".join(f"word{n} " for n in range(10))
    seen = list(times.values())
    assert seen[-1] - seen[1] > 5 * PAUSE


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_a_client_that_goes_away_stops_the_model(slow, accept):
    server, url = slow
    before = server.left
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        body = b'{"query": "apples forever"}'
        head = f"POST /answer HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nContent-Type: application/json\r\n"
        client.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        while server.busy or not server.requests[-1]["messages"][-1]["content"].endswith("forever"):
            time.sleep(0.01)
        time.sleep(5 * PAUSE)
    deadline = time.monotonic() + 20
    while server.left == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.left == before + 1


def test_an_answer_that_takes_too_long_stops_the_model(slow):
    server, _ = slow
    before = server.left
    with TestClient(create_app(written_by(server), limits=Limits(answer_timeout=0.1))) as client:
        answer = client.post("/answer", json={"query": "apples forever"}, headers=EVENTS)
        name, problem = events(answer.text)[-1]
        assert (name, problem["detail"]) == ("problem", "an answer took longer than 0.1 s and was stopped")
        while server.left == before:
            time.sleep(0.01)


def test_a_model_without_pieces_answers_at_once():
    from langchain_core.language_models import FakeListChatModel

    class Whole(FakeListChatModel):
        disable_streaming: bool = True

    writer = LangChainSummarizer(Whole(responses=["Apples are red [1]."]))
    pipeline = Pipeline(retriever=BM25(top_k=3), stages=[Generate(writer=writer)]).fit([Document("a", "apples")])
    with TestClient(create_app(pipeline)) as client:
        (_, _), (last, answer) = events(client.post("/answer", json={"query": "apples"}, headers=EVENTS).text)
    assert (last, answer["text"]) == ("answer", "Apples are red [1].")


def test_all_at_once_for_those_who_take_json(client):
    answer = client.post("/answer", json={"query": "apples"}, headers={"Accept": "application/json"}).json()
    assert answer["answer"]["text"] == "Apples are red [1]."
    assert answer["result"]["hits"][0]["id"] == "a"


def test_a_search_pays_for_no_answer(client):
    client.post("/search", json={"query": "apples"})
    assert "rag_llm_calls_total 0.0" in client.get("/metrics").text


@pytest.mark.parametrize("question", ["broken", "breaks off", "ends too early"])
def test_what_a_model_says_of_itself_stays_here(client, question):
    answer = client.post("/answer", json={"query": f"bananas {question}"}, headers=EVENTS)
    name, problem = events(answer.text)[-1]
    assert (name, problem["type"], problem["detail"]) == (
        "problem",
        "urn:rag:problem:no-answer",
        "the language model gave no usable answer",
    )
    whole = client.post("/answer", json={"query": f"bananas {question}"}, headers={"Accept": "application/json"}).json()
    assert whole["answer"]["problem"] == "the language model gave no usable answer"
    assert "secret" not in answer.text
    said = [value["text"] for name, value in events(answer.text) if name == "delta"]
    assert "".join(said) == {"broken": "", "breaks off": "Bananas are ", "ends too early": "Bananas are "}[question]


def test_a_question_that_is_wrong_is_no_stream(client):
    answer = client.post("/answer", json={"query": ""}, headers=EVENTS)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_too_many_at_once(pipeline, monkeypatch):
    going, writing = threading.Event(), threading.Event()

    def slow(self: Generate, batch: object, candidates: object) -> object:
        if batch.answers is not None:
            writing.set()
            assert going.wait(20)
        return candidates

    monkeypatch.setattr(Generate, "process", slow)
    with TestClient(create_app(pipeline, limits=Limits(max_answers=1))) as client:
        json_only = {"Accept": "application/json"}
        threads = [
            threading.Thread(
                target=client.post, args=("/answer",), kwargs={"json": {"query": "apples"}, "headers": json_only}
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert writing.wait(20)
        while client.app.state.service._room_for_answers._value:
            pass
        refused = client.post("/answer", json={"query": "apples"}, headers=json_only)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        going.set()
        for thread in threads:
            thread.join()


async def test_as_a_tool(pipeline):
    from mcp import Client

    from rag.serving.mcp_server import make_mcp_server
    from rag.serving.service import Service

    service = Service(Snapshot(pipeline), Limits())
    async with Client(make_mcp_server(service)) as client:
        answer = (await client.call_tool("answer", {"query": "apples"})).structured_content
    service.close()
    assert answer["text"] == "Apples are red [1]."
    assert answer["citations"] == [{"rank": 1, "id": "a", "url": "document://a"}]


def test_a_call_of_the_model_is_a_span_below_the_request(pipeline):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from rag import tracing

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.instrument(provider)
    try:
        with TestClient(create_app(pipeline)) as client:
            client.post("/answer", json={"query": "apples"}, headers={"Accept": "application/json"})
    finally:
        tracing.uninstrument()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    chat = spans["chat tiny"]
    assert (chat.attributes["gen_ai.usage.input_tokens"], chat.attributes["gen_ai.usage.output_tokens"]) == (7, 5)
    assert chat.attributes["openinference.span.kind"] == "LLM"
    assert chat.context.trace_id == spans["POST /answer"].context.trace_id
    assert "gen_ai.input.messages" not in chat.attributes
