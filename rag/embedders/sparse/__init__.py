"""Sparse embedders: texts to weights of terms."""

from rag.embedders.sparse.base import SparseEmbedder

__all__ = ["SparseEmbedder"]
