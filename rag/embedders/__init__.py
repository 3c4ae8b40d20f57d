"""Embedders: texts to vectors."""

from rag.embedders.base import Embedder

__all__ = ["Embedder"]
