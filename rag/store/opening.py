"""Opening a store by what names it."""

from __future__ import annotations

import os
from pathlib import Path

from rag.store.shared.bucket import is_bucket
from rag.store.store import Mode, Store

__all__ = ["store_at"]


def store_at(place: str | Path | None = None, *, mode: Mode = "use") -> Store:
    """The store in a folder, or in a bucket that machines share (``s3://bucket/prefix``).

    Args:
        place: Folder or URL. Default: ``RAG_STORE``, or ``rag`` in the user's cache folder.
        mode: Whether what is there is used.

    Raises:
        ArtifactError: The folder cannot be made.
        ServerError: The bucket cannot be reached.
    """
    place = os.environ.get("RAG_STORE") if place is None else place
    if is_bucket(place):
        from rag.store.shared.store import SharedStore

        return SharedStore(str(place), mode=mode)
    return Store(place, mode=mode)
