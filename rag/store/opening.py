"""Opening a store by what names it."""

from __future__ import annotations

import os
from pathlib import Path

from rag.store.shared.bucket import is_bucket
from rag.store.store import Mode, Store

__all__ = ["store_at"]


def store_at(location: str | Path | None = None, *, mode: Mode = "use") -> Store:
    """The store in a folder, or in a bucket that machines share (``s3://bucket/prefix``).

    Args:
        location: Folder or URL. Default: ``RAG_STORE``, or ``rag`` in the user's cache folder.
        mode: Whether what is there is used.

    Raises:
        ArtifactError: The folder cannot be made.
        ServerError: The bucket cannot be reached.
    """
    location = os.environ.get("RAG_STORE") if location is None else location
    if is_bucket(location):
        from rag.store.shared.store import SharedStore

        return SharedStore(str(location), mode=mode)
    return Store(location, mode=mode)
