"""Files of ranked lists in TREC's format: ``query Q0 document rank score tag``."""

from __future__ import annotations

import math
from collections.abc import Container
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from rag.corpus.readers.lines import iter_lines
from rag.errors import DataError

__all__ = ["read_run"]


def read_run(path: Path, *, literal_ids: Container[str] = ()) -> dict[str, list[tuple[str, float]]]:
    """Read documents with their scores by query.

    Documents are ordered as in trec_eval: by score, as float32, then by id, both descending; ranks are ignored.

    Args:
        path: The file.
        literal_ids: Ids that are taken literally. In others, percent-encoded white space, as written in run folders, is
            decoded.

    Raises:
        DataError: The file is unreadable or empty, or a line is malformed; the message names the line.
    """
    rows: dict[str, list[tuple[float, bytes]]] = {}
    seen: set[tuple[str, str]] = set()
    for location, line in iter_lines(path):
        fields = line.split()
        if len(fields) != 6:
            raise DataError(f"{location}: expected 6 columns (query Q0 document rank score tag), got {len(fields)}")
        query, _, document, _, score, _ = fields
        try:
            value = float(np.float32(score))
        except ValueError:
            raise DataError(f"{location}: the score must be a number, got '{score}'") from None
        if not math.isfinite(value):
            raise DataError(f"{location}: the score must be a finite float32, got '{score}'")
        if (query, document) in seen:
            raise DataError(f"{location}: document '{document}' is listed twice for query '{query}'")
        seen.add((query, document))
        rows.setdefault(_id(query, literal_ids), []).append((value, document.encode()))
    if not rows:
        raise DataError(f"{path}: is empty: no run")
    return {
        query: [(_id(document.decode(), literal_ids), value) for value, document in sorted(scored, reverse=True)]
        for query, scored in rows.items()
    }


def _id(token: str, literal_ids: Container[str]) -> str:
    """The id that a run folder has written as this token."""
    decoded = unquote(token)
    return decoded if token not in literal_ids and any(c.isspace() for c in decoded) else token
