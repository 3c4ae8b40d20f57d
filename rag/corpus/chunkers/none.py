"""No chunking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.corpus.chunkers.base import Chunker, Span
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["NoChunker"]


class NoChunker(Chunker):
    """Every document is one passage."""

    type = "none"

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        return [[Span(0, len(text))] for text in texts]

    def chunk(self, corpus: Corpus, tokenizer: Tokenizer | None = None) -> Passages:
        return Passages.whole(corpus)
