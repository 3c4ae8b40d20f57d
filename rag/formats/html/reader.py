"""The reader of web pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded
from rag.formats.html.blocks import Blocks
from rag.formats.html.page import about, body_of, declared_encoding, parse
from rag.formats.markdown import heading, joined

__all__ = ["HTMLReader", "from_html"]

_HEADING = re.compile("#{1,5} ")
"""A heading that can become one of the next level."""


class HTMLReader(Reader):
    """Web pages: main content without navigation, with headings, lists, tables and code."""

    name = "html"
    version = "4"
    libraries = ("selectolax",)

    def read(self, file: File) -> Iterator[Converted]:
        text, counts = decoded(file.content, encoding=file.encoding, declared=declared_encoding(file.content))
        converted = from_html(text)
        converted.counts |= counts
        yield converted


def from_html(text: str, *, whole: bool = False) -> Converted:
    """A page as Markdown.

    Args:
        text: HTML, well formed or not.
        whole: Take all of it for content: for what comes out of another format and has no navigation.
    """
    tree = parse(text)
    metadata: dict[str, Any] = about(tree)
    body = (tree.body or tree.root) if whole else body_of(tree)
    if body is None:
        return Converted("", metadata)
    writer = Blocks()
    blocks = writer.of(body)
    title = _titled(blocks, "" if whole else metadata.get("title", ""))
    metadata |= {"title": title} if title else {}
    return Converted(joined(blocks), metadata, counts={"markup_deep": writer.n_deep} if writer.n_deep else {})


def _titled(blocks: list[str], named: str) -> str:
    """Title of a page, which becomes its first heading where it is none: the only heading of the first level; of
    several the one that the page is named by; else the page's name, with all headings a level below it.

    Args:
        blocks: Of the page, in Markdown; changed in place.
        named: What the head of the page calls it.
    """
    firsts = [block[2:].replace("`", "") for block in blocks if block.startswith("# ")]
    shared = [text for text in firsts if text.casefold() in named.casefold()]
    if len(firsts) == 1 or shared or not named:
        return max(shared, key=len, default=next(iter(firsts), ""))
    if firsts:
        blocks[:] = [f"#{block}" if _HEADING.match(block) else block for block in blocks]
    first = next((block for block in blocks if block.startswith("#")), "")
    if firsts or first.lstrip("# ").replace("`", "") != named:
        blocks.insert(0, heading(1, named))
    return named
