"""Splitting Markdown along its structure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rag.corpus.chunkers.base import Span
from rag.corpus.chunkers.recursive import RecursiveChunker

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["MarkdownChunker"]


class MarkdownChunker(RecursiveChunker):
    """Cuts Markdown at headings, then blocks, then sentences; never inside a code block or table that fits.

    Each passage's metadata has ``headings``: the titles above its beginning, outermost first.
    """

    type = "markdown"

    def spans(self, texts: Sequence[str], tokenizer: Tokenizer | None) -> Sequence[Sequence[Span]]:
        found = []
        for text, chunks in zip(texts, self._cut(texts, tokenizer, "MarkdownSplitter"), strict=True):
            outline = _outline(text)
            spans = []
            at = 0
            current: list[tuple[int, str]] = []
            for start, end in chunks:
                while at < len(outline) and outline[at][0] <= start:
                    _, level, title = outline[at]
                    current = [(depth, name) for depth, name in current if depth < level] + [(level, title)]
                    at += 1
                headings = [title for _, title in current]
                spans.append(Span(start, end, {"headings": headings} if headings else None))
            found.append(spans)
        return found


def _outline(text: str) -> list[tuple[int, int, str]]:
    """Headings of a text: offset in characters, level and title."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt().parse(text)
    offsets = [0]
    # The parser counts lines by \n after folding \r\n and \r; so must the offsets.
    for line in text.replace("\r\n", "\n\0").replace("\r", "\n").split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    return [
        (offsets[opening.map[0]], int(opening.tag[1:]), inline.content)
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open" and opening.map
    ]
