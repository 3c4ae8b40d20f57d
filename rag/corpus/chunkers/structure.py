"""Where the blocks of a Markdown text begin and end."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

__all__ = ["Block", "Heading", "Structure", "structure_of"]

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_WHOLE = ("fence", "code_block", "table_open")


class Heading(NamedTuple):
    """A heading: where it starts, its level, and its title as plain text."""

    start: int
    level: int
    title: str


class Block(NamedTuple):
    """A code block or a table that should not be cut.

    Args:
        start: Offset in characters.
        end: End (exclusive).
        rows: Of a table outside lists and quotes: where its header, and then each row, ends. Empty for others.
    """

    start: int
    end: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Structure:
    """What a Markdown text consists of.

    Args:
        headings: In order.
        blocks: Code blocks and tables, in order.
        breaks: Offsets at which a block of any kind begins, ascending, none of them inside of ``blocks``.
        front_matter: The fields of YAML front matter.
    """

    headings: Sequence[Heading]
    blocks: Sequence[Block]
    breaks: Sequence[int]
    front_matter: Mapping[str, Any]

    def block_around(self, offset: int) -> Block | None:
        """The code block or table that an offset is inside of, not at its start."""
        at = bisect_right(self.blocks, offset, key=lambda block: block.start) - 1
        inside = at >= 0 and self.blocks[at].start < offset < self.blocks[at].end
        return self.blocks[at] if inside else None


def structure_of(text: str) -> Structure:
    """The structure of a Markdown text (CommonMark with tables)."""
    from markdown_it import MarkdownIt

    fields, body = _front_matter(text)
    masked = re.sub(r"[^\r\n]", " ", text[:body]) + text[body:]  # its lines are none of Markdown's
    tokens = MarkdownIt().enable("table").parse(masked)
    offsets = [0]
    # The parser counts lines by \n after folding \r\n and \r; so must the offsets.
    for line in text.replace("\r\n", "\n\0").replace("\r", "\n").split("\n"):
        offsets.append(min(offsets[-1] + len(line) + 1, len(text)))
    headings: list[Heading] = []
    blocks: list[Block] = []
    breaks: list[int] = []
    for token, inside in pairwise([*tokens, None]):
        if token is None or token.map is None:
            continue
        start, end = offsets[token.map[0]], offsets[min(token.map[1], len(offsets) - 1)]
        if blocks and start < blocks[-1].end:
            continue
        if token.type in _WHOLE:
            first, last = token.map
            is_table = token.type == "table_open" and token.level == 0
            blocks.append(Block(start, end, tuple(offsets[first + 2 : last + 1]) if is_table else ()))
        elif token.type == "heading_open" and inside is not None:
            headings.append(Heading(start, int(token.tag[1:]), _plain(inside)))
        breaks.append(start)
    return Structure(headings, blocks, sorted(set(breaks)), fields)


def _plain(inline: Any) -> str:
    """The text of a heading as a reader sees it: without emphasis, link targets and HTML."""
    parts = []
    for token in inline.children or []:
        if token.type == "image":
            parts.append(_plain(token))
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type != "html_inline":
            parts.append(token.content)
    return " ".join("".join(parts).split())


def _front_matter(text: str) -> tuple[Mapping[str, Any], int]:
    """Fields of the front matter as JSON values, and where it ends; none and 0 where there is none."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, 0
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        fields = YAML(typ="safe", pure=True).load(match[1])
        known = json.loads(json.dumps(fields, default=str))
    except (YAMLError, ValueError, TypeError):
        return {}, match.end()  # meant as such, though it cannot be read
    if isinstance(known, dict):
        return known, match.end()
    return {}, match.end() if known is None else 0
