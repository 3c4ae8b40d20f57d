"""Books in EPUB."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from rag.errors import DataError
from rag.formats.base import Converted, File, Reader
from rag.formats.decode import decoded
from rag.formats.html.page import declared_encoding
from rag.formats.html.reader import from_html
from rag.formats.markdown import joined
from rag.formats.packed import Package

__all__ = ["EPUBReader"]

_FIELDS = {"title": "title", "creator": "author", "language": "language", "date": "date"}


class EPUBReader(Reader):
    """EPUB: the chapters in the order of the book."""

    name = "epub"
    libraries = ("selectolax",)

    def read(self, file: File) -> Iterator[Converted]:
        package = Package(file.content)
        container = package.xml("META-INF/container.xml")
        path = next((entry.get("full-path") or "" for entry in container.iter() if _name(entry.tag) == "rootfile"), "")
        if not path:
            raise DataError("is damaged: it does not name its content file")
        book = package.xml(path)
        metadata: dict[str, Any] = {}
        files: dict[str, str] = {}
        chapters: list[str] = []
        for entry in book.iter():
            name = _name(entry.tag)
            if name in _FIELDS and entry.text and _FIELDS[name] not in metadata:
                metadata[_FIELDS[name]] = " ".join(entry.text.split())
            elif (
                name == "item"
                and "html" in (entry.get("media-type") or "")
                and "nav" not in (entry.get("properties") or "")
            ):
                target = unquote((entry.get("href") or "").partition("#")[0])
                files[entry.get("id") or ""] = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            elif name == "itemref":
                chapters.append(entry.get("idref") or "")
        texts = []
        missing = deep = 0
        for chapter in chapters:
            if chapter not in files:
                continue
            if files[chapter] not in package.zip.NameToInfo:
                missing += 1
                continue
            content = package.read(files[chapter])
            text, _ = decoded(content, declared=declared_encoding(content))
            converted = from_html(text, whole=True)
            texts.append(converted.text)
            deep += converted.counts.get("markup_deep", 0)
        counts = {code: n for code, n in (("parts_skipped", missing), ("markup_deep", deep)) if n}
        yield Converted(joined(texts), metadata, counts=counts)


def _name(tag: object) -> str:
    return str(tag).rpartition("}")[2]
