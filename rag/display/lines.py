"""Texts short enough for one line of a terminal."""

from __future__ import annotations

from rag.text.plain import plain

__all__ = ["brief", "clipped", "count"]


def clipped(text: str, length: int = 80) -> str:
    r"""The beginning of a text on one line, with ``…`` where it goes on.

    Args:
        text: Any text.
        length: Maximum number of characters, ``…`` included.

    Example:
        >>> clipped("two\nlines of text", 10)
        'two lines…'
    """
    line = plain(" ".join(text[: 4 * length].split()))
    return line if len(line) <= length and len(text) <= 4 * length else line[: length - 1].rstrip() + "…"


def brief(value: object, length: int = 80) -> str:
    """``repr`` of a value, of a text its beginning."""
    return repr(clipped(value, length)) if isinstance(value, str) else clipped(repr(value), length)


def count(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    Example:
        >>> count(1, "query", "queries"), count(1200, "document")
        ('1 query', '1,200 documents')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
