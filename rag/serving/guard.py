"""Checks before all routes: hosts, bodies, disconnected clients, and unexpected errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeVar

from rag import tracing
from rag.serving.limits import Limits
from rag.serving.problems import MEDIA_TYPE, Problem, problem_of

__all__ = ["LOCAL", "App", "Guard", "Receive", "Scope", "Send", "unless_gone"]

LOCAL = ("localhost", "127.0.0.1", "[::1]")
"""Names of the own machine."""

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Count = Callable[[str, str, int, float], object]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_GONE = 499
"""The status that a request is counted under whose client went away; nobody receives it."""


class Guard:
    """An ASGI middleware around the whole application.

    Args:
        app: The guarded application.
        limits: Bounds on bodies.
        count: Called with the method, route, status and seconds of each request.
        hosts: Names that the ``Host`` header may have; None allows any. A page of a stranger can have its own name
            point to 127.0.0.1 and so ask a server there; its name gives it away.
    """

    def __init__(self, app: App, *, limits: Limits, count: Count, hosts: Collection[str] | None) -> None:
        self.app, self.limits, self.count = app, limits, count
        self.hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in reversed(scope["headers"])}
        start, status = time.perf_counter(), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_SAFE]
            if len(message.get("body", b"")) <= _SOON:
                await send(message)
                return
            try:  # a client that does not read what it asked for
                await asyncio.wait_for(send(message), self.limits.body_timeout)
            except TimeoutError:
                raise ConnectionError("the client does not read the answer") from None

        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with (
            tracing.under(_carrier(headers) if tracing.is_on() else None),
            tracing.span(scope["method"], "CHAIN", attributes, server=True) as span,
        ):
            try:
                limit = self._limit(scope)
                self._check(headers, limit)
                await self.app(scope, self._bounded(headers, receive, limit), counted)
            except Exception as error:
                if status:  # the answer has begun: it can only be broken off
                    raise
                await _refuse(problem_of(error), counted)
            route = _route(scope)
            span.set({"http.route": route, "http.response.status_code": status})
            span.rename(f"{scope['method']} {route}")
        self.count(scope["method"], route, status, time.perf_counter() - start)

    def _limit(self, scope: Scope) -> int:
        """Bytes that the body of a request may have: only documents that are put need many."""
        return self.limits.max_body if scope["method"] == "PUT" else min(self.limits.max_body, self.limits.max_question)

    def _check(self, headers: dict[bytes, bytes], limit: int) -> None:
        if self.hosts is not None:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
            if name not in self.hosts:
                raise Problem(421, "host", "this server does not answer to the name in the Host header")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > limit:
            raise _too_large(limit)

    def _bounded(self, headers: dict[bytes, bytes], receive: Receive, limit: int) -> Receive:
        """``receive``, which gives up a body that is too long, or comes too slowly."""
        received = 0
        complete = b"content-length" not in headers and b"transfer-encoding" not in headers
        deadline = time.monotonic() + self.limits.body_timeout

        async def bounded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                late = f"the body did not come within {self.limits.body_timeout:g} s"
                raise Problem(408, "slow", late, headers={"Connection": "close"}) from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > limit:
                raise _too_large(limit)
            return message

        return bounded


_SOON = 1 << 16
"""Bytes that a connection takes without waiting for its client."""
_SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


def _too_large(limit: int) -> Problem:
    return Problem(413, "too-large", f"this body may have {limit:,} bytes at most", headers={"Connection": "close"})


async def _refuse(problem: Problem, send: Send) -> None:
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    body = problem.body()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _carrier(headers: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}


def _route(scope: Scope) -> str:
    """The template of the path, since parts written by clients must not become labels."""
    route = scope.get("route")
    return str(getattr(route, "path", None) or "(none)")


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Result of some work, which is canceled when the client disconnects.

    Args:
        receive: ``receive`` of the request, whose body was read.
        work: The work to wait for.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Problem(_GONE, "gone", "the client has gone")
    finally:
        task.cancel()
        watch.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
