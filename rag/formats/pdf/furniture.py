"""Headers, footers and page numbers: lines at the edge of pages that repeat."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import median_low

from rag.formats.pdf.lines import Line

__all__ = ["furniture_of"]

_EDGE = 2
"""Lines at the head and at the foot of a page that may be furniture."""
_APART = 1.25
"""Times the usual distance of lines, of the page or of all, that furniture stands away from the text; what is nearer is
furniture only where it is the same to the letter."""
_NUMBER = re.compile(r"^\W*(\d{1,5})\b|(?<![\d.])(\d{1,5})\W*$")
_ROMAN = re.compile(r"\b[ivxlc]{1,8}\b|\b[IVXLC]{1,8}\b")
_NEAR = 4.0
"""Points by which the place of a header may differ from page to page."""

_Key = tuple[str, int]
"""A text, and its height on the page."""


def furniture_of(pages: Sequence[Sequence[Line]]) -> list[set[int]]:
    """Numbers of each page's lines that are furniture.

    A line at the edge is, if the same one, numbers aside, stands at the same height on three pages in a row, or on
    every other one (on both, of two), or if it has a number that counts the pages.
    """
    gaps = [_gaps(lines) for lines in pages]
    usual = median_low([gap for of_page in gaps for gap in of_page] or [1.0])
    edges = [_edges(lines, usual) for lines in pages]
    same: defaultdict[_Key, list[int]] = defaultdict(list)
    counts: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for page, (lines, edge) in enumerate(zip(pages, edges, strict=True)):
        for key in {_key(lines[at], apart) for at, apart in edge.items()}:
            same[key].append(page)
        for at, apart in edge.items():
            for value in _numbers(lines[at].text) if apart else ():
                counts[_height(lines[at])][value - page] += 1
    least = max(3, 0.1 * len(pages))
    counted = {(height, shift) for height, shifts in counts.items() for shift, n in shifts.items() if n >= least}
    often = 2 if len(pages) == 2 else 3
    runs = {(key, page) for key, pages_of in same.items() for page in _in_runs(pages_of, often)}

    def is_furniture(line: Line, apart: bool, page: int) -> bool:
        if len(pages) > 1 and (_key(line, apart), page) in runs:
            return True
        return apart and any((_height(line), value - page) in counted for value in _numbers(line.text))

    return [
        {at for at, apart in edge.items() if is_furniture(lines[at], apart, page)}
        for page, (lines, edge) in enumerate(zip(pages, edges, strict=True))
    ]


def _gaps(lines: Sequence[Line]) -> list[float]:
    heights = sorted((line.y for line in lines), reverse=True)
    return [above - below for above, below in pairwise(heights)]


def _edges(lines: Sequence[Line], usual: float) -> dict[int, bool]:
    """Lines at the head and the foot of a page, each with whether it stands apart from the text."""
    order = sorted(range(len(lines)), key=lambda at: -lines[at].y)
    if len(order) < 2:
        return dict.fromkeys(order, True)
    gaps = _gaps(lines)
    apart = _APART * max(min(median_low(gaps), usual), 1.0)
    edges: dict[int, bool] = {}
    for ordered, distances in ((order, gaps), (order[::-1], gaps[::-1])):
        last = next((n for n in reversed(range(min(_EDGE, len(distances)))) if distances[n] > apart), -1)
        for n, at in enumerate(ordered[: max(last + 1, 1)]):
            edges[at] = edges.get(at, False) or n <= last
    return edges


def _in_runs(numbers: Sequence[int], least: int) -> list[int]:
    """Those of rising numbers that stand in a run of at least this many, with steps of 1 or 2."""
    kept: list[int] = []
    run: list[int] = []
    for number in numbers:
        if run and number - run[-1] > 2:
            kept += run if len(run) >= least else []
            run = []
        run.append(number)
    return kept + (run if len(run) >= least else [])


def _height(line: Line) -> int:
    return round(line.y / _NEAR)


def _key(line: Line, apart: bool) -> _Key:
    text = line.text.strip()
    if apart:
        text = re.sub(r"\d+", "#", text)
        text = _ROMAN.sub("#", text) if len(text) < 9 else text
    return text, _height(line)


def _numbers(text: str) -> set[int]:
    return {int(value) for match in _NUMBER.finditer(text.strip()) for value in match.groups() if value}
