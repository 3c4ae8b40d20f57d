"""Whole sentences, packed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from rag.component import Tunable
from rag.corpus.chunkers.base import SizedChunker, Span, Unit, lengths
from rag.corpus.chunkers.recursive import RecursiveChunker

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["SentenceChunker"]


class SentenceChunker(SizedChunker):
    """Fills passages with whole sentences; a sentence longer than ``size`` is cut as ``recursive`` cuts.

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
        size: Annotated[int, Field(ge=1, le=1_000_000), Tunable(times=(0.5, 1, 2), gain=0.005)] = 256,
        overlap: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
        unit: Unit = "tokens",
        language: Annotated[str, Field(pattern="^[a-z]{2,3}$")] = "en",
    ) -> None:
        super().__init__(size=size, overlap=overlap, unit=unit)
        self.language = language

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        smaller = RecursiveChunker(size=self.size, unit=self.unit).splitter(tokenizer)
        packed = [self._pack(text, tokenizer) for text in texts]
        # Tokens of sentences side by side may be more than those of each.
        sizes = iter(
            lengths([t[s.start : s.end] for t, spans in zip(texts, packed, strict=True) for s in spans], tokenizer)
        )
        size = self.capacity(tokenizer)
        return [
            [part for span in spans for part in ([span] if next(sizes) <= size else _cut(smaller, text, span))]
            for text, spans in zip(texts, packed, strict=True)
        ]

    def _pack(self, text: str, tokenizer: Tokenizer | None) -> list[Span]:
        from sentencex import get_sentence_boundaries

        sentences = []
        for sentence in get_sentence_boundaries(self.language, text):
            piece = text[sentence["start_index"] : sentence["end_index"]]
            start = sentence["start_index"] + len(piece) - len(piece.lstrip())
            if piece.strip():
                sentences.append((start, start + len(piece.strip())))
        if tokenizer is None:
            starts, ends = [start for start, _ in sentences], [end for _, end in sentences]
        else:
            ends = list(accumulate(lengths([text[s:e] for s, e in sentences], tokenizer)))
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


def _cut(splitter: Any, text: str, span: Span) -> list[Span]:
    """A span in parts that fit."""
    parts = splitter.chunk_indices(text[span.start : span.end])
    return [Span(span.start + offset, span.start + offset + len(part)) for offset, part in parts]
