"""The reader of web pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded
from rag.formats.html.blocks import Blocks
from rag.formats.html.page import about, body_of, declared_encoding, parse
from rag.formats.markdown import heading, joined

__all__ = ["HTMLReader", "from_html"]


class HTMLReader(Reader):
    """Web pages: main content without navigation, with headings, lists, tables and code."""

    name = "html"
    version = "2"
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
    title = next((block[2:] for block in blocks if block.startswith("# ")), "")
    named = metadata.get("title", "")
    if not title and named and not whole:
        first = next((block for block in blocks if block.startswith("#")), "")
        if first.lstrip("# ").replace("`", "") != named:
            blocks.insert(0, heading(1, named))
    metadata |= {"title": title.replace("`", "")} if title else {}
    return Converted(joined(blocks), metadata, counts={"markup_deep": writer.n_deep} if writer.n_deep else {})
