"""How much of a page a reader keeps: words, headings, cells of tables and lines of code, against what is known of it.

Words are runs of two letters or digits and more; those with hyphens are one, as at a line's end nobody can tell which
hyphen is only there for it. They are compared as multisets: *kept* are those of the page that the text has, *junk*
those of the text that the page has not. A heading, a cell and a line of code are kept where the Markdown has one of the
same letters and digits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from typing import NamedTuple

__all__ = ["Gold", "Kept", "header", "installed", "parts_of", "plain", "row", "words"]

_WORD = re.compile(r"[^\W_]{2,}")
NAMES = ("words kept", "junk words", "headings", "cells", "lines of code")


class Gold(NamedTuple):
    """What is known of a page: words, and texts of headings, cells and lines of code as :func:`plain` has them."""

    words: Counter[str]
    headings: list[str]
    cells: list[str]
    code: list[str]


def words(text: str, key: Callable[[str], str] = str) -> Counter[str]:
    text = re.sub(r"(?m)^ *`{3,}.*$", "", text)
    text = text.replace("`", "")
    text = re.sub(r"(?<=\w)[-\u2010\u2011\u00ad]\s?\n?(?=\w)", "", text.lower())
    return Counter(map(key, _WORD.findall(text)))


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def parts_of(text: str) -> Gold:
    """The parts of a text in Markdown."""
    text = re.sub(r"(?m)^(?:> ?)+", "", text)
    code = [line for block in re.findall(r"(?ms)^ *(`{3,})[^\n]*\n(.*?)^ *\1", text) for line in block[1].split("\n")]
    outside = re.sub(r"(?ms)^ *(`{3,})[^\n]*\n.*?^ *\1", "", text)
    headings = [line.strip().lstrip("# ") for line in outside.split("\n") if line.startswith("#")]
    rows = [
        line.strip()
        for line in outside.split("\n")
        if line.lstrip().startswith("|") and not re.fullmatch(r"\|( *-+ *\|)+", line.strip())
    ]
    cells = [cell for line in rows for cell in re.split(r"(?<!\\)\|", line)]
    filled = ([text for part in texts if (text := plain(part))] for texts in (headings, cells, code))
    return Gold(words(text), *filled)


@dataclass
class Kept:
    """Sums over pages."""

    of: dict[str, list[int]] = field(default_factory=lambda: {name: [0, 0] for name in NAMES})
    missing: list[str] = field(default_factory=list)

    def add(self, text: str, gold: Gold, key: Callable[[str], str] = str, page: str = "") -> None:
        parts = parts_of(text)
        read_words = words(text, key)
        self._count(NAMES[0], (read_words & gold.words).total(), gold.words.total())
        self._count(NAMES[1], (read_words - gold.words).total(), read_words.total())
        for name, here, wanted in zip(NAMES[2:], parts[1:], gold[1:], strict=True):
            have, want = Counter(map(key, here)), Counter(text for text in wanted if text)
            self._count(name, (have & want).total(), want.total())
            self.missing += [f"{page}: {name}: {text}" for text in (want - have)]
        self.missing += [f"{page}: {text}" for text in (gold.words - read_words)]

    def _count(self, name: str, kept: int, total: int) -> None:
        self.of[name][0] += kept
        self.of[name][1] += total

    def cells(self) -> list[str]:
        return [f"{100 * kept / total:.2f} %" if total else "-" for kept, total in self.of.values()]


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def header(*names: str) -> None:
    print()
    row(*names)
    print("|---" * len(names) + "|")


def installed(names: Iterable[str]) -> list[str]:
    """Those of the readers that are ours or installed."""

    def is_here(name: str) -> bool:
        try:
            return name == "ours" or distribution(name) is not None
        except PackageNotFoundError:
            return False

    return [name for name in names if is_here(name)]
