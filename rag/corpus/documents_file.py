"""The Arrow file that documents are kept in."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rag.errors import DataError, did_you_mean
from rag.metadata import json_text, without_fields
from rag.remarks import Remarks
from rag.text.normal import is_blank
from rag.types import Document

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FORMER",
    "REMARKS",
    "ROWS",
    "corpus_schema",
    "documents_in",
    "joined",
    "made_of",
    "without_named_fields",
    "write_documents",
]

logger = logging.getLogger("rag.corpus")

ROWS = 2048
"""Rows per record batch: large enough to be cheap to write, small enough to bound memory while writing."""

_Row = tuple[str, str, str]
"""Id, text, and metadata as JSON."""

REMARKS = b"remarks"
"""Key of the remarks in the metadata of the file."""
FORMER = b"former_fields"
"""In the file's schema: kinds by name of metadata fields that only documents had that are there no more."""


def write_documents(
    documents: Iterable[Document],
    sink: Any,
    advance: Callable[[int], None] | None,
    refuse: Callable[[DataError], None] | None,
) -> Remarks:
    """Write documents as they come.

    Returns:
        A remark on those without a text.

    Raises:
        DataError: There is none, or one cannot be written and nothing takes the refusal.
    """
    import pyarrow as pa

    def write(rows: list[_Row]) -> None:
        columns = [
            pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), corpus_schema(), strict=True)
        ]
        writer.write_batch(pa.record_batch(columns, schema=corpus_schema()))
        if advance:
            advance(len(rows))

    seen: set[str] = set()
    empty: list[str] = []
    remarks = Remarks()
    with pa.ipc.new_file(sink, corpus_schema()) as writer:
        rows: list[_Row] = []
        for document in documents:
            try:
                rows.append(_row(document, seen))
            except DataError as error:
                if refuse is None:
                    raise
                refuse(error)
                continue
            seen.add(document.id)
            if is_blank(document.text):
                empty.append(document.id)
            if len(rows) == ROWS:
                write(rows)
                rows = []
        if rows:
            write(rows)
    if not seen:
        raise DataError("the corpus is empty: no document to index")
    if empty:
        message = (
            f"{len(empty)} of {len(seen)} documents have no text (such as {empty[0]}); they are kept, but nothing in "
            "them can match"
        )
        remarks.add("empty_texts", message, count=len(empty), total=len(seen), examples=empty)
        logger.warning("%s", message)
    return remarks


def corpus_schema(former: Mapping[str, Sequence[str]] | None = None) -> pa.Schema:
    """Columns of the file; ``former`` are kinds by name of the fields that documents had that are there no more."""
    import pyarrow as pa

    # Metadata is JSON: documents of one corpus need not agree on its fields or their types.
    columns = [("id", pa.string()), ("text", pa.large_string()), ("metadata", pa.string())]
    return pa.schema(columns, {FORMER: json.dumps(former, ensure_ascii=False).encode()} if former else None)


def joined(schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """One table; batches grown small by changes are put together, since reading goes batch by batch."""
    import pyarrow as pa

    joined: list[pa.RecordBatch] = []
    group: list[pa.RecordBatch] = []
    for batch in [*batches, None]:
        if group and (batch is None or sum(part.num_rows for part in group) + batch.num_rows > ROWS):
            joined += group if len(group) == 1 else pa.Table.from_batches(group).combine_chunks().to_batches()
            group = []
        if batch is not None and batch.num_rows:
            group.append(batch.replace_schema_metadata(schema.metadata))
    return pa.Table.from_batches(joined, schema=schema)


def without_named_fields(documents: Iterable[Document], names: Collection[str]) -> Iterator[Document]:
    """The documents without some fields of their metadata."""
    met: set[str] = set()
    seen: set[str] = set()
    for document in documents:
        given: Any = document
        if isinstance(given, Document):  # what is none is refused where it is written
            seen.update(given.metadata)
            given = Document(given.id, given.text, without_fields(given.metadata, names, met))
        yield given
    for name in sorted(set(names) - met):
        logger.warning("no document has the field '%s' that is to be left out%s", name, did_you_mean(name, seen))


def documents_in(table: Any) -> list[Document]:
    """The documents of a table or a record batch."""
    return made_of(*(table.column(name).to_pylist() for name in ("id", "text", "metadata")))


def made_of(ids: Sequence[str], texts: Sequence[str], metadata: Sequence[str]) -> list[Document]:
    """Documents from columns, of which the last is JSON."""
    return [
        Document(id, text, json.loads(about) if about != "{}" else {})
        for id, text, about in zip(ids, texts, metadata, strict=True)
    ]


def _row(document: Any, seen: set[str]) -> _Row:
    """What is written of a document.

    Raises:
        DataError: It is none, or something of it cannot be written.
    """
    if not isinstance(document, Document):
        raise DataError(f"expected a rag.Document, got {type(document).__name__}: {document!r:.80}")
    if not isinstance(document.id, str) or not document.id:
        raise DataError(f"a document's id must be a non-empty string, got {document.id!r}")
    if not isinstance(document.text, str):
        raise DataError(f"document '{document.id}': its text must be a string, got {type(document.text).__name__}")
    if document.id in seen:
        raise DataError(f"two documents have the id '{document.id}': ids must be unique in a corpus")
    metadata = json_text(document.metadata, document.id)
    row = (document.id, document.text, metadata)
    try:
        for text in row:
            text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"a document holds text that is not valid Unicode (a lone surrogate): {error}") from None
    return row
