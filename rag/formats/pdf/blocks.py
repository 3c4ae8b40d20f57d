"""Lines of pages as Markdown: paragraphs, lists, code and headings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from rag.formats.base import PAGE_END
from rag.formats.markdown import code_span, fence, heading, item, paragraph
from rag.formats.pdf.headings import Found
from rag.formats.pdf.lines import HYPHEN, Line

__all__ = ["markdown_of"]

_BULLET = re.compile(
    r"^[\x80-\x9f\ue000-\uf8ff\u2022\u2023\u25e6\u2043\u2219\u25aa\u25ab\u25cf\u25cb\u25a0\u00b7*\u2013-]\s+(?=\S)"
)
_NUMBERED = re.compile(r"^(\d{1,3}[.)])\s+(?=\S)")
_ENDS = re.compile(r"[.!?:;\u3002\uff01\uff1f][\"'\u201d\u2019)\]]*$")
_LEADERS = re.compile(r"(?:[ \u00a0]?[.\u2026\u00b7]){4,}[ ]*(?=\w{0,6}$)")
"""Dots that lead to a page number, in a table of contents."""
_UNSPACED = "[\u2e80-\u303f\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
"""Letters of Chinese and Japanese, which have no spaces between words."""
_INDENT = 5.0
"""Points to the right at which a line begins a paragraph."""


class _Block(NamedTuple):
    kind: str  # text, code, heading, item
    text: str


def markdown_of(pages: Sequence[Sequence[Line]], headings: Sequence[Mapping[int, Found]]) -> str:
    """The text of all pages, :data:`PAGE_END` behind each."""
    leading = _leading(pages)
    parts: list[str] = []
    before: _Block | None = None
    for lines, here in zip(pages, headings, strict=True):
        blocks = list(_blocks(lines, here, leading))
        if parts:
            joins = before is not None and bool(blocks) and _goes_on(before, blocks[0])
            first = blocks[0].text if joins else ""
            if joins and before is not None and before.text.endswith(HYPHEN):
                word, _, rest = first.partition(" ")
                parts.append(f"{word} {PAGE_END}")
                blocks[0] = _Block("text", rest)
            elif joins or (before is not None and before.kind != "code" and parts[-1] != PAGE_END):
                parts.append(f" {PAGE_END}" if not joins else f" {PAGE_END}\n")
            else:
                parts.append(f"\n\n{PAGE_END}")
            if blocks and not joins:
                parts.append("\n\n")
        parts.append("\n\n".join(block.text for block in blocks))
        before = blocks[-1] if blocks else None
    return _without_hyphens("".join(parts))


def _goes_on(before: _Block, after: _Block) -> bool:
    """Whether a paragraph goes on across the end of a page."""
    return (
        before.kind in ("text", "item")
        and after.kind == "text"
        and (before.text.endswith(HYPHEN) or (_ENDS.search(before.text) is None and _goes_on_with(after.text)))
    )


def _goes_on_with(text: str) -> bool:
    return text[:1].islower() or re.match(_UNSPACED, text) is not None


def _blocks(lines: Sequence[Line], headings: Mapping[int, Found], leading: float) -> Iterator[_Block]:
    code = _code_lines(lines, leading)
    at = 0
    while at < len(lines):
        if at in headings:
            level, n = headings[at]
            yield _Block("heading", heading(level, " ".join(line.text for line in lines[at : at + n])))
            at += n
            continue
        first = at
        at += 1
        if code[first]:
            while at < len(lines) and code[at] and at not in headings and _gap(lines, at) < 4 * leading:
                at += 1
            if not _are_terms(lines, first, at, headings, leading):
                yield _Block("code", fence(_indented(lines[first:at], leading)))
                continue
        terms = [code_span(line.text.strip()) for line in lines[first:at]] if code[first] else []
        if terms and _BULLET.match(lines[at].text.strip()):
            yield _Block("text", "\n".join(terms))
            continue
        start, at = (at, at + 1) if terms else (first, at)
        while at < len(lines) and at not in headings and not code[at] and not _begins(lines, at, leading):
            at += 1
        text = "\n".join(_LEADERS.sub(" ", line.text.strip()) for line in lines[start:at])
        text = re.sub(f"{HYPHEN}\n|(?<={_UNSPACED})\n(?={_UNSPACED})", lambda end: end[0][:-1], text).replace("\n", " ")
        if terms:
            yield _Block("text", paragraph("\n".join([*terms, text])))
            continue
        bullet = _BULLET.match(text)
        marker = _NUMBERED.match(text)
        if bullet:
            yield _Block("item", item("-", [paragraph(text[bullet.end() :])]))
        elif marker:
            yield _Block("item", item(marker[1], [paragraph(text[marker.end() :])]))
        elif body := paragraph(text):
            yield _Block("text", body)


def _are_terms(lines: Sequence[Line], first: int, end: int, headings: Mapping[int, Found], leading: float) -> bool:
    """Whether lines in a font for code are terms that the text right below, further right, explains."""
    if end == len(lines) or end in headings or end - first > 3:
        return False
    edges = {round(line.left) for line in lines[first:end]}
    inside = lines[end].left - lines[first].left
    return len(edges) == 1 and inside > _INDENT and 0 < _gap(lines, end) < 1.5 * leading


def _gap(lines: Sequence[Line], at: int) -> float:
    return lines[at - 1].last_y - lines[at].y


def _begins(lines: Sequence[Line], at: int, leading: float) -> bool:
    """Whether a line begins a paragraph."""
    line, before = lines[at], lines[at - 1]
    gap = _gap(lines, at)
    if before.text.endswith(HYPHEN):
        return False
    if _LEADERS.search(before.text):
        return True
    if _BULLET.match(line.text.strip()) or abs(line.size - before.size) > 0.15 * before.size:
        return True
    if gap < -leading:  # the next column
        return _ENDS.search(before.text) is not None or not _goes_on_with(line.text)
    if gap > max(1.22 * leading, 1.6 * line.size):
        return True
    return line.left > before.left + _INDENT and (_ENDS.search(before.text) is not None or line.bold != before.bold)


def _code_lines(lines: Sequence[Line], leading: float) -> list[bool]:
    """Which lines are code: set as such, and not just the middle of a paragraph that names some."""
    code = [line.code for line in lines]
    for at in range(1, len(lines)):
        before, line = lines[at - 1], lines[at]
        alone = not code[at - 1] and (at + 1 == len(lines) or not lines[at + 1].code)
        inside = abs(line.left - before.left) < 2 and 0 < _gap(lines, at) < 1.1 * leading
        if code[at] and alone and inside:
            code[at] = False
    return code


def _indented(lines: Sequence[Line], leading: float) -> str:
    """Lines of code below each other, indented as they stand, blank ones where there is room for some."""
    edge = min(line.left for line in lines)
    width = next((w for line in lines if (w := (line.right - line.left) / max(len(line.text.strip()), 1)) > 0), 6.0)
    written = []
    for at, line in enumerate(lines):
        if at and _gap(lines, at) > 1.6 * leading:
            written.append("")
        written.append(" " * min(round((line.left - edge) / width), 60) + line.text.strip().replace(HYPHEN, "-\n"))
    return "\n".join(written)


def _leading(pages: Sequence[Sequence[Line]]) -> float:
    """The usual distance between lines, in points."""
    gaps: Counter[float] = Counter()
    for lines in pages:
        gaps.update(round(2 * gap) / 2 for a, b in pairwise(lines) if 4 < (gap := a.last_y - b.y) < 60)
    return gaps.most_common(1)[0][0] if gaps else 12.0


def _without_hyphens(text: str) -> str:
    """Words that a line's end has cut, whole: with their hyphen only where the text has them so elsewhere."""
    if HYPHEN not in text:
        return text
    words = set(re.findall(r"[\w-]+", text.lower()))

    def whole(match: re.Match[str]) -> str:
        first, rest = match.groups()
        joined, hyphened = f"{first}{rest}", f"{first}-{rest}"
        return hyphened if joined.lower() not in words and hyphened.lower() in words else joined

    text = re.sub(rf"([\w-]+){HYPHEN}(\w+)", whole, text)
    return text.replace(HYPHEN, "-")
