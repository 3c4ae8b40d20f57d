"""PowerPoint presentations: each slide is a page."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.formats.base import PAGE_END, Converted, File, Reader
from rag.formats.markdown import heading, joined, paragraph, table
from rag.formats.office.properties import properties_of
from rag.formats.packed import Package

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["SlideReader"]

_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_SHOW = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CHROME = frozenset({"sldNum", "dt", "ftr", "hdr"})
"""Kinds of placeholders that stand on every slide."""


class SlideReader(Reader):
    """PowerPoint (``.pptx``): a slide is a page with its title as heading, lists, tables and the speaker's notes."""

    name = "pptx"

    def read(self, file: File) -> Iterator[Converted]:
        package = Package(file.content)
        slides = _in_order(package)
        texts = [_slide(package, name) for name in slides]
        metadata = {**properties_of(package), "pages": len(texts)}
        yield Converted(f"\n\n{PAGE_END}\n\n".join(texts), metadata)


def _in_order(package: Package) -> list[str]:
    """Names of the slides, as they are shown; hidden ones too."""
    show = package.xml("ppt/presentation.xml")
    targets = _targets(package, "ppt/presentation.xml")
    ids = [entry.get(_LINK, "") for entry in show.iter(f"{_SHOW}sldId")]
    return [targets[id] for id in ids if targets.get(id, "") in package.zip.NameToInfo]


def _targets(package: Package, name: str) -> dict[str, str]:
    """Targets of a file's links, by the id of the link."""
    folder, base = posixpath.split(name)
    root = package.maybe_xml(f"{folder}/_rels/{base}.rels")
    links = root if root is not None else ()
    return {
        link.get("Id", ""): posixpath.normpath(posixpath.join(folder, link.get("Target", ""))).lstrip("/")
        for link in links
        if link.get("TargetMode") != "External"
    }


def _slide(package: Package, name: str) -> str:
    root = package.xml(name)
    blocks: list[str] = []
    title = ""
    for shape in root.iter():
        if shape.tag == f"{_SHOW}sp":
            kind = next((mark.get("type", "body") for mark in shape.iter(f"{_SHOW}ph")), "")
            lines = _lines(shape)
            if kind in ("title", "ctrTitle") and not title:
                title = " ".join(text for _, text in lines)
            elif kind not in _CHROME:
                blocks.append(_text(lines, is_list=kind in ("body", "obj") and len(lines) > 1))
        elif shape.tag == f"{_DRAWING}tbl":
            blocks.append(
                table(
                    [
                        [" ".join(text for _, text in _lines(cell)) for cell in row.iter(f"{_DRAWING}tc")]
                        for row in shape.iter(f"{_DRAWING}tr")
                    ]
                )
            )
        elif shape.tag == f"{_SHOW}pic":
            drawing = next(shape.iter(f"{_SHOW}cNvPr"), None)
            blocks.append(paragraph(drawing.get("descr", "") if drawing is not None else ""))
    notes = next((target for target in _targets(package, name).values() if "/notesSlide" in target), "")
    if notes in package.zip.NameToInfo:
        shapes = package.xml(notes).iter(f"{_SHOW}sp")
        spoken = (shape for shape in shapes if any(mark.get("type") == "body" for mark in shape.iter(f"{_SHOW}ph")))
        blocks += [_text(_lines(shape), is_list=False) for shape in spoken]
    return joined([heading(2, title), *blocks])


def _lines(shape: Element) -> list[tuple[int, str]]:
    """Depth and text of the paragraphs in a shape."""
    lines = []
    for block in shape.iter(f"{_DRAWING}p"):
        properties = block.find(f"{_DRAWING}pPr")
        depth = properties.get("lvl", "0") if properties is not None else "0"
        parts = [
            "\n" if piece.tag == f"{_DRAWING}br" else piece.text or ""
            for piece in block.iter()
            if piece.tag in (f"{_DRAWING}t", f"{_DRAWING}br")
        ]
        if text := "".join(parts).strip():
            lines.append((int(depth) if depth.isdecimal() else 0, text))
    return lines


def _text(lines: list[tuple[int, str]], *, is_list: bool) -> str:
    if not is_list:
        return joined(paragraph(text) for _, text in lines)
    return "\n".join(f"{'  ' * min(depth, 8)}- {' '.join(text.split())}" for depth, text in lines)
