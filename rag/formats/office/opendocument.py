"""OpenDocument: texts, spreadsheets and presentations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.errors import DataError
from rag.formats.base import PAGE_END, Converted, File, Reader
from rag.formats.markdown import fence, heading, item, joined, paragraph, table
from rag.formats.office.properties import properties_of
from rag.formats.packed import Package

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["OpenDocumentReader"]

_DEEPEST = 100
_WIDEST = 1000
"""Columns, and repeated rows, that are taken: spreadsheets repeat empty ones by the million."""
_CODE = ("preformatted", "source_20_code", "source code", "code")
_LEFT_OUT = frozenset(
    """
    tracked-changes annotation annotation-end bookmark note-citation sequence-decls forms table-of-content
    alphabetical-index illustration-index object-index user-index bibliography shapes
    """.split()  # noqa: SIM905
)


class OpenDocumentReader(Reader):
    """OpenDocument (``.odt``, ``.ods``, ``.odp``): as if all tracked changes were accepted."""

    name = "odt"

    def read(self, file: File) -> Iterator[Converted]:
        package = Package(file.content)
        root = package.xml("content.xml")
        body = next((child for element in root if _name(element) == "body" for child in element), None)
        if body is None:
            raise DataError("is damaged: it has no body")
        writer = _Writer(_code_styles(root))
        metadata = properties_of(package)
        if _name(body) == "presentation":
            pages = [page for page in body if _name(page) == "page"]
            text = f"\n\n{PAGE_END}\n\n".join(joined(writer.slide(page)) for page in pages)
            metadata["pages"] = len(pages)
        else:
            text = joined(writer.blocks(body))
        title = next((line[2:] for line in text.splitlines() if line.startswith("# ")), "")
        yield Converted(text, {"title": title} | metadata if title else metadata)


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _get(element: Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _code_styles(root: Element) -> set[str]:
    """Names of the styles derived from a style for code."""
    return {
        _get(style, "name")
        for style in root.iter()
        if _name(style) == "style" and _get(style, "parent-style-name").lower().startswith(_CODE)
    }


def _rows_of(table: Element) -> Iterator[Element]:
    """Rows of the table itself, not of those inside of its cells."""
    for element in table:
        if _name(element) == "table-row":
            yield element
        elif _name(element) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows_of(element)


class _Writer:
    def __init__(self, code: set[str]) -> None:
        self._code = code

    def blocks(self, parent: Element, depth: int = 0) -> list[str]:
        """The blocks of an element."""
        blocks: list[str] = []
        code: list[str] = []
        for element in parent if depth < _DEEPEST else ():
            name, style = _name(element), _get(element, "style-name")
            if name == "p" and (style in self._code or style.lower().startswith(_CODE)):
                code.append(self._inline(element))
                continue
            if code:
                blocks.append(fence("\n".join(code)))
                code = []
            if name == "p":
                blocks += [paragraph(self._inline(element)), *self._frames(element, depth)]
            elif name == "h":
                level = _get(element, "outline-level")
                is_title = style == "Title"
                blocks.append(heading(1 if is_title or not level.isdecimal() else int(level), self._inline(element)))
            elif name == "list":
                blocks.append(self._list(element, depth))
            elif name == "table":
                rows = self._rows(element, depth)
                blocks += [
                    heading(2, _get(element, "name")) if _name(parent) == "spreadsheet" and rows else "",
                    table(rows),
                ]
            elif name not in _LEFT_OUT:
                blocks += self.blocks(element, depth + 1)
        if code:
            blocks.append(fence("\n".join(code)))
        return [block for block in blocks if block.strip()]

    def slide(self, page: Element) -> list[str]:
        """A slide: its title as heading, then the rest."""
        title: list[str] = []
        rest: list[str] = []
        for frame in page:
            blocks = self.blocks(frame)
            if _get(frame, "class") == "title" and not title:
                title = [heading(2, " ".join(" ".join(blocks).split()))]
            elif _get(frame, "class") not in ("footer", "date-time", "page-number", "header"):
                rest += blocks
        return [*title, *rest]

    def _list(self, element: Element, depth: int) -> str:
        entries = [entry for entry in element if _name(entry) in ("list-item", "list-header")]
        items = [item("-", self.blocks(entry, depth + 1)) for entry in entries]
        return "\n".join(text for text in items if text)

    def _rows(self, element: Element, depth: int) -> list[list[str]]:
        rows: list[list[str]] = []
        for row in _rows_of(element):
            cells: list[str] = []
            for cell in row:
                if _name(cell) not in ("table-cell", "covered-table-cell"):
                    continue
                text = " ".join(" ".join(self.blocks(cell, depth + 1)).split())
                repeated = _get(cell, "number-columns-repeated")
                n = int(repeated) if repeated.isdecimal() and len(repeated) < 6 else 1
                cells += [text] * min(n if text else min(n, 64), _WIDEST)
            rows.append(cells)
        return rows

    def _inline(self, element: Element, depth: int = 0) -> str:
        """The text of a paragraph; frames in it are blocks of their own."""
        parts = [element.text or ""]
        for child in element if depth < _DEEPEST else ():
            name = _name(child)
            if name == "s":
                n = _get(child, "c")
                parts.append(" " * min(int(n) if n.isdecimal() else 1, 200))
            elif name == "tab":
                parts.append("\t")
            elif name == "line-break":
                parts.append("\n")
            elif name == "note":
                parts.append(f" ({' '.join(' '.join(self.blocks(child)).split())})")
            elif name not in ("frame", "custom-shape", *_LEFT_OUT):
                parts.append(self._inline(child, depth + 1))
            parts.append(child.tail or "")
        return "".join(parts)

    def _frames(self, element: Element, depth: int) -> list[str]:
        """Text boxes and descriptions of pictures that hang on a paragraph."""
        blocks: list[str] = []
        for frame in element.iter():
            if _name(frame) == "text-box":
                blocks += self.blocks(frame, depth + 1)
            elif _name(frame) in ("title", "desc"):
                blocks.append(paragraph(frame.text or ""))
        return blocks
