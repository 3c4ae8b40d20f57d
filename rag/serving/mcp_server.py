"""The Model Context Protocol: the pipeline as tools and resources for agents."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import Field

from rag.errors import MissingExtraError
from rag.serving.guard import Receive, Scope, Send
from rag.serving.limits import Limits
from rag.serving.mcp_results import FetchedDocument, SearchFound, WrittenAnswer
from rag.serving.problems import problem_of
from rag.serving.schemas import SearchRequest
from rag.serving.service import Service

if TYPE_CHECKING:
    from mcp.server import MCPServer

__all__ = ["MCPApplication", "make_mcp_server", "run_stdio"]

T = TypeVar("T")

_TOP_K = 10
Filter = Annotated[
    dict[str, Any],
    Field(
        description='Only documents whose metadata pass, such as {"year": {"gte": 1970}, "lang": "en"}. '
        "The resource schema://fields says what there is."
    ),
]
_INSTRUCTIONS = (
    "Search finds passages of the indexed documents; fetch gives the whole text of a document by the id that search "
    "returned. A filter narrows a search to documents with certain metadata; read schema://fields before writing one."
)


def make_mcp_server(service: Service) -> MCPServer[Any]:
    """An MCP server for a service: tools ``search``, ``fetch`` and, where the pipeline writes answers, ``answer``;
    resources ``document://{id}`` and ``schema://fields``.

    Raises:
        MissingExtraError: The extra ``mcp`` is not installed.
    """
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
        from mcp.server.mcpserver.resources import ResourceSecurity
        from mcp_types import ToolAnnotations
    except ImportError:
        raise MissingExtraError("serving MCP", package="mcp", extra="mcp") from None
    from rag import __version__

    # Ids are looked up among the documents and open no file, so they may look like paths.
    security = ResourceSecurity(exempt_params={"id"})
    server: MCPServer[Any] = MCPServer(
        "rag-pipelines",
        title="Document search",
        instructions=_INSTRUCTIONS,
        version=__version__,
        log_level="WARNING",
        resource_security=security,
        middleware=[cast("Any", _refuse_unknown)],
    )
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=False, idempotent_hint=True)

    @server.tool(title="Search documents", annotations=reading)
    async def search(
        query: Annotated[str, Field(description="The question, in plain words.")],
        top_k: Annotated[int, Field(ge=1, description="How many documents at most.")] = _TOP_K,
        filter: Filter | None = None,
    ) -> SearchFound:
        """Find the documents, and in each the passage, that answer a question best."""
        return await _told(_search(service, query, top_k, filter))

    @server.tool(title="Fetch a document", annotations=reading)
    async def fetch(id: Annotated[str, Field(description="The id that search returned.")]) -> FetchedDocument:
        """Get the whole text and the metadata of a document."""
        return await _told(_fetch(service, id))

    if service.writes_answers:

        @server.tool(title="Answer a question", annotations=reading)
        async def answer(
            query: Annotated[str, Field(description="The question, in plain words.")],
            filter: Filter | None = None,
        ) -> WrittenAnswer:
            """Have a language model answer from the documents, citing passages like [1]."""
            return await _told(_answer(service, query, filter))

    @server.resource("document://{+id}", name="document", mime_type="text/plain", security=security)
    async def document_text(id: str) -> str:
        """The whole text of a document."""
        try:
            return service.document(id).text
        except Exception as error:
            problem = problem_of(error)
            kind = ResourceNotFoundError if problem.status == 404 else ResourceError
            raise kind(problem.detail) from None

    @server.resource("schema://fields", name="fields", mime_type="application/json")
    async def fields() -> str:
        """The metadata fields that filters can name, with the values they hold, and the tests there are."""
        return service.fields().model_dump_json()

    return server


class MCPApplication:
    """An MCP server over streamable HTTP, as an ASGI application without sessions. It needs no lifespan: it starts with
    the first request.

    Args:
        server: The MCP server.
        limits: Bounds on bodies.
    """

    def __init__(self, server: MCPServer[Any], limits: Limits) -> None:
        from mcp.server.transport_security import TransportSecuritySettings

        # The host is checked before, for all routes alike.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        server.streamable_http_app(
            stateless_http=True,
            json_response=True,
            max_request_body_size=limits.max_question,
            transport_security=security,
        )
        self._manager = server.session_manager
        self._running: asyncio.Task[None] | None = None
        self._started = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await self._started.wait()
        await self._manager.handle_request(scope, receive, send)

    async def _run(self) -> None:
        async with self._manager.run():
            self._started.set()
            await asyncio.Event().wait()

    async def close(self) -> None:
        """End the running session."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running


def run_stdio(folder: Path, limits: Limits, *, follow: bool) -> None:
    """Serve a folder on standard input and output until the client goes.

    Raises:
        MissingExtraError: The extra ``mcp`` is not installed.
        ArtifactError: The folder cannot be opened.
    """
    from rag.pipeline import Pipeline

    with Pipeline.follow(folder, every=1.0 if follow else None) as source:
        service = Service(source, limits)
        try:
            make_mcp_server(service).run("stdio")
        finally:
            service.close()


async def _search(service: Service, query: str, top_k: int, filter: dict[str, Any] | None) -> SearchFound:
    snapshot, [searched] = await service.search(SearchRequest(query=query, top_k=top_k, filter=filter))
    return SearchFound.of(searched.result, snapshot.generation)


async def _fetch(service: Service, id: str) -> FetchedDocument:
    return FetchedDocument.of(service.document(id))


async def _answer(service: Service, query: str, filter: dict[str, Any] | None) -> WrittenAnswer:
    snapshot, [searched] = await service.search(SearchRequest(query=query, filter=filter))
    return WrittenAnswer.of(await service.answer(snapshot, searched), searched.result, snapshot.generation)


async def _told(work: Awaitable[T]) -> T:
    """Result of some work; an error becomes a tool error with our message."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        return await work
    except Exception as error:
        raise ToolError(problem_of(error).detail) from None


async def _refuse_unknown(ctx: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    """Refuse arguments that a tool does not have: one that is ignored would answer another question."""
    from mcp_types import CallToolResult, TextContent

    if ctx.method == "tools/call" and isinstance(ctx.params, dict):
        name, arguments = ctx.params.get("name"), ctx.params.get("arguments") or {}
        valid = _ARGUMENTS.get(name, arguments) if isinstance(name, str) else arguments
        unknown = [argument for argument in arguments if argument not in valid]
        if unknown:
            text = f"unknown argument '{unknown[0][:100]}' of {name} (valid: {', '.join(valid)})"
            return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
    return await call_next(ctx)


_ARGUMENTS = {"search": ("query", "top_k", "filter"), "fetch": ("id",), "answer": ("query", "filter")}
