"""Find the headings among the lines of pages: by the outline, or else by font size."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rag.formats.pdf.lines import Line

__all__ = ["Entry", "Found", "by_outline", "by_size", "split_run_in"]

_LONGEST = 3
"""Lines that a heading may take."""
_LETTERS = re.compile(r"[\W_]+")
_LEVELS = 4
_PART = re.compile(r"(?:chapter|appendix|part)(?:[0-9]{1,3}|[a-z]|[ivxlc]{1,6})|[0-9]{1,3}|[ivx]{1,5}")
"""What stands in a line of its own above a title, in another size."""
_NUMBER = re.compile(r"(?:chapter|appendix|part)?(?:[a-z]?[0-9]{0,6}[a-z]?|[ivxlc]{1,6})")
"""The number of a title, without points."""


class Entry(NamedTuple):
    """An entry of the outline.

    Args:
        level: Its level, from 1.
        page: Number of its page, from 0.
        title: Its title.
        y: Height on the page that it leads to, in points from the page's foot; None where it names none.
    """

    level: int
    page: int
    title: str
    y: float | None = None


class Found(NamedTuple):
    """A heading: its level, and how many lines it takes."""

    level: int
    n_lines: int


def split_run_in(pages: Sequence[Sequence[Line]], outline: Iterable[Entry]) -> list[list[Line]]:
    """Pages on which a title of the outline that begins a paragraph is a line of its own."""
    split = [list(lines) for lines in pages]
    for _, number, title, y in outline:
        words = re.findall(r"[^\W_]+", title)
        if y is None or not words or number >= len(split):
            continue
        begins = re.compile(r"\s*" + r"[\W_]*".join(words) + r"[\W_]?\s+(?=\S)", re.IGNORECASE)
        for at, line in enumerate(split[number]):
            if 0 <= y - line.y <= 3 * line.size and (match := begins.match(line.text)):
                split[number][at : at + 1] = [
                    line._replace(text=match[0].strip(), last_y=line.y),
                    line._replace(text=line.text[match.end() :]),
                ]
                break
    return split


def by_outline(pages: Sequence[Sequence[Line]], outline: Iterable[Entry]) -> list[dict[int, Found]]:
    """Headings of the outline for each page, by the number of their first line."""
    titles: defaultdict[int, list[tuple[int, str, float | None]]] = defaultdict(list)
    for level, number, title, y in outline:
        if text := _plain(title):
            titles[number].append((level, text, y))
    headings: list[dict[int, Found]] = []
    for number, lines in enumerate(pages):
        here: dict[int, Found] = {}
        if number in titles:
            texts = [_plain(line.text) for line in lines]
            start = 0
            for level, title, y in titles[number]:
                order = [*range(start, len(lines)), *range(start)]
                if y is not None:
                    order.sort(key=lambda at: not 0 <= y - lines[at].y <= 3 * lines[at].size)
                for first in order:
                    if first not in here and (n := _matches(texts, first, title, lines)):
                        here[first] = Found(level, n)
                        start = first + n
                        break
        headings.append(here)
    return headings


def _matches(texts: Sequence[str], first: int, title: str, lines: Sequence[Line]) -> int:
    """How many lines from this one on are the title, numbers before it aside; 0 for none."""
    text = ""
    for n in range(1, _LONGEST + 1):
        if first + n > len(texts):
            return 0
        if n > 1 and abs(lines[first + n - 1].size - lines[first].size) > 0.5 and not _PART.fullmatch(texts[first]):
            return 0
        text += texts[first + n - 1]
        if text == title or (text.endswith(title) and _is_number(text.removesuffix(title), n, texts[first])):
            return n
        if title.endswith(text) and len(text) > 4 and _NUMBER.fullmatch(title.removesuffix(text)):
            return n
        if len(text) > len(title) + 8:
            return 0
    return 0


def _is_number(prefix: str, n_lines: int, first_line: str) -> bool:
    """Whether what stands before a title is its number, in a line of its own only where it says so."""
    alone = n_lines > 1 and prefix.startswith(first_line)
    return (_PART if alone else _NUMBER).fullmatch(prefix) is not None


def by_size(pages: Sequence[Sequence[Line]]) -> list[dict[int, Found]]:
    """Of each page the lines that are set larger than most of the text and are short, and, a level below, those that
    are bold and stand by themselves at the left edge.
    """
    letters: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            letters[line.size] += len(line.text)
    if not letters:
        return [{} for _ in pages]
    body = letters.most_common(1)[0][0]
    larger = sorted((size for size in letters if size > 1.12 * body), reverse=True)
    level_of = {size: min(level, _LEVELS) for level, size in enumerate(larger, 1)}
    headings: list[dict[int, Found]] = []
    for lines in pages:
        here: dict[int, Found] = {}
        at = 0
        while at < len(lines):
            n = 1
            if (size := lines[at].size) in level_of:
                while at + n < len(lines) and lines[at + n].size == size:
                    n += 1
                words = sum(len(line.text.split()) for line in lines[at : at + n])
                if n <= _LONGEST and words <= 25 and any(c.isalpha() for c in lines[at].text):
                    here[at] = Found(level_of[size], n)
            elif _stands_out(lines, at):
                here[at] = Found(max(2, min(len(larger), _LEVELS) + 1), 1)
            at += n
        headings.append(here)
    return headings


def _stands_out(lines: Sequence[Line], at: int) -> bool:
    """Whether a line is bold, short, at the left edge, with more room above it than a line has, and text below."""
    line = lines[at]
    if not line.bold or line.code or at + 1 >= len(lines) or lines[at + 1].bold:
        return False
    if len(line.text.split()) > 10 or re.search(r"[.,;:]\s*$|^\W*$", line.text):
        return False
    apart = at == 0 or lines[at - 1].last_y - line.y > 1.5 * line.size or lines[at - 1].y < line.y
    return apart and line.left <= min(other.left for other in lines) + 1


def _plain(text: Any) -> str:
    return _LETTERS.sub("", str(text).lower())
