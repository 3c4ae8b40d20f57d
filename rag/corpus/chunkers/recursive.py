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

Piece = tuple[int, int]
"""Start and end of a part of a text."""


class RecursiveChunker(SizedChunker):
    """Cuts at blank lines, then lines, then sentences, then words: the largest boundary that makes passages fit.

    Splitting is done by the library ``semantic-text-splitter``; neighbours that fit together are merged.
    Texts of more than 16,384 characters are given to it in pieces; passages do not overlap where pieces meet.
    """

    type = "recursive"

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        splitter = self.splitter(tokenizer)
        pieces = [list(self.pieces(text, 0, len(text))) for text in texts]
        return [[Span(start, end) for start, end in offsets] for offsets in cut_pieces(splitter, texts, pieces)]

    @property
    def limit(self) -> int:
        """Characters given to the library at once."""
        return max(_PIECE, 16 * self.size)

    def pieces(self, text: str, start: int, end: int) -> Iterator[Piece]:
        """Long texts in pieces that end at a blank line, a line or a word: the library is quadratic in length."""
        limit = self.limit
        while end - start > limit:
            breaks = (text.rfind(mark, start + limit // 2, start + limit) + len(mark) for mark in ("\n\n", "\n", " "))
            stop = next((offset for offset in breaks if offset > start + limit // 2), start + limit)
            yield start, stop
            start = stop
        yield start, end

    def splitter(self, tokenizer: Tokenizer | None, kind: str = "TextSplitter") -> Any:
        """The library's splitter of a kind."""
        import semantic_text_splitter

        splitter = getattr(semantic_text_splitter, kind)
        if tokenizer is None:
            return splitter(self.capacity(None), overlap=self.overlap)
        return splitter.from_huggingface_tokenizer(tokenizer, self.capacity(tokenizer), overlap=self.overlap)


def cut_pieces(splitter: Any, texts: Sequence[str], pieces: Sequence[Sequence[Piece]]) -> list[list[Piece]]:
    """Start and end of the passages of each text, which is given to the library in pieces."""
    flat = [(number, start, end) for number, some in enumerate(pieces) for start, end in some]
    chunks = splitter.chunk_all_indices([texts[number][start:end] for number, start, end in flat])
    cut: list[list[Piece]] = [[] for _ in texts]
    for (number, offset, _), some in zip(flat, chunks, strict=True):
        cut[number] += [(offset + start, offset + start + len(text)) for start, text in some]
    return cut
