"""What an evaluation says of the language models that it asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rag.calls import Calls, too_many_failed
from rag.costs import Ledger

__all__ = ["called", "calls_of"]


def calls_of(fitting: Ledger, searching: Ledger, n_queries: int, writing: str | None) -> list[Calls]:
    """All that was asked for.

    Args:
        fitting: What fitting has spent.
        searching: What searching has. Queries whose lists came from the store count as asked for and answered: no list
            is kept that lacks a text.
        n_queries: How many were searched for.
        writing: The stage that writes answers, whose lists are never kept, and which is not asked where nothing was
            found.
    """
    found = [replace(one, stage=f"fitting {one.stage}") for one in fitting.calls.values()]
    for one in searching.calls.values():
        asked = one.asked if one.stage == writing else max(one.asked, n_queries)
        found += [replace(one, stage=f"searching {one.stage}", asked=asked)]
    return found


def called(calls: Sequence[Calls], max_failed: float) -> dict[str, Any]:
    """The entries of ``metrics.json``.

    Args:
        calls: Of an evaluation.
        max_failed: Share that may fail.

    Returns:
        ``calls``; ``incomplete``, why too many failed, or None.
    """
    return {"calls": [one.as_dict() for one in calls], "incomplete": too_many_failed(calls, max_failed)}
