"""What indexes on servers share: rows, fields as columns, conditions, writing, and checks of what comes back."""

from rag.retrievers.indexes.remote.base import HoldsRows, Reader, RemoteIndex
from rag.retrievers.indexes.remote.writing import Writer

__all__ = ["HoldsRows", "Reader", "RemoteIndex", "Writer"]
