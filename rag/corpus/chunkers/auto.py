"""Cutting what needs it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from rag.corpus.chunkers.base import Chunker, Span
from rag.corpus.chunkers.context import Context, Contexts
from rag.corpus.chunkers.markdown import MarkdownChunker
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["AutoChunker"]

_CONVERTED = re.compile(r'(?=.*"format": ").*"path": "', re.DOTALL)
_BLOCK = 2048
_LETTERS = 4
"""Characters that a token stands for where no embedder counts tokens."""


class AutoChunker(Chunker):
    """Cuts documents that were read from files, such as PDF and HTML, as ``markdown`` does; others are one passage.

    Args:
        size: Longest passage, in tokens of the pipeline's first embedder; without one, 4 characters count as a token.
        context: As for ``markdown``.
    """

    type = "auto"

    def __init__(
        self, *, size: Annotated[int, Field(ge=16, le=1_000_000)] = 256, context: Context = "headings"
    ) -> None:
        self.size = size
        self.context = context

    def uses_tokenizer(self, corpus: Corpus) -> bool:
        return bool(_converted(corpus).any())

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        return self._markdown(tokenizer).spans(texts, tokenizer)

    def contexts(self, tokenizer: Tokenizer | None) -> Contexts | None:
        return self._markdown(tokenizer).contexts(tokenizer)

    def chunk(self, corpus: Corpus, tokenizer: Tokenizer | None = None) -> Passages:
        converted = _converted(corpus)
        if not converted.any():
            return Passages.whole(corpus)
        if converted.all():
            return super().chunk(corpus, tokenizer)
        cut = super().chunk(corpus.rows(np.flatnonzero(converted)), tokenizer)
        return _merged(corpus, cut, np.flatnonzero(converted), np.flatnonzero(~converted))

    def _markdown(self, tokenizer: Tokenizer | None) -> MarkdownChunker:
        if tokenizer is not None:
            return MarkdownChunker(size=self.size, context=self.context)
        return MarkdownChunker(size=self.size * _LETTERS, unit="characters", context=self.context)


def _converted(corpus: Corpus) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which documents were read from files, bool [n]."""
    mask = np.zeros(len(corpus), dtype=bool)
    for first in range(0, len(corpus), _BLOCK):
        places = np.arange(first, min(first + _BLOCK, len(corpus)))
        mask[places] = [_CONVERTED.search(text) is not None for text in corpus.metadata_texts(places)]
    return mask


def _merged(corpus: Corpus, cut: Passages, places: np.ndarray, others: np.ndarray) -> Passages:
    """The passages of some documents and the others whole, in the order of the corpus."""
    document = np.concatenate([places[cut.document], others])
    start = np.concatenate([cut.start, np.zeros(len(others), dtype=np.int64)])
    end = np.concatenate([cut.end, corpus.lengths()[others]])
    order = np.argsort(document, kind="stable")
    moved = np.empty(len(order), dtype=np.int64)
    moved[order] = np.arange(len(order))
    metadata = {int(moved[passage]): about for passage, about in cut.metadata.items()}
    return Passages(corpus, document[order], start[order], end[order], metadata)
