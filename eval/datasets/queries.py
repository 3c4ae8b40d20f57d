"""Reading queries from the rows of any table."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rag.conversation import render, turns_of
from rag.corpus.readers import iter_jsonl, row_id
from rag.errors import DataError
from rag.types import Query

__all__ = ["query_of", "read_queries", "unique"]


def read_queries(path: Path) -> list[Query]:
    """Read queries from JSONL with ``_id``, ``text`` or the ``turns`` of a conversation, and optional ``metadata``.

    Raises:
        DataError: A line is malformed, the first has no text, two queries have the same id, or there are none.
    """

    def rows() -> Iterator[tuple[str, Query]]:
        for row_number, (location, row) in enumerate(iter_jsonl(path)):
            id = row_id(row, "_id" if "_id" in row else "id", location)
            if not row_number and "text" not in row and "turns" not in row:  # the field has another name in all rows
                raise DataError(f"{location}: query '{id}' has no field 'text' (its fields: {', '.join(row)})")
            yield location, query_of(row, id, location, others=())

    return list(unique(rows(), str(path)))


def query_of(
    row: Mapping[str, Any], id: str, location: str, *, text: str = "text", others: Collection[str] = ()
) -> Query:
    """Make a query from a row.

    Args:
        row: A mapping with a text or the ``turns`` of a conversation, and optionally an object ``metadata``. A query
            with an empty or missing text finds nothing.
        id: Id of the query.
        location: File and row, for messages.
        text: Name of the text column.
        others: Further columns that become metadata, unless empty.

    Raises:
        DataError: A value cannot be used.
    """
    try:
        turns = turns_of(row["turns"]) if row.get("turns") else ()
    except DataError as error:
        raise DataError(f"{location}: query '{id}': {error}") from None
    asked = row.get(text, render(turns))
    if asked is None:
        asked = ""
    if not isinstance(asked, str):
        raise DataError(f"{location}: query '{id}': its '{text}' must be a text, got {asked!r:.60}")
    try:
        json.dumps(dict(row), ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{location}: query '{id!a}' holds a lone surrogate, which is not text") from None
    metadata = {name: row[name] for name in others if row.get(name) not in (None, "")}
    if isinstance(row.get("metadata"), dict):
        metadata |= row["metadata"]
    return Query(id, asked, metadata, turns=turns)


def unique(queries: Iterable[tuple[str, Query]], source: str) -> Iterator[Query]:
    """Yield queries while checking that each id occurs once.

    Args:
        queries: (location, query) pairs.
        source: Name of the source, for messages.

    Raises:
        DataError: Two queries have the same id, or there are none.
    """
    seen: set[str] = set()
    for location, query in queries:
        if query.id in seen:
            raise DataError(f"{location}: two queries have the id '{query.id}'")
        seen.add(query.id)
        yield query
    if not seen:
        raise DataError(f"{source}: no queries")
