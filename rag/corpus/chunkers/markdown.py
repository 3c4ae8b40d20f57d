"""Splitting Markdown along its structure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rag.corpus.chunkers.base import Span, lengths
from rag.corpus.chunkers.recursive import Piece, RecursiveChunker, cut_pieces
from rag.corpus.chunkers.structure import Block, Structure, structure_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["MarkdownChunker"]

_INSIDE_WORDS = re.compile(r"(?<=\w)'(?=\w)|(?<!\S)--(?=\w)")
"""The apostrophe of *don't*, and the dashes of *--option*."""


class MarkdownChunker(RecursiveChunker):
    """Cuts Markdown at headings, then blocks, then sentences; never inside a code block or table that fits.

    A table that does not fit is cut between rows, and its header stands before the rows of every passage. Each
    passage's metadata has ``headings``, the titles above its beginning as plain text, outermost first;
    ``front_matter``, the fields at the head of the file, which are no heading; and ``table_header``, what is repeated
    before it.
    """

    type = "markdown"

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        splitter = self.splitter(tokenizer, "MarkdownSplitter")
        structures = [structure_of(text) for text in texts]
        large = [self._large(text, known.blocks, tokenizer) for text, known in zip(texts, structures, strict=True)]
        each = list(zip(texts, structures, large, strict=True))
        pieces = [list(self._between(text, known, some)) for text, known, some in each]
        cut = cut_pieces(splitter, [_whole_words(text) for text in texts], pieces)
        return [
            _described(text, known, [*_whole(known, some, chunks), *self._tables(text, some, tokenizer, splitter)])
            for (text, known, some), chunks in zip(each, cut, strict=True)
        ]

    def _large(self, text: str, blocks: Sequence[Block], tokenizer: Tokenizer | None) -> list[Block]:
        """Blocks that do not fit into a passage."""
        sizes = lengths([text[block.start : block.end].strip() for block in blocks], tokenizer)
        return [block for block, size in zip(blocks, sizes, strict=True) if size > self.capacity(tokenizer)]

    def _between(self, text: str, known: Structure, large: Sequence[Block]) -> Iterator[Piece]:
        """The text without the tables that are cut here, in pieces that begin where a block begins."""
        start = 0
        for table in [*(block for block in large if block.rows), Block(len(text), len(text), ())]:
            while table.start - start > self.limit:
                stop = self._stop(known, start, table.start)
                yield from self.pieces(text, start, stop)
                start = stop
            if start < table.start:
                yield start, table.start
            start = table.end

    def _stop(self, known: Structure, start: int, end: int) -> int:
        """Where a piece ends: at the last heading in its second half, or the last block that begins in it."""
        headings = [heading.start for heading in known.headings]
        for places, least in ((headings, start + self.limit // 2), (known.breaks, start)):
            at = bisect_right(places, start + self.limit) - 1
            if at >= 0 and places[at] > least:
                return places[at]
        after = bisect_right(known.breaks, start)
        return min(known.breaks[after] if after < len(known.breaks) else end, end)

    def _tables(
        self, text: str, large: Sequence[Block], tokenizer: Tokenizer | None, splitter: Any
    ) -> Iterator[tuple[int, int, str]]:
        """The passages of large tables: start, end and the header that is repeated."""
        for table in large:
            if not table.rows:
                continue
            ends = table.rows
            header = text[table.start : ends[0]]
            rows = [text[start:end] for start, end in pairwise(ends)]
            first, *sizes = lengths([header, *rows], tokenizer)
            room = self.capacity(tokenizer) - first
            start, filled = table.start, 0
            for number, size in enumerate(sizes):
                row = ends[number]
                if size > room:  # no header fits beside it: cut as any text
                    if start < row:
                        yield start, row, header if start > table.start else ""
                    for offset, chunk in splitter.chunk_indices(_whole_words(text[row : ends[number + 1]])):
                        yield row + offset, row + offset + len(chunk), ""
                    start, filled = ends[number + 1], 0
                    continue
                if filled and filled + size > room:
                    yield start, row, header if start > table.start else ""
                    start, filled = row, 0
                filled += size
            if start < ends[-1]:
                yield start, ends[-1], header if start > table.start else ""


def _whole_words(text: str) -> str:
    """The text with marks of the same length, which belong to words, in place of those at which the library's parser
    would divide a word: it sets typographic quotes and dashes, and may cut at each.
    """
    return _INSIDE_WORDS.sub(lambda match: "\u2019" if match[0] == "'" else "\u203f\u203f", text)


def _described(text: str, known: Structure, cut: Sequence[tuple[int, int, str]]) -> list[Span]:
    """The passages in order, with what is known of each."""
    spans = []
    at = 0
    current: list[tuple[int, str]] = []
    for start, end, header in sorted(cut):
        end = start + len(text[start:end].rstrip())
        while at < len(known.headings) and known.headings[at].start <= start:
            _, level, title = known.headings[at]
            current = [(depth, name) for depth, name in current if depth < level] + [(level, title)]
            at += 1
        about: dict[str, Any] = {"headings": [title for _, title in current]} if current else {}
        if known.front_matter:
            about["front_matter"] = known.front_matter
        if header:
            about["table_header"] = header
        spans.append(Span(start, end, about or None))
    return spans


def _whole(known: Structure, large: Sequence[Block], chunks: Sequence[Piece]) -> Iterator[tuple[int, int, str]]:
    """The library's passages; what they repeat of the one before does not begin inside a block that fits."""
    before = 0
    for start, end in chunks:
        block = known.block_around(start) if start < before else None
        if block is not None and block not in large:
            start = min(block.end, before)
        before = end
        if start < end:
            yield start, end, ""
