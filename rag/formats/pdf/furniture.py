"""Headers, footers and page numbers: lines at the edge of pages that repeat."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from rag.formats.pdf.lines import Line

__all__ = ["furniture_of"]

_EDGE = 2
"""Lines at the head and at the foot of a page that may be furniture."""
_NUMBER = re.compile(r"^\W*(\d{1,5})\b|(?<![\d.])(\d{1,5})\W*$")
_ROMAN = re.compile(r"\b[ivxlc]{1,8}\b|\b[IVXLC]{1,8}\b")
_NEAR = 4.0
"""Points by which the place of a header may differ from page to page."""


def furniture_of(pages: Sequence[Sequence[Line]]) -> list[set[int]]:
    """Of each page the numbers of the lines that are furniture.

    A line at the edge is, if the same one, numbers aside, stands at the same height on three pages (on both, of two),
    or if it has a number that counts the pages.
    """
    edges = [_edge(lines) for lines in pages]
    least = 2 if len(pages) == 2 else 3
    same: Counter[tuple[str, int]] = Counter()
    counts: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for number, (lines, edge) in enumerate(zip(pages, edges, strict=True)):
        same.update({_key(lines[place]) for place in edge})
        for place in edge:
            for value in _numbers(lines[place].text):
                counts[_height(lines[place])][value - number] += 1
    counted = {
        (height, shift)
        for height, shifts in counts.items()
        for shift, n in shifts.items()
        if n >= max(3, 0.1 * len(pages))
    }
    removed: list[set[int]] = []
    for number, (lines, edge) in enumerate(zip(pages, edges, strict=True)):
        removed.append(
            {
                place
                for place in edge
                if (text := lines[place].text)
                and (
                    (same[_key(lines[place])] >= least and len(pages) > 1)
                    or any((_height(lines[place]), value - number) in counted for value in _numbers(text))
                )
            }
        )
    return removed


def _edge(lines: Sequence[Line]) -> list[int]:
    """Lines at the head and the foot of a page, as long as what is between them and the text is not just a line's
    distance.
    """
    order = sorted(range(len(lines)), key=lambda place: -lines[place].y)
    if len(order) <= 2 * _EDGE:
        return order[:1] + order[-1:] if len(order) > 1 else order
    return [*order[:_EDGE], *order[-_EDGE:]]


def _height(line: Line) -> int:
    return round(line.y / _NEAR)


def _key(line: Line) -> tuple[str, int]:
    text = re.sub(r"\d+", "#", line.text.strip())
    return (_ROMAN.sub("#", text) if len(text) < 9 else text, _height(line))


def _numbers(text: str) -> set[int]:
    return {int(value) for match in _NUMBER.finditer(text.strip()) for value in match.groups() if value}
