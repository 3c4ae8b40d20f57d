"""The parts of which a notebook shows an object: tables with their cells, and trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Bar", "Interval", "Marked", "Part", "Table", "Tree"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval, drawn as a dot with whiskers on the scale of its column.

    Args:
        mean: The dot.
        low: Lower end; None without an interval.
        high: Upper end.
    """

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A number drawn as a bar, as long as its share of the largest of its column."""

    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A text in which the words of a question are marked.

    Args:
        text: Shown around the words that match.
        question: The words to mark.
        length: Maximum number of characters shown.
    """

    text: str
    question: str
    length: int = 240


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a few rows.

    Args:
        columns: The headings.
        rows: A cell for each heading: a text, a number, nothing (None), or a drawing. Numbers stand at the right,
            floats with four digits.
        more: Number of rows left out at the end.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """A node that can be folded.

    Args:
        label: Its name.
        note: Shown after the name, less prominently.
        children: The nodes below.
    """

    label: str
    note: str = ""
    children: Sequence[Tree] = field(default_factory=tuple)


Part = Table | Tree
