"""Queries from rows of any table."""

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
    """Queries of a JSONL file with ``_id``, ``text`` or the ``turns`` of a conversation, and perhaps ``metadata``.

    Raises:
        DataError: A line is wrong, the first has no text, two queries have one id, or there are none.
    """

    def rows() -> Iterator[tuple[str, Query]]:
        for number, (where, row) in enumerate(iter_jsonl(path)):
            id = row_id(row, "_id" if "_id" in row else "id", where)
            if not number and "text" not in row and "turns" not in row:  # it is called otherwise, in all of them
                raise DataError(f"{where}: query '{id}' has no field 'text' (its fields: {', '.join(row)})")
            yield where, query_of(row, id, where, others=())

    return list(unique(rows(), str(path)))


def query_of(row: Mapping[str, Any], id: str, where: str, *, text: str = "text", others: Collection[str] = ()) -> Query:
    """The query in a row.

    Args:
        row: Has a text, or the ``turns`` of a conversation; perhaps an object ``metadata``. A query whose text is
            empty or missing finds nothing.
        id: What it is called.
        where: The row, for messages.
        text: The column with the text.
        others: Further columns that become metadata where they hold something.

    Raises:
        DataError: Something in it cannot be used.
    """
    try:
        turns = turns_of(row["turns"]) if row.get("turns") else ()
    except DataError as error:
        raise DataError(f"{where}: query '{id}': {error}") from None
    asked = row.get(text, render(turns))
    if asked is None:
        asked = ""
    if not isinstance(asked, str):
        raise DataError(f"{where}: query '{id}': its '{text}' must be a text, got {asked!r:.60}")
    try:
        json.dumps(dict(row), ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{where}: query '{id!a}' holds a lone surrogate, which is no text") from None
    metadata = {name: row[name] for name in others if row.get(name) not in (None, "")}
    if isinstance(row.get("metadata"), dict):
        metadata |= row["metadata"]
    return Query(id, asked, metadata, turns=turns)


def unique(queries: Iterable[tuple[str, Query]], source: str) -> Iterator[Query]:
    """The queries, each id once.

    Args:
        queries: (where, query) pairs.
        source: What to call them.

    Raises:
        DataError: Two have one id, or there are none.
    """
    seen: set[str] = set()
    for where, query in queries:
        if query.id in seen:
            raise DataError(f"{where}: two queries have the id '{query.id}'")
        seen.add(query.id)
        yield query
    if not seen:
        raise DataError(f"{source}: there are no queries")
