"""Validate the queries of a caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from rag.conditions import Condition
from rag.errors import ConfigError, DataError
from rag.text.normal import is_blank
from rag.types import Query

__all__ = ["check_top_k", "read_queries"]


def read_queries(query: Any, filter: Condition | None) -> tuple[list[Query], bool]:
    """The queries of a search, and whether it was a single query.

    Args:
        query: A text or a :class:`~rag.Query`, or a sequence of them.
        filter: Condition for queries without one of their own.

    Raises:
        DataError: A query has no text, or an object is not a query.
    """
    if isinstance(query, (Mapping, Set, bytes, bytearray, memoryview)):
        raise _no_query(query)
    single = isinstance(query, (str, Query)) or not isinstance(query, Iterable)
    values: Sequence[Any] = [query] if single else query
    queries = [_read(value, index) for index, value in enumerate(values)]
    if filter is not None:
        queries = [query if query.filter is not None else replace(query, filter=filter) for query in queries]
    return queries, single


def check_top_k(top_k: Any) -> None:
    """Refuse a ``top_k`` that is neither None nor a whole number of at least 1.

    Raises:
        ConfigError: It is one.
    """
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise ConfigError(f"must be a whole number of at least 1, got {top_k!r}", parameter="top_k")


def _read(value: Any, index: int) -> Query:
    query = Query(str(index), value) if isinstance(value, str) else value
    if not isinstance(query, Query):
        raise _no_query(value)
    if not isinstance(query.text, str) or is_blank(query.text):
        raise DataError(f"query '{query.id}' has no text")
    try:
        query.text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"query '{query.id}' holds a lone surrogate, which is not text") from None
    return query


def _no_query(value: Any) -> DataError:
    hint = ""
    if isinstance(value, Mapping):
        names = [repr(name) for name, inner in value.items() if isinstance(inner, str)]
        hint = f"; did you mean the text under {names[0]}?" if names else ""
    elif isinstance(value, (bytes, bytearray, memoryview)):
        hint = ": decode it first"
    elif isinstance(value, Set):
        hint = ": a set has no order, give a list"
    return DataError(f"a query is a text or a rag.Query, got {type(value).__name__}{hint}")
