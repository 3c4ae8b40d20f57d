"""The reader of PDF files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rag.errors import DataError, MissingExtraError, first_line
from rag.formats.base import Converted, File, Reader
from rag.formats.pdf.blocks import markdown_of
from rag.formats.pdf.furniture import furniture_of
from rag.formats.pdf.headings import Entry, Found, by_outline, by_size, split_run_in
from rag.formats.pdf.lines import Line, lines_of

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

__all__ = ["PDFReader"]

_JUNK_TITLE = re.compile(
    r"^(?:untitled|microsoft \w+ - .*|.*\.(?:docx?|dvi|tex|indd|qxd|pptx?|pdf|rtf|xlsx?)|slide 1|)$", re.IGNORECASE
)


class PDFReader(Reader):
    """PDF: text by page in reading order; words cut by lines are joined, headers, footers and page numbers are gone."""

    name = "pdf"
    version = "2"
    libraries = ("pypdfium2",)

    def read(self, file: File) -> Iterator[Converted]:
        document = _opened(file.content)
        try:
            yield _converted(document)
        finally:
            document.close()


def _opened(content: bytes) -> PdfDocument:
    try:
        import pypdfium2
    except ImportError:
        raise MissingExtraError("reading PDF", package="pypdfium2", extra="documents") from None
    try:
        return pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        message = str(error).lower()
        if "password" in message or "security" in message:
            raise DataError("is encrypted, and opens with a password only") from None
        raise DataError(f"is not a PDF, or is damaged: {first_line(error)}") from None


def _converted(document: PdfDocument) -> Converted:
    import pypdfium2

    pages: list[list[Line]] = []
    counts = {"pages_without_text": 0, "pages_unreadable": 0, "letters_unmapped": 0}
    for number in range(len(document)):
        try:
            page = document[number]
        except pypdfium2.PdfiumError:
            counts["pages_unreadable"] += 1
            pages.append([])
            continue
        try:
            lines_here = lines_of(page)
        finally:
            page.close()
        counts["pages_without_text"] += lines_here.only_images
        counts["letters_unmapped"] += lines_here.unmapped
        pages.append([] if lines_here.unmapped else lines_here.lines)
    if not pages or counts["pages_unreadable"] == len(pages):
        raise DataError("is damaged: no page of it can be read")
    if counts["pages_without_text"] == len(pages):
        raise DataError(f"has no text: its {len(pages)} pages are images (scanned?)")
    pages = [
        [line for at, line in enumerate(lines) if at not in removed]
        for lines, removed in zip(pages, furniture_of(pages), strict=True)
    ]
    outline = _outline(document)
    pages = split_run_in(pages, outline)
    headings = by_outline(pages, outline)
    if sum(map(len, headings)) < 0.5 * len(outline) or not outline:
        headings = by_size(pages)
    metadata = _about(document) | {"pages": len(pages)}
    if "title" not in metadata and (title := _title(pages, headings)):
        metadata["title"] = title
    return Converted(markdown_of(pages, headings), metadata, counts={code: n for code, n in counts.items() if n})


def _title(pages: Sequence[Sequence[Line]], headings: Sequence[Mapping[int, Found]]) -> str:
    """The first heading of the first level on the first pages; empty for none."""
    for lines, here in list(zip(pages, headings, strict=True))[:3]:
        for at, heading in sorted(here.items()):
            if heading.level == 1:
                return " ".join(line.text.strip() for line in lines[at : at + heading.n_lines])
    return ""


def _outline(document: PdfDocument) -> list[Entry]:
    """The outline. What is damaged in it is left out: it is a help only."""
    import pypdfium2

    entries = []
    try:
        for bookmark in document.get_toc(max_depth=6):
            target = bookmark.get_dest()
            page_index = target.get_index() if target is not None else None
            if target is not None and page_index is not None and page_index >= 0:
                _, view = target.get_view()
                y = view[1] if len(view) == 3 else None
                entries.append(Entry(bookmark.level + 1, page_index, bookmark.get_title(), y))
    except (pypdfium2.PdfiumError, ValueError, RecursionError):
        pass
    return entries


def _about(document: PdfDocument) -> dict[str, Any]:
    import pypdfium2

    try:
        values = document.get_metadata_dict(skip_empty=True)
    except (pypdfium2.PdfiumError, ValueError):
        return {}
    metadata: dict[str, Any] = {}
    title = " ".join(values.get("Title", "").replace("\x00", "").split())
    if title and not _JUNK_TITLE.match(title):
        metadata["title"] = title
    if author := " ".join(values.get("Author", "").replace("\x00", "").split()):
        metadata["author"] = author
    written = re.match(r"(?:D:)?(\d{4})(\d\d)(\d\d)", values.get("ModDate") or values.get("CreationDate") or "")
    if written and "01" <= written[2] <= "12" and "01" <= written[3] <= "31":
        metadata["date"] = "-".join(written.groups())
    return metadata
