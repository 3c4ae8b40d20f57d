"""Texts and conversations to key texts: by a language model, a local model, sentence selection, or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from summarizers.extractive import Extractive
    from summarizers.precomputed import Precomputed

__all__ = ["Extractive", "Precomputed"]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Extractive": "summarizers.extractive",
        "Precomputed": "summarizers.precomputed",
    },
)
