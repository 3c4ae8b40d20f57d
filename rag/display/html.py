"""Objects as HTML fragments, for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from rag.display.parts import Bar, Interval, Marked, Part, Table, Tree
from rag.text.plain import plain

__all__ = ["as_html"]

_STYLE = (
    ".rag-view{font-family:inherit;line-height:1.45}"
    ".rag-view table{border-collapse:collapse;margin:.4em 0}"
    ".rag-view th{text-align:left;font-weight:600;border-bottom:1px solid currentColor}"
    ".rag-view td,.rag-view th{padding:.2em .8em .2em 0;vertical-align:top;text-align:left;max-width:46em}"
    ".rag-view .n{text-align:right;font-variant-numeric:tabular-nums}"
    ".rag-view .soft{opacity:.7}"
    ".rag-view mark{background:none;color:inherit;font-weight:700}"
    ".rag-view details{margin-left:1em}.rag-view details.top{margin-left:0}"
    ".rag-view .leaf{margin-left:2em}"
)
_WIDTH = 120
"""Width of drawings in cells, in pixels."""


def as_html(lines: Sequence[str], parts: Sequence[Part]) -> str:
    """A fragment with a title, the facts below it, and the parts."""
    title, facts = "".join(f"<div><b>{escape(plain(line))}</b></div>" for line in lines[:1]), lines[1:]
    # Where tables follow, they say what the lines say.
    below = "" if parts else "".join(f"<div>{escape(plain(fact))}</div>" for fact in facts)
    drawn = "".join(_table(part) if isinstance(part, Table) else _tree(part, top=True) for part in parts)
    return f'<div class="rag-view"><style>{_STYLE}</style>{title}{below}{drawn}</div>'


def _table(table: Table) -> str:
    columns = list(zip(*table.rows, strict=True)) or [() for _ in table.columns]
    scales = [_scale(column) for column in columns]
    right = [any(isinstance(cell, (int, float)) for cell in column) for column in columns]
    head = "".join(
        f'<th{_class(n)} scope="col">{escape(name)}</th>' for name, n in zip(table.columns, right, strict=True)
    )
    rows = "".join(f"<tr>{_row(row, scales, right)}</tr>" for row in table.rows)
    more = f'<div class="soft">… {table.more:,} more</div>' if table.more else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _row(row: Sequence[object], scales: Sequence[tuple[float, float]], right: Sequence[bool]) -> str:
    cells = zip(row, scales, right, strict=True)
    return "".join(f"<td{_class(number)}>{_cell(cell, scale)}</td>" for cell, scale, number in cells)


def _class(number: bool) -> str:
    return ' class="n"' if number else ""


def _cell(cell: object, scale: tuple[float, float]) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Marked):
        return "".join(_marked(cell))
    if isinstance(cell, Interval):
        return _whiskers(cell, scale)
    if isinstance(cell, Bar):
        share = cell.value / scale[1] if scale[1] > 0 else 0.0
        return _drawing(
            f'<rect y="3" height="8" width="{share * _WIDTH:.1f}" fill="currentColor" opacity=".5"/>', cell.text
        )
    if isinstance(cell, float):
        return f"{cell:.4f}" if math.isfinite(cell) else "–"
    return f"{cell:,}" if isinstance(cell, int) else escape(plain(str(cell)))


def _scale(column: Sequence[object]) -> tuple[float, float]:
    """The least and the largest value drawn in a column; from 0 to 1 where that holds all."""
    ends = [end for cell in column if isinstance(cell, Interval) for end in (cell.mean, cell.low, cell.high)]
    values = [value for value in ends if value is not None and math.isfinite(value)]
    values += [cell.value for cell in column if isinstance(cell, Bar)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (0.0, 1.0) if low >= 0 and high <= 1 and any(isinstance(cell, Interval) for cell in column) else (low, high)


def _whiskers(cell: Interval, scale: tuple[float, float]) -> str:
    if not math.isfinite(cell.mean):
        return "–"
    low, high = scale

    def x(value: float) -> float:
        return 4 + (value - low) / ((high - low) or 1.0) * (_WIDTH - 8)

    drawn = f'<circle cx="{x(cell.mean):.1f}" cy="7" r="3" fill="currentColor"/>'
    words = f"{cell.mean:.4f}"
    if cell.low is not None and cell.high is not None:
        ends = f'x1="{x(cell.low):.1f}" x2="{x(cell.high):.1f}"'
        drawn += f'<line {ends} y1="7" y2="7" stroke="currentColor" stroke-width="1.5"/>'
        words += f" [{cell.low:.4f}, {cell.high:.4f}]"
    return _drawing(drawn, words)


def _drawing(inside: str, words: str) -> str:
    """A small picture, with what it says in words beside it."""
    return f'<svg width="{_WIDTH}" height="14" aria-hidden="true">{inside}</svg> {escape(plain(words))}'


def _marked(cell: Marked) -> Iterator[str]:
    from rag.text.matches import excerpt, matches

    text = plain(" ".join(cell.text.split()))
    start, end = excerpt(text, matches(cell.question, text), cell.length)
    shown, at = text[start:end], 0
    yield "… " if start else ""
    for first, last in matches(cell.question, shown):
        yield f"{escape(shown[at:first])}<mark>{escape(shown[first:last])}</mark>"
        at = last
    yield escape(shown[at:]) + (" …" if end < len(text) else "")


def _tree(tree: Tree, *, top: bool = False) -> str:
    note = f' <span class="soft">{escape(plain(tree.note))}</span>' if tree.note else ""
    name = f"{escape(plain(tree.label))}{note}"
    if not tree.children:
        return f'<div class="leaf">{name}</div>'
    inside = "".join(_tree(child) for child in tree.children)
    kind = ' class="top"' if top else ""
    return f"<details open{kind}><summary>{name}</summary>{inside}</details>"
