"""Answers of a language model, over REST with server-sent events and over MCP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from rag import Document, Pipeline
from rag.pipeline import Snapshot
from rag.retrievers import BM25
from rag.serving import Limits, create_app
from rag.summarizers import ChatModel, Generate
from tests.chat_server import asked, chat_server

EVENTS = {"Accept": "text/event-stream"}


def reply(request: dict, number: int) -> dict:
    question = asked(request).rpartition("Question: ")[2]
    if "broken" in question:
        return {"status": 500, "body": "sk-secret-key in /srv/models"}
    return {"body": "Apples are red [1]."}


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with chat_server(reply) as server:
        writer = ChatModel("tiny", base_url=server.url, retries=0)
        pipeline = Pipeline(retriever=BM25(top_k=3), stages=[Generate(writer=writer)])
        yield pipeline.fit([Document("a", "apples are red"), Document("b", "broken bananas")])


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
    (first, found), (second, written) = events(answer.text)
    assert (first, second) == ("found", "answer")
    assert [hit["id"] for hit in found["result"]["hits"]] == ["a"]
    assert (written["text"], written["citations"]) == ("Apples are red [1].", [{"rank": 1, "id": "a"}])
    assert "rag_llm_calls_total 1.0" in client.get("/metrics").text


def test_all_at_once_for_those_who_take_json(client):
    answer = client.post("/answer", json={"query": "apples"}, headers={"Accept": "application/json"}).json()
    assert answer["answer"]["text"] == "Apples are red [1]."
    assert answer["result"]["hits"][0]["id"] == "a"


def test_a_search_pays_for_no_answer(client):
    client.post("/search", json={"query": "apples"})
    assert "rag_llm_calls_total 0.0" in client.get("/metrics").text


def test_what_a_model_says_of_itself_stays_here(client):
    answer = client.post("/answer", json={"query": "broken"}, headers=EVENTS)
    assert events(answer.text)[1][1]["problem"] == "the language model gave no usable answer"
    assert "secret" not in answer.text


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
        service = client.app.state.service
        while service._answers_waiting < 2:
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
