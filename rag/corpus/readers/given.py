"""Read Python objects: own and LangChain documents, dictionaries, data frames, tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import chain
from typing import Any

from rag.corpus.readers.documents import ID_FIELDS, Fields, documents_of
from rag.corpus.readers.reading import Reading
from rag.errors import DataError
from rag.metadata import json_text
from rag.types import Document

__all__ = ["content_id", "documents_given", "is_table"]


def is_table(source: Any) -> bool:
    """Whether an object is a table of Arrow, pandas, polars, DuckDB, ... or of ``datasets``."""
    return hasattr(source, "__arrow_c_stream__") or (hasattr(source, "features") and hasattr(source, "column_names"))


def documents_given(source: Any, fields: Fields, reading: Reading) -> Iterator[Document]:
    """Documents of a table, or of an iterable of documents, of LangChain documents, and of dictionaries.

    What has no id gets one that is made from its text: the same text has the same id wherever it stands.

    Args:
        source: The table or iterable.
        fields: Names of the columns for id, text and title.
        reading: The account of what was left out.

    Raises:
        DataError: Something in it is none of these.
    """
    if hasattr(source, "features") and hasattr(source, "column_names"):  # datasets.Dataset, without importing it
        return _of_rows(((f"row {n}", row) for n, row in enumerate(source)), fields, reading)
    if is_table(source):
        return _of_rows(_arrow_rows(source), fields, reading)
    return _of_objects(source, fields, reading)


def content_id(text: str, metadata: Mapping[str, Any] | None = None) -> str:
    """An id made of a text, and of its metadata where texts alone are not enough to tell documents apart.

    Example:
        >>> content_id("Cats sleep all day.")
        'text-990fad53e0f03989'
    """
    content = text if metadata is None else f"{text}\0{json_text(dict(sorted(metadata.items())), 'without an id')}"
    return f"text-{sha256(content.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _of_objects(source: Iterable[Any], fields: Fields, reading: Reading) -> Iterator[Document]:
    objects = iter(source)
    seen: set[str] = set()
    copies: list[str] = []
    for n, item in enumerate(objects):
        if isinstance(item, Mapping):  # this and all others are rows
            rows = ((f"row {position}", row) for position, row in enumerate(chain([item], objects), n))
            yield from _of_rows(_mappings(rows), fields, reading)
            break
        if hasattr(item, "page_content") and hasattr(item, "metadata"):
            document = Document(getattr(item, "id", None) or "", item.page_content, dict(item.metadata))
            named = _named(document, seen)
            if named is None:
                copies.append(f"document {n}")
                continue
            item = named
        reading.n_read += 1
        yield item
    _note(copies, reading)


def _of_rows(rows: Iterator[tuple[str, Mapping[str, Any]]], fields: Fields, reading: Reading) -> Iterator[Document]:
    first = next(rows, None)
    if first is None:
        return
    rows = chain([first], rows)
    if fields.id is not None or any(name in first[1] for name in ID_FIELDS):
        yield from documents_of(rows, *fields, reading)
        return
    seen: set[str] = set()
    copies: list[str] = []
    for document in documents_of(
        ((location, {"id": location, **row}) for location, row in rows), "id", *fields[1:], reading
    ):
        named = _named(Document("", document.text, document.metadata), seen)
        if named is None:
            copies.append(reading.where)
            reading.n_read -= 1
        else:
            yield named
    _note(copies, reading)


def _named(document: Document, seen: set[str]) -> Document | None:
    """The document with an id, made of its content where it has none; None for one that was there, just so."""
    id = document.id
    if not id and isinstance(document.text, str):
        id = content_id(document.text)
        if id in seen:
            id = content_id(document.text, document.metadata)
            if id in seen:
                return None
        seen.add(content_id(document.text, document.metadata))
    seen.add(id)
    return Document(id, document.text, document.metadata)


def _note(copies: list[str], reading: Reading) -> None:
    if copies:
        message = f"{len(copies)} documents without an id are the same as one before, and were left out"
        reading.remarks.add("copies_left_out", message, count=len(copies), examples=copies)


def _mappings(rows: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for location, row in rows:
        if not isinstance(row, Mapping):
            raise DataError(f"{location}: expected a dictionary as those before, got {type(row).__name__}: {row!r:.60}")
        yield location, row


def _arrow_rows(source: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa

    n = 0
    try:
        batches = pa.RecordBatchReader.from_stream(source)
        for batch in batches:
            for row in batch.to_pylist():
                yield f"row {n}", {k: v for k, v in row.items() if not k.startswith("__index_level_")}
                n += 1
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"the {type(source).__name__} cannot be read as a table: {reason}") from None
