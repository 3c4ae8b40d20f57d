"""The routes of REST."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from rag.serving.access import requires
from rag.serving.encoding import json_bytes
from rag.serving.guard import unless_gone
from rag.serving.keys import Keys
from rag.serving.problems import MEDIA_TYPE, Problem
from rag.serving.schemas import (
    AskedQuery,
    ChangesOut,
    DeleteRequest,
    DocumentOut,
    FieldsOut,
    Health,
    ProblemOut,
    PutRequest,
    Ready,
    Remembered,
    RememberRequest,
    SearchRequest,
    SearchResponse,
    answer_json,
    result_json,
)
from rag.serving.service import Service
from rag.serving.streaming import answer_events
from rag.serving.updating import Updates

__all__ = ["make_router"]


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    return {status: {"model": ProblemOut, "content": content} for status in statuses}


_READ = _problems(400, 401, 403, 408, 413, 415, 422, 429, 503, 504)
_WRITE = _READ | _problems(507)
_EVENTS = {
    200: {
        "description": "Server-sent events: `found` with the result, `delta` with each piece of the answer (`text`) "
        "where the model hands them out, and at last `answer`, or `problem`. With `Accept: application/json` one "
        "object with the result and the answer.",
        "content": {"text/event-stream": {}, "application/json": {}},
    }
}


def make_router(service: Service, updates: Updates | None, keys: Keys) -> APIRouter:
    """The routes of a service.

    Args:
        service: The service that answers.
        updates: Updates of documents; None for a server that only reads.
        keys: Accepted keys.
    """
    router = APIRouter()
    reads, writes = requires(keys, "read"), requires(keys, "write")

    @router.post("/search", response_model=SearchResponse, responses=_READ, dependencies=reads, tags=["search"])
    async def search(request: Request, body: SearchRequest) -> Response:
        """Find documents: for one query, a conversation, or many queries at once."""
        snapshot, searched = await unless_gone(request.receive, service.search(body))
        results = [result_json(each.result, explain=body.explain) for each in searched]
        return _json({"generation": snapshot.generation, "results": results})

    @router.post("/answer", responses=_READ | _EVENTS | _problems(404), dependencies=reads, tags=["search"])
    async def answer(request: Request, body: AskedQuery) -> Response:
        """Find documents and have the pipeline's language model answer from them, with citations."""
        if not service.writes_answers:
            raise Problem(404, "no-answers", "this pipeline writes no answers: it has no stage such as generate")
        asked = SearchRequest.model_validate(body.model_dump())
        snapshot, [searched] = await unless_gone(request.receive, service.search(asked))
        if "text/event-stream" not in request.headers.get("accept", "*/*").replace("*/*", "text/event-stream"):
            written = await unless_gone(request.receive, service.answer(snapshot, searched))
            result = result_json(searched.result, explain=False)
            return _json({"result": result, "answer": answer_json(written, snapshot.generation)})
        events = answer_events(service, snapshot, searched)
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @router.get(
        "/documents/{id:path}",
        response_model=DocumentOut,
        responses=_READ | _problems(404),
        dependencies=reads,
        tags=["documents"],
    )
    async def document(id: str) -> Response:
        """A document as it is indexed, with its passages."""
        return _json(service.document(id).model_dump())

    @router.get(
        "/documents",
        response_model=DocumentOut,
        responses=_READ | _problems(404),
        dependencies=reads,
        tags=["documents"],
    )
    async def document_by_query(id: str) -> Response:
        """The same for ids that a path cannot hold: a client may resolve `..` in it by itself."""
        return _json(service.document(id).model_dump())

    @router.get("/fields", response_model=FieldsOut, responses=_READ, dependencies=reads, tags=["documents"])
    async def fields() -> Response:
        """What filters can name."""
        return _json(service.fields().model_dump())

    @router.put("/documents", response_model=ChangesOut, responses=_WRITE, dependencies=writes, tags=["documents"])
    async def put(request: Request, body: PutRequest) -> Response:
        """Add documents, or replace those whose ids are known. They are on the disk, and found, when this answers."""
        return _json((await unless_gone(request.receive, _writable(updates).put(body))).model_dump())

    @router.delete("/documents", response_model=ChangesOut, responses=_WRITE, dependencies=writes, tags=["documents"])
    async def delete(request: Request, body: DeleteRequest) -> Response:
        """Remove documents by id, or all that pass a filter."""
        return _json((await unless_gone(request.receive, _writable(updates).delete(body))).model_dump())

    @router.post("/remember", response_model=Remembered, responses=_WRITE, dependencies=writes, tags=["judgments"])
    async def remember(request: Request, body: RememberRequest) -> Response:
        """Add judgments or clicks to the memory of judged questions, and values (answers, labels, actions) by their
        questions. The next query is answered with them.
        """
        return _json((await unless_gone(request.receive, _writable(updates).remember(body))).model_dump())

    @router.get("/health", response_model=Health, tags=["server"])
    async def health() -> Response:
        """The process is alive; whether it answers queries says /ready."""
        return _json({"status": "alive"})

    @router.get("/ready", response_model=Ready, responses=_problems(503), tags=["server"])
    async def ready() -> Response:
        """It answers queries, and from which generation of the index."""
        return _json(service.ready(writable=updates is not None).model_dump())

    @router.get("/metrics", dependencies=reads, responses=_problems(401, 403), tags=["server"])
    async def metrics() -> Response:
        """Requests, latencies by stage, batch sizes, costs and the generation in Prometheus' format."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _writable(updates: Updates | None) -> Updates:
    if updates is None:
        raise Problem(403, "read-only", "this server is read-only")
    return updates


def _json(value: Any) -> Response:
    return Response(json_bytes(value), media_type="application/json")
