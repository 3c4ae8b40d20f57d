"""Base of embedders that wrap another embedder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.embedders.base import Embedder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["AroundEmbedder"]


class AroundEmbedder(Embedder):
    """Reads texts as the embedder does that it holds."""

    embedder: Embedder

    @property
    def window(self) -> int | None:
        return self.embedder.window

    @property
    def prompt_for_documents(self) -> str:
        return self.embedder.prompt_for_documents

    def stored_as(self, text: str) -> str:
        return self.embedder.stored_as(text)

    def tokenizer(self) -> Tokenizer:
        return self.embedder.tokenizer()
