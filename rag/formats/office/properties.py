"""Metadata of office documents: title, author, date, language."""

from __future__ import annotations

import re
from typing import Any

from rag.errors import DataError
from rag.formats.packed import Package

__all__ = ["properties_of"]

_FIELDS = {
    "title": "title",
    "creator": "author",
    "initial-creator": "author",
    "modified": "date",
    "date": "date",
    "language": "language",
}


def properties_of(package: Package) -> dict[str, Any]:
    """Fields of ``docProps/core.xml`` (Microsoft) or ``meta.xml`` (OpenDocument); damaged ones are as none."""
    properties: dict[str, Any] = {}
    for name in ("docProps/core.xml", "meta.xml"):
        try:
            root = package.maybe_xml(name)
        except DataError:
            continue
        for element in root.iter() if root is not None else ():
            field = _FIELDS.get(element.tag.rpartition("}")[2])
            value = " ".join((element.text or "").split())
            if field and value and field not in properties:
                properties[field] = value[:10] if field == "date" and re.match(r"\d{4}-\d\d-\d\d", value) else value
    return properties
