"""Serving a pipeline: REST, MCP, metrics, live updates.

:func:`create_app` makes an application of FastAPI, ``rag serve`` runs it. It needs the extra ``serve``, MCP the extra
``mcp``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.serving.app import create_app
    from rag.serving.keys import Keys
    from rag.serving.limits import Limits

__all__ = ["Keys", "Limits", "create_app"]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {"Keys": "rag.serving.keys", "Limits": "rag.serving.limits", "create_app": "rag.serving.app"},
)
