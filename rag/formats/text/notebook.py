"""Jupyter notebooks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from rag.errors import DataError
from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded
from rag.formats.markdown import fence, joined
from rag.formats.text.plain import with_plain_tables

__all__ = ["NotebookReader"]

_OUTPUT = 4000
"""Characters of a cell's output that are kept: what was printed, not what was calculated for hours."""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class NotebookReader(Reader):
    """Notebooks: text cells as they are, code in its language, outputs that are text."""

    name = "notebook"

    def read(self, file: File) -> Iterator[Converted]:
        try:
            book = json.loads(decoded(file.content, encoding=file.encoding or "utf-8")[0])
        except (ValueError, RecursionError) as error:
            raise DataError(f"is damaged: not JSON: {error}") from None
        if not isinstance(book, dict):
            raise DataError("is not a notebook")
        cells = book.get("cells")
        if cells is None and isinstance(book.get("worksheets"), list):  # format 3
            cells = [
                cell for sheet in book["worksheets"] if isinstance(sheet, dict) for cell in sheet.get("cells") or ()
            ]
        if not isinstance(cells, list):
            raise DataError("is not a notebook: it has no cells")
        notebook = _mapping(book.get("metadata"))
        language = next(
            (
                _text(part.get("name"))
                for key in ("language_info", "kernelspec")
                if isinstance(part := notebook.get(key), dict)
            ),
            "",
        )
        blocks: list[str] = []
        unread = 0
        for cell in cells:
            if not isinstance(cell, dict):
                unread += 1
                continue
            source = _text(cell.get("source", cell.get("input")))
            kind = cell.get("cell_type")
            if kind == "markdown":
                blocks.append(with_plain_tables(source))
            elif kind == "code":
                blocks.append(fence(source, language if re.fullmatch(r"[\w+-]+", language) else ""))
                blocks += [_output(output) for output in cell.get("outputs") or () if isinstance(output, dict)]
            elif kind == "heading":
                blocks.append(f"{'#' * int(cell.get('level') or 1)} {source}")
            elif kind == "raw":
                blocks.append(source)
            else:
                unread += 1
        text = joined(blocks)
        title = re.search(r"^# +(.+)$", text, re.MULTILINE)
        metadata = {"title": title[1].strip()} if title else {}
        yield Converted(text, metadata, counts={"cells_unread": unread} if unread else {})


def _output(output: dict[str, Any]) -> str:
    data = _mapping(output.get("data"))
    if markdown := _text(data.get("text/markdown")):
        return markdown[:_OUTPUT]
    text = _text(output.get("text")) or _text(data.get("text/plain"))
    return fence(_ESCAPES.sub("", text)[:_OUTPUT])


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""
