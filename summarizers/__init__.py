"""Language models and key texts: summarizers (a chat model, a local model, sentence selection, or a file), the query
encoder distilled from them, and generated answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.summarizers.chat_model import ChatModel
    from rag.summarizers.distilled import Distilled
    from rag.summarizers.extractive import Extractive
    from rag.summarizers.generate import Generate
    from rag.summarizers.langchain import LangChainSummarizer
    from rag.summarizers.precomputed import Precomputed
    from rag.summarizers.semantic_entropy import SemanticEntropy
    from rag.summarizers.students.base import Student
    from rag.summarizers.students.fine_tune import FineTune
    from rag.summarizers.students.ridge import Ridge
    from rag.summarizers.students.soft_history import SoftHistory
    from rag.summarizers.transformers import TransformersSummarizer
    from rag.summarizers.written import HyDE, SummaryQuery

__all__ = [
    "ChatModel",
    "Distilled",
    "Extractive",
    "FineTune",
    "Generate",
    "HyDE",
    "LangChainSummarizer",
    "Precomputed",
    "Ridge",
    "SemanticEntropy",
    "SoftHistory",
    "Student",
    "SummaryQuery",
    "TransformersSummarizer",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "ChatModel": "rag.summarizers.chat_model",
        "Distilled": "rag.summarizers.distilled",
        "Extractive": "rag.summarizers.extractive",
        "FineTune": "rag.summarizers.students.fine_tune",
        "Generate": "rag.summarizers.generate",
        "HyDE": "rag.summarizers.written",
        "LangChainSummarizer": "rag.summarizers.langchain",
        "Precomputed": "rag.summarizers.precomputed",
        "Ridge": "rag.summarizers.students.ridge",
        "SemanticEntropy": "rag.summarizers.semantic_entropy",
        "SoftHistory": "rag.summarizers.students.soft_history",
        "Student": "rag.summarizers.students.base",
        "SummaryQuery": "rag.summarizers.written",
        "TransformersSummarizer": "rag.summarizers.transformers",
    },
)
