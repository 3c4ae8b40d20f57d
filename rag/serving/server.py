"""Running an application on a socket: alive while the index loads, patient with clients, and not more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rag.errors import ConfigError, system_message
from rag.serving.guard import Receive, Scope, Send
from rag.serving.limits import Limits
from rag.serving.problems import MEDIA_TYPE, Problem

__all__ = ["Loading", "listen", "make_server", "run"]

_GRACE = 10
"""Seconds that requests have to be finished when the server is to end."""
_SWITCH = 0.001
"""Seconds after which a thread that computes, such as an update's, lets others run. A question changes threads four
times, and would wait for Python's 5 ms each time.
"""
_HEAD = 1 << 16
"""Longest head of a request in bytes."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, and not left to be the only one there is: asyncio turns off Nagle's algorithm for TCP that
    # says so alone, and with it every answer would wait 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
        return listening
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {system_message(error)}", parameter="--port") from None


def run(make: Callable[[], Any], listening: socket.socket, limits: Limits, ready: Callable[[], object]) -> None:
    """Serve until a signal ends it; requests in progress are finished.

    Args:
        make: Makes the application, in a thread: the process is alive meanwhile and answers nothing else.
        listening: Address to serve on.
        limits: For heads of requests and connections.
        ready: Called when the application is there.

    Raises:
        RagError: The application could not be made.
    """
    sys.setswitchinterval(_SWITCH)
    loading = Loading(make, ready)
    server = make_server(loading, limits)
    loading.stop = lambda: setattr(server, "should_exit", True)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    if loading.error is not None:
        raise loading.error


def make_server(app: Any, limits: Limits) -> uvicorn.Server:
    """A server of HTTP/1.1 for an ASGI application, with its bounds on heads and connections."""
    _allow_files(limits.max_connections)
    config = uvicorn.Config(
        app,
        http=_protocol(limits.header_timeout),
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=limits.max_connections,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=_HEAD,
    )
    return uvicorn.Server(config)


class Loading:
    """The application before it is there: alive, but not ready."""

    def __init__(self, make: Callable[[], Any], ready: Callable[[], object]) -> None:
        self.app: Any = None
        self.error: BaseException | None = None
        self.stop: Callable[[], object] = lambda: None
        self._make, self._ready = make, ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(scope["path"], send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        threading.Thread(target=self._load, name="rag-load", daemon=True).start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.app is not None:
            await asyncio.to_thread(self.app.state.close)
        await send({"type": "lifespan.shutdown.complete"})

    def _load(self) -> None:
        try:
            self.app = self._make()
            self._ready()
        except BaseException as error:
            self.error = error
            self.stop()


async def _answer(path: str, send: Send) -> None:
    kind, body, status = b"application/json", b'{"status": "alive"}', 200
    if path != "/health":
        problem = Problem(503, "not-ready", "the index is being loaded")
        kind, body, status = MEDIA_TYPE.encode(), problem.body(), problem.status
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if status != 200:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _protocol(patience: float) -> type[H11Protocol]:
    """HTTP/1.1 that closes connections on which no request comes within so many seconds, however it drips."""

    class Patient(H11Protocol):
        _head: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head = self.loop.call_later(patience, self._late)

        def handle_events(self) -> None:
            before = self.cycle
            super().handle_events()
            if self.cycle is not before and self._head is not None:
                self._head.cancel()

        def on_response_complete(self) -> None:
            if self._head is not None:
                self._head.cancel()
            self._head = self.loop.call_later(patience, self._late)
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._head is not None:
                self._head.cancel()
            super().connection_lost(exc)

        def _late(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return Patient


def _allow_files(connections: int) -> None:
    """Let the process open as many files as there may be connections, where the system allows it."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = connections + 512
        if soft != resource.RLIM_INFINITY and soft < needed:
            most = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
