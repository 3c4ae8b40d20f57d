"""How many documents an update may delete."""

from __future__ import annotations

import re
from typing import Any

from rag.errors import ConfigError, DataError

__all__ = ["MAX_DELETES", "check_deletes", "parse_limit"]

MAX_DELETES = "20%"
"""Of the documents there are: more are seldom meant, and often mean that a source was read in part."""


def parse_limit(limit: Any, total: int) -> int | None:
    """A limit as a number of documents.

    Args:
        limit: A number of documents (5, "5"), a share of them (0.2, "20%"), or None for no limit.
        total: How many documents there are.

    Raises:
        ConfigError: It is none of these.

    Example:
        >>> parse_limit("50%", 30), parse_limit(0.1, 30), parse_limit(7, 30)
        (15, 3, 7)
    """
    if limit is None:
        return None
    share: float | None = None
    if isinstance(limit, str) and re.fullmatch(r"\s*\d+\s*", limit):
        limit = int(limit)
    elif isinstance(limit, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", limit)):
        share = float(match[1]) / 100
    elif isinstance(limit, float):
        share = limit
    if share is not None and 0 <= share <= 1:
        return int(share * total + 1e-9)
    if share is None and isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        return limit
    raise ConfigError(
        f"must be a number of documents such as 500, or a share such as 50% (in Python 0.5), got {limit!r}",
        parameter="max_deletes",
    )


def check_deletes(n_deleted: int, total: int, limit: Any) -> None:
    """Refuse to delete more documents than a limit allows.

    Args:
        n_deleted: Documents that would be deleted.
        total: How many there are.
        limit: As for :func:`parse_limit`.

    Raises:
        DataError: They are more.
    """
    allowed = parse_limit(limit, total)
    if allowed is not None and n_deleted > allowed:
        share = f"{100 * n_deleted / total:.0f}%"
        raise DataError(
            f"{n_deleted:,} of {total:,} documents ({share}) are missing from the source and would be "
            f"deleted, more than the {allowed:,} that max_deletes={limit} allows: nothing was changed. If "
            f"the source is "
            f"complete and they should go, use --max-deletes {n_deleted} (in Python max_deletes={n_deleted})"
        )
