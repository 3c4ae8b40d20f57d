"""Write Markdown: the blocks that readers build documents from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["cell", "code_span", "escaped", "fence", "heading", "item", "joined", "paragraph", "quote", "table"]

_SPACES = re.compile(r"[ \t\r\n\v\f\x85\u00a0\u2028\u2029]+")
_BLOCK_START = re.compile(
    r"""(?mx)^([ ]{0,3})
    (?: ( \#{1,6}(?=\s|$) | [>|] | [-+*](?=\s|$) | (?:=+|-+|\*+|_+)[ ]*$ | `{3} | ~{3}
        | [-*_](?:[ ]*[-*_]){2,}[ ]*$ | <(?=[a-zA-Z/!?]) )
      | (\d{1,9})([.)])(?=\s|$) )"""
)


def escaped(text: str) -> str:
    r"""A text whose lines begin no heading, list, quote, table, rule, fence or HTML block.

    Example:
        >>> print(escaped("# not a heading\n1. not a list"))
        \# not a heading
        1\. not a list
    """

    def escape(match: re.Match[str]) -> str:
        space, mark, digits, point = match.groups()
        return f"{space}\\{mark}" if mark else f"{space}{digits}\\{point}"

    return _BLOCK_START.sub(escape, text)


def paragraph(text: str) -> str:
    """A text as a paragraph: lines kept, spaces in a row made one, nothing in it taken for markup of blocks."""
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return escaped("\n".join(line for line in lines if line))


def heading(level: int, text: str) -> str:
    """A heading of a level from 1 to 6; empty for an empty text."""
    title = _SPACES.sub(" ", text).strip()
    return f"{'#' * min(max(level, 1), 6)} {title}" if title else ""


def code_span(text: str) -> str:
    """Code inside of a line."""
    text = _SPACES.sub(" ", text)
    if not text.strip():
        return text
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in (text[0], text[-1]) else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def fence(code: str, language: str = "") -> str:
    """A block of code, between fences that are longer than any inside of it; empty for no code."""
    code = code.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    code = "\n".join(line.rstrip() for line in code.expandtabs(8).split("\n")) if "\t" in code else code.rstrip()
    if not code.strip():
        return ""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"(?m)^\s*(`{3,})", code)), default=0))
    return f"{ticks}{language}\n{code}\n{ticks}"


def quote(blocks: Iterable[str]) -> str:
    """Blocks as a quotation; empty for none."""
    text = joined(blocks)
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n")) if text else ""


def item(marker: str, blocks: Sequence[str]) -> str:
    """An item of a list: ``marker`` is ``-`` or ``3.``; blocks after the first are indented below it."""
    if not blocks:
        return ""
    indent = " " * (len(marker) + 1)
    tight = all(_is_list(block) for block in blocks[1:])
    body = ("\n" if tight else "\n\n").join(blocks)
    first, *rest = body.split("\n")
    return "\n".join([f"{marker} {first}", *(f"{indent}{line}" if line.strip() else "" for line in rest)])


def _is_list(block: str) -> bool:
    return re.match(r"(?:[-*+]|\d+[.)])\s", block) is not None


def cell(text: str) -> str:
    """A text as it stands in a cell of a table: in one line, bars escaped."""
    return _SPACES.sub(" ", text).strip().replace("\\|", "|").replace("|", "\\|")


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its header; short rows are filled up, empty ones and empty last columns left out."""
    rows = [[cell(text) for text in row] for row in rows]
    rows = [row for row in rows if any(row)]
    width = max((1 + max(column for column, text in enumerate(row) if text) for row in rows), default=0)
    if not width:
        return ""
    lines = ["| " + " | ".join([*row[:width], *[""] * (width - len(row))]) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def joined(blocks: Iterable[str]) -> str:
    """Blocks with a blank line between them; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block.strip())
