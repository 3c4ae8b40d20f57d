"""Chunkers: documents to passages."""

from rag.corpus.chunkers.base import Chunker, Span

__all__ = ["Chunker", "Span"]
