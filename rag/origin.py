"""The origin of a passage, for people: source, page, headings, and a link to the place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

__all__ = ["Origin", "origin_of"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a passage.

    Args:
        source: Address of the page, or path of the file; empty for documents that came from a table without either.
        page: Number of the page on which the passage begins, from 1; None where there are no pages.
        last_page: Number of the page on which it ends.
        headings: Titles above it, outermost first.
        link: Link to the place in the source: ``manual.pdf#page=12``; empty without a source.
    """

    source: str = ""
    page: int | None = None
    last_page: int | None = None
    headings: tuple[str, ...] = ()
    link: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The known fields as JSON values."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", ())}

    def __str__(self) -> str:
        pages = "" if self.page is None else f"p. {self.page}"
        if self.last_page is not None and self.last_page != self.page:
            pages += f"\u2013{self.last_page}"
        return "  ".join(part for part in (pages, " > ".join(self.headings), self.link) if part)


def origin_of(document: Mapping[str, Any], passage: Mapping[str, Any]) -> Origin:
    """The origin of a passage, from the metadata of its document and its own.

    Example:
        >>> origin_of({"path": "manual.pdf"}, {"page": 12, "headings": ["Plots"]}).link
        'manual.pdf#page=12'
    """
    address = _text(document.get("url")) or _text(document.get("source"))
    path = _text(document.get("path"))
    page = passage.get("page", document.get("page"))
    page = page if isinstance(page, int) and not isinstance(page, bool) else None
    last = passage.get("last_page", page)
    headings = [*_texts(document.get("headings")), *_texts(passage.get("headings"))]
    headings = [title for number, title in enumerate(headings) if title not in headings[:number]]
    source = address or path
    link = address or path.replace("#", quote("#")).replace("?", quote("?"))
    opens_at_page = page is not None and link.lower().partition("?")[0].endswith(".pdf")
    link = f"{link}#page={page}" if opens_at_page else link
    return Origin(source, page, last if isinstance(last, int) else page, tuple(headings), link)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [step for step in value if isinstance(step, str)] if isinstance(value, (list, tuple)) else []
