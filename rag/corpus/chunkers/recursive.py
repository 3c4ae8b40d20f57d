"""Splitting at the largest boundary that fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rag.corpus.chunkers.base import SizedChunker, Span

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["RecursiveChunker"]


_PIECE = 16_384
"""Characters given to the library at once; a text of a megabyte in one piece takes minutes."""


class RecursiveChunker(SizedChunker):
    """Cuts at blank lines, then lines, then sentences, then words: the largest boundary that makes passages fit.

    Splitting is done by the library ``semantic-text-splitter``; neighbours that fit together are merged.
    Texts of more than 16,384 characters are given to it in pieces; passages do not overlap where pieces meet.
    """

    type = "recursive"

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        return [[Span(start, end) for start, end in one] for one in self._cut(texts, tokenizer)]

    def _cut(
        self, texts: Sequence[str], tokenizer: Tokenizer | None, kind: str = "TextSplitter"
    ) -> list[list[tuple[int, int]]]:
        """Start and end of the passages of each text."""
        splitter = self._splitter(tokenizer, kind)
        pieces = [(number, start, end) for number, text in enumerate(texts) for start, end in self._pieces(text)]
        found: list[list[tuple[int, int]]] = [[] for _ in texts]
        chunks = splitter.chunk_all_indices([texts[number][start:end] for number, start, end in pieces])
        for (number, offset, _), one in zip(pieces, chunks, strict=True):
            found[number] += [(offset + start, offset + start + len(text)) for start, text in one]
        return found

    def _pieces(self, text: str) -> Iterator[tuple[int, int]]:
        """Long texts in pieces that end at a blank line, a line or a word: the library is quadratic in length."""
        limit = max(_PIECE, 16 * self.size)
        start = 0
        while len(text) - start > limit:
            breaks = (text.rfind(mark, start + limit // 2, start + limit) + len(mark) for mark in ("\n\n", "\n", " "))
            end = next((place for place in breaks if place > start + limit // 2), start + limit)
            yield start, end
            start = end
        yield start, len(text)

    def _splitter(self, tokenizer: Tokenizer | None, kind: str) -> Any:
        import semantic_text_splitter

        splitter = getattr(semantic_text_splitter, kind)
        if tokenizer is None:
            return splitter(self.capacity(None), overlap=self.overlap)
        return splitter.from_huggingface_tokenizer(tokenizer, self.capacity(tokenizer), overlap=self.overlap)
