"""The contract of embedders."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rag.candidates import Vectors
from rag.component import Component
from rag.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Embedder"]


class Embedder(Component):
    """Turns texts into vectors of one length. Queries and documents may be treated differently."""

    kind: ClassVar[str] = "embedder"

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length of the vectors; known once fitted."""

    @abstractmethod
    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, float32 [n, d], in the order of ``texts``."""

    @abstractmethod
    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        """Vectors of passages, float32 [n, d], in the order of ``texts``.

        Args:
            texts: Any number; batching is the embedder's business.
            advance: Called with the number of texts done since the last call.
        """

    has_tokens: ClassVar[bool] = False
    """Whether :meth:`tokenizer` gives one; known without loading anything."""

    def tokenizer(self) -> Tokenizer:
        """How this embedder counts length, without truncation, for chunkers."""
        raise ConfigError(f"the embedder {self.label()} has no tokens to count")
