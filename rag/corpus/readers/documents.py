"""Documents from rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from rag.conversation import render, turns_of
from rag.corpus.readers.delimited import other_separator
from rag.corpus.readers.reading import Reading
from rag.corpus.readers.rows import lifted, row_id
from rag.errors import DataError
from rag.types import Document

__all__ = ["ID_FIELDS", "TEXT_FIELDS", "Fields", "documents_of"]

ID_FIELDS = ("_id", "id", "doc_id", "docid")
TEXT_FIELDS = ("text", "contents", "content", "body")


_NAMED = 30
"""Fields of a row that a message names."""


class Fields(NamedTuple):
    """Column names for id, text and title; None takes the usual names. A dotted name is that of a nested field."""

    id: str | None = None
    text: str | None = None
    title: str | None = None


def documents_of(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    id_field: str | None,
    text_field: str | None,
    title_field: str | None = None,
    reading: Reading | None = None,
) -> Iterator[Document]:
    """The documents of (where, row) pairs; see :func:`rag.corpus.read_documents`."""
    reading = reading or Reading()
    requested = Fields(id_field, text_field, title_field)
    columns: Fields | None = None
    for location, row in lifted(rows, requested):
        reading.where = location
        try:
            columns = columns or _columns(row, requested, location)
            document = _document(row, columns, location, reading)
        except DataError as error:
            reading.fail(error)
        else:
            reading.n_read += 1
            yield document


def _columns(row: Mapping[str, Any], requested: Fields, location: str) -> Fields:
    id = _column(row, requested.id, ID_FIELDS, location, "id")
    spoken = requested.text is None and row.get("turns") and not any(name in row for name in TEXT_FIELDS)
    text = "text" if spoken else _column(row, requested.text, TEXT_FIELDS, location, "text")
    if requested.title is not None and requested.title not in row:
        raise DataError(f"{location}: no title field '{requested.title}'; it has: {_names(row)}")
    return Fields(id, text, requested.title)


def _column(row: Mapping[str, Any], requested: str | None, usual: tuple[str, ...], location: str, role: str) -> str:
    for name in (requested,) if requested else usual:
        if name in row:
            return name
    tried = requested or " or ".join(usual)
    has = _names(row) + other_separator(row)
    raise DataError(f"{location}: no {role} field '{tried}' (--{role}-field names another); it has: {has}")


def _document(row: Mapping[str, Any], columns: Fields, location: str, reading: Reading) -> Document:
    id_column, text_column, title_column = str(columns.id), str(columns.text), columns.title
    id = row_id(row, id_column, location)
    text = row.get(text_column)
    if text is None and row.get("turns"):
        try:
            text = render(turns_of(row["turns"]))
        except DataError as error:
            raise DataError(f"{location}: {error}") from None
    if not isinstance(text, str):
        if text is not None or text_column not in row:
            got = "is missing" if text_column not in row else f"must be a string, got {text!r:.60}"
            nested = text.items() if isinstance(text, Mapping) else ()
            inside = next((key for key, value in nested if isinstance(value, str)), None)
            hint = f" (a field inside it is named with a dot: {text_column}.{inside})" if inside else ""
            raise DataError(f"{location}: '{text_column}' {got}{hint}")
        text = ""
    metadata = {k: v for k, v in row.items() if k not in (id_column, text_column, "metadata") and v not in (None, "")}
    own = _own_metadata(row.get("metadata")) if "metadata" not in (id_column, text_column) else {}
    for name in own.keys() & metadata.keys():
        if own[name] != metadata[name]:
            reading.hide(name, location)
    metadata |= own
    if title_column is not None and title_column in metadata:
        metadata["title"] = metadata.pop(title_column)
    title = metadata.get("title")
    converted = "format" in metadata and "path" in metadata  # by `rag convert`: the text is as its reader wrote it
    if isinstance(title, str) and title and not converted:
        text = f"{title}\n{text}" if text else title
    return Document(id, text, metadata)


def _own_metadata(value: Any) -> dict[str, Any]:
    """Metadata in a column ``metadata``: an object, the JSON text of one, or another value under that name."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            parsed = None
        value = parsed if isinstance(parsed, dict) else value
    if isinstance(value, Mapping):
        return dict(value)
    return {} if value in (None, "") else {"metadata": value}


def _names(row: Mapping[str, Any]) -> str:
    """The fields of a row, as many as can be read."""
    more = f", and {len(row) - _NAMED:,} more" if len(row) > _NAMED else ""
    return ", ".join(map(str, list(row)[:_NAMED])) + more
