"""Access control: bearer keys as a dependency of routes, and for mounted applications."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from rag.serving.guard import App, Receive, Send
from rag.serving.guard import Scope as ASGIScope
from rag.serving.keys import Keys, Scope
from rag.serving.problems import Problem

__all__ = ["WithKey", "requires"]

_BEARER = HTTPBearer(auto_error=False, description="A key, as `Authorization: Bearer KEY`.")


def requires(keys: Keys, scope: Scope) -> list[Any]:
    """Dependencies of a route that admits requests whose key has a scope; none if no keys are set."""
    if not keys:
        return []

    async def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        _check(keys, scope, None if given is None else given.credentials)

    return [Depends(check)]


class WithKey:
    """An ASGI application behind a key.

    Args:
        app: The application.
        keys: Those that are known; none lets everybody in.
        scope: What the key must allow.
    """

    def __init__(self, app: App, keys: Keys, scope: Scope) -> None:
        self.app, self.keys, self.scope = app, keys, scope

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if self.keys and scope["type"] == "http":
            headers = dict(scope["headers"])
            kind, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
            _check(self.keys, self.scope, key.strip() if kind.lower() == "bearer" and key else None)
        await self.app(scope, receive, send)


def _check(keys: Keys, scope: Scope, key: str | None) -> None:
    scopes = keys.scopes_of(key or "")
    if not scopes:
        lacks = "this needs a key: Authorization: Bearer KEY" if key is None else "the key is not known"
        raise Problem(401, "key", lacks, headers={"WWW-Authenticate": "Bearer"})
    if scope not in scopes:
        raise Problem(403, "scope", f"the key does not permit to {scope}")
