"""Texts and conversations to key texts: by a language model, a local model, sentence selection, or from a file; the
query encoder that is distilled from them; and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from summarizers.chat_model import ChatModel
    from summarizers.distilled import Distilled
    from summarizers.extractive import Extractive
    from summarizers.generate import Generate
    from summarizers.langchain import LangChainSummarizer
    from summarizers.precomputed import Precomputed
    from summarizers.students.base import Student
    from summarizers.students.fine_tune import FineTune
    from summarizers.students.ridge import Ridge
    from summarizers.students.soft_history import SoftHistory
    from summarizers.transformers import TransformersSummarizer
    from summarizers.written import HyDE, SummaryQuery

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
    "SoftHistory",
    "Student",
    "SummaryQuery",
    "TransformersSummarizer",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "ChatModel": "summarizers.chat_model",
        "Distilled": "summarizers.distilled",
        "Extractive": "summarizers.extractive",
        "FineTune": "summarizers.students.fine_tune",
        "Generate": "summarizers.generate",
        "HyDE": "summarizers.written",
        "LangChainSummarizer": "summarizers.langchain",
        "Precomputed": "summarizers.precomputed",
        "Ridge": "summarizers.students.ridge",
        "SoftHistory": "summarizers.students.soft_history",
        "Student": "summarizers.students.base",
        "SummaryQuery": "summarizers.written",
        "TransformersSummarizer": "summarizers.transformers",
    },
)
