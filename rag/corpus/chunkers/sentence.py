"""Whole sentences, packed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rag.corpus.chunkers.base import SizedChunker, Span, Unit

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["SentenceChunker"]


class SentenceChunker(SizedChunker):
    """Fills passages with whole sentences; a sentence longer than ``size`` is a passage of its own.

    Sentences are found by the library ``sentencex`` (rules for abbreviations in many languages).

    Args:
        size: Longest passage, in ``unit``.
        overlap: Whole sentences up to this length, in ``unit``, are repeated from the end of the passage before.
        unit: ``tokens`` of the pipeline's first embedder, or ``characters``.
        language: ISO 639-1 code, such as ``en`` or ``de``.
    """

    type = "sentence"

    def __init__(
        self,
        *,
        size: Annotated[int, Field(ge=1, le=1_000_000)] = 256,
        overlap: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
        unit: Unit = "tokens",
        language: Annotated[str, Field(pattern="^[a-z]{2,3}$")] = "en",
    ) -> None:
        super().__init__(size=size, overlap=overlap, unit=unit)
        self.language = language

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        return [self._pack(text, tokenizer) for text in texts]

    def _pack(self, text: str, tokenizer: Tokenizer | None) -> list[Span]:
        from sentencex import get_sentence_boundaries

        sentences = []
        for found in get_sentence_boundaries(self.language, text):
            piece = text[found["start_index"] : found["end_index"]]
            start = found["start_index"] + len(piece) - len(piece.lstrip())
            if piece.strip():
                sentences.append((start, start + len(piece.strip())))
        if tokenizer is None:
            starts, ends = [start for start, _ in sentences], [end for _, end in sentences]
        else:
            encoded = tokenizer.encode_batch([text[s:e] for s, e in sentences], add_special_tokens=False)
            ends = list(accumulate(len(one) for one in encoded))
            starts = [0, *ends[:-1]]
        size = self.capacity(tokenizer)
        spans: list[Span] = []
        first = 0  # first sentence of the passage being filled
        for number, end in enumerate(ends):
            if number > first and end - starts[first] > size:
                spans.append(Span(sentences[first][0], sentences[number - 1][1]))
                back = number
                while (
                    back - 1 > first
                    and ends[number - 1] - starts[back - 1] <= self.overlap
                    and end - starts[back - 1] <= size
                ):
                    back -= 1
                first = back
        if sentences:
            spans.append(Span(sentences[first][0], sentences[-1][1]))
        return spans
