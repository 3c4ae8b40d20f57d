"""``rag serve``: answers over HTTP and MCP."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

import typer

from rag.cli.console import echo
from rag.cli.options import FolderArgument, KeepOption, StoreOption
from rag.cli.store import open_store
from rag.errors import ConfigError, MissingExtraError

__all__ = ["serve"]


def serve(
    folder: FolderArgument,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    key_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Environment variable with the keys: [read:|write:]KEY, separated by commas."
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow addresses other than 127.0.0.1 without keys.")
    ] = False,
    mcp: Annotated[
        Literal["stdio", "http"] | None,
        typer.Option(help="Serve the Model Context Protocol, on standard input and output alone, or beside REST."),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Maximum number of queries searched together.")] = 16,
    window_ms: Annotated[
        float, typer.Option(min=0, help="Time in milliseconds that a batch waits for more queries.")
    ] = 0,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Maximum number of waiting queries; more are answered with status 429.")
    ] = 256,
    timeout: Annotated[float, typer.Option(min=0.001, help="Time in seconds after which a search is stopped.")] = 30,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse changes of documents.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Follow new generations that other processes write into DIR.")
    ] = False,
    keep: KeepOption = None,
    store: StoreOption = None,
    judgments: Annotated[
        Path | None,
        typer.Option(
            "--judgments",
            "--judgements",
            metavar="FILE",
            help="File (TSV) of judgments: readers mark results, and the marks are written there as qrels.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Name in the Host header to answer to. May be repeated."),
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Origin whose pages may send requests. May be repeated.")
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Send OpenTelemetry spans to OTEL_EXPORTER_OTLP_ENDPOINT (extra otel).")
    ] = False,
) -> None:
    """Serve a saved pipeline: REST with its documentation at /docs, a page to search at /, metrics, MCP."""
    from rag.serving import Keys, Limits
    from rag.store.folder import checked_manifest

    keys = Keys.from_environment(key_env) if key_env else Keys([])
    if not (keys or insecure or mcp == "stdio" or _is_local(host)):
        raise ConfigError(
            f"{host} may be reached by others: give keys with --key-env, or --insecure to let everybody in",
            parameter="--host",
        )
    checked_manifest(folder, "pipeline")
    limits = Limits(max_batch=max_batch, window=window_ms / 1000, max_waiting=max_waiting, timeout=timeout)
    if trace:
        from rag.tracing.exporting import export

        export()
    if mcp == "stdio":
        from rag.serving.mcp_server import run_stdio

        run_stdio(folder, limits, follow=follow)
        return
    try:
        from rag.serving.server import listen, run
    except ImportError:
        raise MissingExtraError("rag serve", package="uvicorn", extra="serve") from None
    from rag.serving import create_app
    from rag.serving.guard import LOCAL

    # Without keys only the own machine may ask, and a name that a stranger's page points here is not its own.
    checked = allow_host or (_is_local(host) and not keys)
    hosts = [*LOCAL, host, *(allow_host or ())] if checked else None
    listening = listen(host, port)
    shown = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    with open_store(store) as kept:
        run(
            lambda: create_app(
                folder,
                keys=keys,
                limits=limits,
                read_only=read_only,
                follow=follow,
                keep=keep,
                store=kept,
                mcp=mcp == "http",
                judgments=judgments,
                allowed_hosts=hosts,
                cors_origins=cors or (),
            ),
            listening,
            limits,
            lambda: echo(f"{folder}: served on {shown} (documentation: {shown}/docs)", err=True),
        )


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
