"""Base of components that wrap a live Python object, which no file can hold."""

from __future__ import annotations

import functools
import uuid
from typing import Any

from rag.component.base import Component

__all__ = ["WrapsObject"]


class WrapsObject(Component):
    """Component identified by its ``name``; without one by a unique token, since objects cannot be compared."""

    name: str | None

    @functools.cached_property
    def _token(self) -> str:
        return uuid.uuid4().hex

    @property
    def _known_as(self) -> str:
        return self.name or self._token

    def _identity(self) -> dict[str, Any]:
        return {"kind": self.kind, "type": self.type, "version": self.version, "name": self._known_as}

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_token": self._token}  # a copy wraps the same object

    @property
    def _is_serializable(self) -> bool:
        return self.name is not None
