"""Tables of HTML: which hold data, and their cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

__all__ = ["data_rows", "is_layout"]

_WIDEST = 1000
"""Columns that a cell may span: more is a mistake in the page."""


def is_layout(node: LexborNode) -> bool:
    """Whether a table only places blocks beside each other: said so, of one column or row, or with headings inside."""
    if node.attributes.get("role") in ("presentation", "none"):
        return True
    if node.css_first("th, thead, caption") is not None and node.css_first("h1, h2, h3, h4") is None:
        return False
    widths = [len(_cells(row)) for row in _rows(node)]
    return len(widths) <= 1 or max(widths) <= 1 or node.css_first("h1, h2, h3, h4, td > table td > table") is not None


def data_rows(node: LexborNode, text_of: Callable[[LexborNode], str]) -> list[list[str]]:
    """Texts of the cells by row; those that span several columns or rows stand in the first, the others are empty.

    The first row is the table's header, as Markdown has it.
    """
    rows: list[list[str]] = []
    taken: dict[tuple[int, int], bool] = {}
    for n, row in enumerate(_rows(node)):
        cells: list[str] = []
        for cell in _cells(row):
            while taken.pop((n, len(cells)), False):
                cells.append("")
            wide, high = _span(cell, "colspan"), _span(cell, "rowspan")
            column = len(cells)
            cells += [text_of(cell), *[""] * (wide - 1)]
            for below in range(1, high):
                taken |= {(n + below, column + right): True for right in range(wide)}
        rows.append(cells)
    return rows


def _rows(node: LexborNode) -> list[LexborNode]:
    """Rows of the table itself, its head first and its foot last, not those of tables inside."""
    head: list[LexborNode] = []
    body: list[LexborNode] = []
    foot: list[LexborNode] = []
    child = node.child
    while child is not None:
        if child.tag == "tr":
            body.append(child)
        elif child.tag in ("thead", "tbody", "tfoot"):
            part = {"thead": head, "tfoot": foot}.get(child.tag, body)
            inner = child.child
            while inner is not None:
                if inner.tag == "tr":
                    part.append(inner)
                inner = inner.next
        child = child.next
    return [*head, *body, *foot]


def _cells(row: LexborNode) -> list[LexborNode]:
    cells = []
    child = row.child
    while child is not None:
        if child.tag in ("td", "th"):
            cells.append(child)
        child = child.next
    return cells


def _span(node: LexborNode, name: str) -> int:
    value = (node.attributes.get(name) or "").strip()
    return min(int(value), _WIDEST) if value.isdecimal() and len(value) < 6 and int(value) else 1
