"""Splitting at the largest boundary that fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rag.corpus.chunkers.base import SizedChunker, Span

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["RecursiveChunker"]


class RecursiveChunker(SizedChunker):
    """Cuts at blank lines, then lines, then sentences, then words: the largest boundary that makes passages fit.

    Splitting is done by the library ``semantic-text-splitter``; neighbours that fit together are merged.
    """

    type = "recursive"

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        splitter = self._splitter(tokenizer)
        chunks = splitter.chunk_all_indices(list(texts))
        return [[Span(start, start + len(text)) for start, text in one] for one in chunks]

    def _splitter(self, tokenizer: Tokenizer | None, kind: str = "TextSplitter") -> Any:
        import semantic_text_splitter

        splitter = getattr(semantic_text_splitter, kind)
        if tokenizer is None:
            return splitter(self.size, overlap=self.overlap)
        return splitter.from_huggingface_tokenizer(tokenizer, self.size, overlap=self.overlap)
