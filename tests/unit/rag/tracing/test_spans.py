"""Spans of requests, steps and calls of models; nothing where tracing is off."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rag import Document, Pipeline, tracing
from rag.rerankers import Rerank
from rag.retrievers import BM25, Dense, Hybrid
from tests.fakes import CountingScorer, WordEmbedder


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.instrument(provider)
    yield exporter
    tracing.uninstrument()


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    hybrid = Hybrid(retrievers=[BM25(top_k=5), Dense(embedder=WordEmbedder(), top_k=5)], top_k=5)
    pipeline = Pipeline(retriever=hybrid, stages=[Rerank(scorer=CountingScorer(), budget=3)])
    return pipeline.fit([Document(str(n), f"word{n} word{n + 1}") for n in range(6)])


def tree(exporter: InMemorySpanExporter) -> dict[str, str | None]:
    """The name of the span around each span."""
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    return {span.name: names.get(span.parent.span_id) if span.parent else None for span in spans}


def attributes(exporter: InMemorySpanExporter, name: str) -> dict[str, object]:
    return dict(next(span for span in exporter.get_finished_spans() if span.name == name).attributes)


def test_a_span_for_every_step_and_call_of_a_model(pipeline, exporter):
    pipeline.search("word2", top_k=2)
    assert tree(exporter) == {
        "retrieval": None,
        "retriever": "retrieval",
        "retriever.0 bm25": "retriever",
        "retriever.1 dense": "retriever",
        "embeddings fake_words": "retriever.1 dense",
        "stages.0 rerank": "retrieval",
        "score fake_counting": "stages.0 rerank",
    }
    kinds = {span.name: span.attributes["openinference.span.kind"] for span in exporter.get_finished_spans()}
    assert kinds == {
        "retrieval": "RETRIEVER",
        "retriever": "RETRIEVER",
        "retriever.0 bm25": "RETRIEVER",
        "retriever.1 dense": "RETRIEVER",
        "embeddings fake_words": "EMBEDDING",
        "stages.0 rerank": "RERANKER",
        "score fake_counting": "RERANKER",
    }
    about = attributes(exporter, "retrieval")
    assert about["gen_ai.operation.name"] == "retrieval"
    assert about["gen_ai.retrieval.top_k"] == 2
    assert (about["rag.queries"], about["rag.found"]) == (1, 2)
    assert (about["rag.cost.texts_embedded"], about["rag.cost.scorer_calls"]) == (1, 3)
    assert attributes(exporter, "embeddings fake_words")["gen_ai.embeddings.dimension.count"] == 16


def test_content_only_where_it_is_wanted(pipeline, exporter, monkeypatch):
    pipeline.search("word2")
    said = json.dumps([dict(span.attributes) for span in exporter.get_finished_spans()])
    assert "word2" not in said
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    exporter.clear()
    tracing.instrument(provider)
    best = pipeline.search("word2")[0]
    about = attributes(exporter, "retrieval")
    assert about["gen_ai.retrieval.query.text"] == about["input.value"] == "word2"
    assert json.loads(about["gen_ai.retrieval.documents"])[0] == {"id": best.document.id, "score": best.score}
    assert about["retrieval.documents.0.document.content"] == best.passage


def test_an_error_is_on_its_span(pipeline, exporter, monkeypatch):
    monkeypatch.setattr(CountingScorer, "score_pairs", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pipeline.search("word2")
    failed = {span.name for span in exporter.get_finished_spans() if "error.type" in span.attributes}
    assert failed == {"score fake_counting", "stages.0 rerank", "retrieval"}
    assert attributes(exporter, "retrieval")["error.type"] == "ZeroDivisionError"
    assert all(not span.events for span in exporter.get_finished_spans())  # a traceback has paths and texts in it


def test_a_request_and_the_trace_it_belongs_to(pipeline, exporter):
    from starlette.testclient import TestClient

    from rag.serving import create_app

    with TestClient(create_app(pipeline)) as client:
        header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        client.post("/search", json={"query": "word2"}, headers={"traceparent": header})
    spans = {span.name: span for span in exporter.get_finished_spans()}
    server = spans["POST /search"]
    assert f"{server.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{server.parent.span_id:016x}" == "b7ad6b7169203331"
    assert server.attributes["http.route"] == "/search"
    assert server.attributes["http.response.status_code"] == 200
    assert spans["retrieval"].parent.span_id == server.context.span_id  # though another thread has searched


def test_a_request_has_one_span_wherever_spans_go(pipeline, exporter, monkeypatch):
    """FastAPI opens spans of its own as soon as a provider is set for all, with messages of errors on them."""
    from opentelemetry import trace
    from starlette.testclient import TestClient

    from rag.serving import create_app

    others = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(others))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    with TestClient(create_app(pipeline)) as client:
        client.post("/search", json={"query": "word2", "secret": 1})
    assert [span.name for span in exporter.get_finished_spans()] == ["POST /search"]
    assert others.get_finished_spans() == ()


def test_requests_that_are_answered_together_are_linked(exporter):
    contexts = []
    for name in ("one", "two", "three"):
        with tracing.span(name):
            contexts.append(tracing.current())
    with tracing.joined(contexts), tracing.span("inner"):
        pass
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert spans["inner"].parent.span_id == spans["batch"].context.span_id
    assert spans["batch"].parent.span_id == spans["one"].context.span_id
    linked = [link.context.span_id for link in spans["batch"].links]
    assert linked == [spans[name].context.span_id for name in ("two", "three")]


def test_off_is_free_and_imports_nothing(pipeline, monkeypatch):
    for name in [*sys.modules]:
        if name.partition(".")[0] == "opentelemetry":
            monkeypatch.setitem(sys.modules, name, None)  # importing it is an error now
    assert len(pipeline.search("word2"))
    start = time.process_time()
    for _ in range(10_000):
        with tracing.span("name", "CHAIN") as span:
            span.costs(None)
    assert (time.process_time() - start) / 10_000 < 5e-6
