"""Units of documents: a file, a section of it, or a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from rag.formats.base import PAGE_END

__all__ = ["Piece", "Unit", "pieces_of"]

Unit = Literal["file", "section", "page"]
"""``file``: one document; ``section``: one for each heading with text; ``page``: one for each page, where there are
pages, such as slides."""

_HEADING = re.compile(r"(?m)^(#{1,6}) +(.+?)[ \t#]*$")
_FENCE = re.compile(r"(?ms)^( *)(`{3,}|~{3,}).*?(?:^ *\2[`~]*[ \t]*$|\Z)")


class Piece(NamedTuple):
    """A document: the ending of its id, its text, and metadata on its position."""

    fragment: str
    text: str
    metadata: dict[str, Any]


def pieces_of(text: str, unit: Unit) -> list[Piece]:
    """The documents that a text is, empty ones left out; at least one.

    Args:
        text: Markdown, :data:`~rag.formats.base.PAGE_END` behind each page.
        unit: The unit that becomes a document.
    """
    if unit == "page" and PAGE_END in text:
        pieces = list(_pages(text))
    elif unit == "section":
        pieces = list(_sections(text))
    else:
        pieces = []
    return pieces or [Piece("", text, {})]


def _headings(text: str) -> list[tuple[int, int, str]]:
    """Start, level and title of the headings; lines in code are none."""
    masked = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return [(match.start(), len(match[1]), match[2].replace("`", "").strip()) for match in _HEADING.finditer(masked)]


def _pages(text: str) -> Iterator[Piece]:
    headings = _headings(text)
    path: list[tuple[int, str]] = []
    at = start = 0
    for number, page in enumerate(text.split(PAGE_END), 1):
        end = start + len(page)
        first = len(page) - len(page.lstrip())
        while at < len(headings) and headings[at][0] <= start + first:
            path = _below(path, headings[at])
            at += 1
        if page.strip():
            metadata: dict[str, Any] = {"page": number} | ({"headings": [title for _, title in path]} if path else {})
            yield Piece(f"page={number}", page.strip(), metadata)
        while at < len(headings) and headings[at][0] < end:
            path = _below(path, headings[at])
            at += 1
        start = end + 1


def _sections(text: str) -> Iterator[Piece]:
    headings = _headings(text)
    if not headings:
        return
    names: Counter[str] = Counter()
    path: list[tuple[int, str]] = []
    has_pages = PAGE_END in text
    starts = [(0, 0, ""), *headings] if text[: headings[0][0]].strip() else headings
    for (start, level, title), (end, _, _) in pairwise([*starts, (len(text), 0, "")]):
        path = _below(path, (start, level, title)) if level else path
        body = text[start:end].strip()
        if not body or ("\n" not in body and level):
            continue  # a heading without a text of its own: it is in the path of those below
        name = re.sub(r"\W+", "-", title.lower()).strip("-") or "top"
        names[name] += 1
        metadata: dict[str, Any] = {"headings": [heading for _, heading in path]} if path else {}
        if has_pages:
            lead = len(text[start:end]) - len(text[start:end].lstrip())
            metadata["page"] = 1 + text.count(PAGE_END, 0, start + lead)
        yield Piece(name if names[name] == 1 else f"{name}-{names[name]}", body, metadata)


def _below(path: list[tuple[int, str]], heading: tuple[int, int, str]) -> list[tuple[int, str]]:
    _, level, title = heading
    return [step for step in path if step[0] < level] + [(level, title)]
