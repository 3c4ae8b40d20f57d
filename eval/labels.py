"""Labels that people gave to answers."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from rag.corpus.readers import iter_jsonl, iter_lines
from rag.errors import DataError

__all__ = ["read_labels"]

_WORDS = {
    **dict.fromkeys(("faithful", "supported", "true", "yes", "1"), True),
    **dict.fromkeys(("unfaithful", "unsupported", "not faithful", "not supported", "false", "no", "0"), False),
}


def read_labels(path: Path, *, known: Container[str]) -> dict[str, bool]:
    """Whether an answer is faithful, by query id: of a JSONL file with ``query_id`` and ``label``, or of a CSV file
    with these columns. Labels are ``faithful`` or ``unfaithful``, ``true`` or ``false``, ``yes`` or ``no``, 1 or 0.

    Args:
        path: The file; ``.csv`` or anything else for JSONL.
        known: Ids of queries.

    Raises:
        DataError: Unreadable, no label at all, or a line that is wrong, with its number: no such query, no such label,
            or the query's second one.
    """
    found: dict[str, bool] = {}
    for where, row in _csv(path) if path.suffix.lower() == ".csv" else iter_jsonl(path):
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
            raise DataError(f"{where}: query '{id}' is labelled a second time")
        found[id] = label
    if not found:
        raise DataError(f"{path}: there are no labels")
    return found


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    where = str(path)

    def lines() -> Iterator[str]:
        nonlocal where
        for where, line in iter_lines(path, blank=True):  # noqa: B007 - the reader's own count lags behind
            yield line

    try:
        for row in csv.DictReader(lines(), strict=True):
            if None in row:
                raise DataError(f"{where}: has more columns than the first line")
            yield where, row
    except csv.Error as error:
        raise DataError(f"{where}: not CSV: {error}") from None
