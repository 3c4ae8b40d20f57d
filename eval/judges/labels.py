"""Labels of answers by people."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from rag.corpus.readers import TABLES, format_of, iter_jsonl, iter_rows
from rag.errors import DataError

__all__ = ["read_labels"]

_WORDS = {
    **dict.fromkeys(("faithful", "supported", "true", "yes", "1"), True),
    **dict.fromkeys(("unfaithful", "unsupported", "not faithful", "not supported", "false", "no", "0"), False),
}


def read_labels(path: Path, *, query_ids: Container[str]) -> dict[str, bool]:
    """Read whether answers are faithful, by query id, from a table with columns ``query_id`` and ``label``. Labels are
    ``faithful`` or ``unfaithful``, ``true`` or ``false``, ``yes`` or ``no``, 1 or 0.

    Args:
        path: A file with one of the suffixes :data:`rag.corpus.readers.TABLES`; any other is read as JSONL.
        query_ids: Ids of the queries.

    Raises:
        DataError: The file is unreadable or empty, or a line (given by number) has an unknown query, an unknown label
            or the second label of a query.
    """
    labels: dict[str, bool] = {}
    for location, row in iter_rows(path) if format_of(path) in TABLES else iter_jsonl(path):
        for name in ("query_id", "label"):
            if row.get(name) is None:
                raise DataError(f"{location}: has no '{name}'; it needs query_id and label")
        id, said = str(row["query_id"]), row["label"]
        label = _WORDS.get(" ".join(str(said).lower().replace("_", " ").split()))
        if label is None:
            raise DataError(
                f"{location}: the label must be faithful or unfaithful (or true or false, 1 or 0), got {said!r}"
            )
        if id not in query_ids:
            raise DataError(f"{location}: no such query: '{id}'")
        if id in labels:
            raise DataError(f"{location}: query '{id}' is labeled twice")
        labels[id] = label
    if not labels:
        raise DataError(f"{path}: no labels")
    return labels
