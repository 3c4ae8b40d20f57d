"""A pipeline as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import ConfigError, MissingExtraError
from rag.pipeline import Following, Pipeline, Snapshot
from rag.serving.keys import Keys
from rag.serving.limits import Limits
from rag.store.opening import store_at
from rag.store.store import Store

if TYPE_CHECKING:
    from fastapi import FastAPI

    from rag.serving.mcp_server import MCPApplication
    from rag.serving.service import Service

__all__ = ["create_app"]

_ABOUT = """Searches a retrieval pipeline. Errors are problem details of RFC 9457."""


def create_app(
    pipeline: Pipeline | Following | str | Path,
    *,
    keys: Keys | Sequence[str] = (),
    limits: Limits | None = None,
    read_only: bool = False,
    follow: bool = False,
    keep: int | None = None,
    store: Store | str | Path | None = None,
    mcp: bool = False,
    judgments: Path | None = None,
    allowed_hosts: Collection[str] | None = None,
    cors_origins: Sequence[str] = (),
) -> FastAPI:
    """A FastAPI application that serves a pipeline, to be run by a server or mounted into another application.

    Waiting queries are answered together, in a separate thread. ``app.state.close()`` ends the threads; the shutdown of
    the application calls it, but a mounted application is not shut down.

    Args:
        pipeline: A folder with a saved pipeline, or the result of :meth:`rag.Pipeline.follow`, whose documents can be
            changed; or a fitted pipeline, which is served unchanged.
        keys: Accepted keys: see :class:`rag.serving.Keys`. Without keys everybody may read and write.
        limits: Limits on requests.
        read_only: Refuse changes of documents.
        follow: Use new generations that other processes write into the folder.
        keep: Number of previous generations that each update keeps.
        store: Cache of vectors of texts for updates: a store, or its folder. None computes all.
        mcp: Serve the Model Context Protocol at ``/mcp`` as well (extra ``mcp``).
        judgments: File of the judgments that people make on the page; None for a page without judging.
        allowed_hosts: Names that the ``Host`` header may have; None allows any.
        cors_origins: Origins whose pages may send requests; none by default.

    Raises:
        MissingExtraError: The extra ``serve`` is not installed.
        NotFittedError: The pipeline has not been fitted.
        ArtifactError: The folder cannot be opened.
    """
    try:
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware
        from starlette.routing import Route
    except ImportError:
        raise MissingExtraError("serving", package="fastapi", extra="serve") from None
    from rag.serving.access import WithKey
    from rag.serving.guard import Guard
    from rag.serving.handlers import add_handlers
    from rag.serving.judgments import Judgments
    from rag.serving.pages import add_judgments, add_pages
    from rag.serving.routes import make_router
    from rag.serving.service import Service
    from rag.serving.updating import Updates

    limits = limits or Limits()
    keys = keys if isinstance(keys, Keys) else Keys(keys)
    store = store if store is None or isinstance(store, Store) else store_at(store)
    source = _source(pipeline, follow)
    service = Service(source, limits)
    updates = None if read_only or not isinstance(source, Following) else Updates(service, keep=keep, store=store)
    tools = _tools(service, limits) if mcp else None
    closing: list[Callable[[], object]] = [] if updates is None else [updates.close]
    closing.append(service.close)
    if isinstance(source, Following) and source is not pipeline:
        closing.append(source.close)

    def close() -> None:
        while closing:
            closing.pop(0)()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        if tools is not None:
            await tools.close()
        close()

    app = FastAPI(
        title="rag-pipelines",
        summary="Search, answers and documents.",
        description=_ABOUT,
        version=_version(),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own is fetched from the network
        redoc_url=None,
        separate_input_output_schemas=False,
        # FastAPI's own spans would repeat ours, and hold messages of errors, which may be what was asked.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.service, app.state.close = service, close
    router = make_router(service, updates, keys)
    marks = None if judgments is None else Judgments(judgments)
    if marks is not None:
        add_judgments(router, marks, keys, service.document)
    add_pages(router, {"mode": "search", "judging": marks is not None, "answers": service.writes_answers})
    app.include_router(router)
    add_handlers(app)
    if tools is not None:
        app.router.routes.append(Route("/mcp", WithKey(tools, keys, "read"), include_in_schema=False))
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(Guard, limits=limits, count=service.metrics.request, hosts=allowed_hosts)
    return app


def _tools(service: Service, limits: Limits) -> MCPApplication:
    from rag.serving.mcp_server import MCPApplication, make_mcp_server

    return MCPApplication(make_mcp_server(service), limits)


def _source(pipeline: Any, follow: bool) -> Following | Snapshot:
    if isinstance(pipeline, (str, Path)):
        return Pipeline.follow(pipeline, every=1.0 if follow else None)
    if follow:
        raise ConfigError("takes a folder: a pipeline in memory has nothing to follow", parameter="follow")
    if isinstance(pipeline, Following):
        return pipeline
    if not isinstance(pipeline, Pipeline):
        raise ConfigError(
            f"takes a fitted pipeline, or the folder of a saved one, got {type(pipeline).__name__}",
            parameter="pipeline",
        )
    _ = pipeline.fitted
    return Snapshot(pipeline)


def _version() -> str:
    from rag import __version__

    return __version__
