"""What indexes on servers share: rows, fields as columns, conditions, and checks of what comes back."""

from rag.retrievers.indexes.remote.base import HoldsRows, Reader, RemoteIndex, Writer

__all__ = ["HoldsRows", "Reader", "RemoteIndex", "Writer"]
