"""Labels that people gave to answers."""

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


def read_labels(path: Path, *, known: Container[str]) -> dict[str, bool]:
    """Whether an answer is faithful, by query id: of a table with columns ``query_id`` and ``label``. Labels
    are ``faithful`` or ``unfaithful``, ``true`` or ``false``, ``yes`` or ``no``, 1 or 0.

    Args:
        path: A file with one of the suffixes :data:`rag.corpus.readers.TABLES`; any other is read as JSONL.
        known: Ids of queries.

    Raises:
        DataError: Unreadable, no label at all, or a line that is wrong, with its number: no such query, no such label,
            or the query's second one.
    """
    found: dict[str, bool] = {}
    for where, row in iter_rows(path) if format_of(path) in TABLES else iter_jsonl(path):
        for name in ("query_id", "label"):
            if row.get(name) is None:
                raise DataError(f"{where}: has no '{name}'; it needs query_id and label")
        id, said = str(row["query_id"]), row["label"]
        label = _WORDS.get(" ".join(str(said).lower().replace("_", " ").split()))
        if label is None:
            raise DataError(
                f"{where}: the label must be faithful or unfaithful (or true or false, 1 or 0), got {said!r}"
            )
        if id not in known:
            raise DataError(f"{where}: there is no query '{id}'")
        if id in found:
            raise DataError(f"{where}: query '{id}' is labeled a second time")
        found[id] = label
    if not found:
        raise DataError(f"{path}: there are no labels")
    return found
