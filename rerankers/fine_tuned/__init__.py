"""Encoders and cross-encoders trained on from judged questions."""

from rag.rerankers.fine_tuned.embedder import FineTunedEmbedder
from rag.rerankers.fine_tuned.scorer import FineTunedScorer

__all__ = ["FineTunedEmbedder", "FineTunedScorer"]
