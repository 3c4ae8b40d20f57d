"""Counts of an evaluation's calls of language models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rag.calls import Calls, too_many_failed
from rag.costs import Ledger

__all__ = ["called", "calls_of"]


def calls_of(fitting: Ledger, searching: Ledger, n_queries: int, writing: str | None) -> list[Calls]:
    """All calls, of fitting and searching.

    Args:
        fitting: Ledger of fitting.
        searching: Ledger of searching. Queries with cached lists count as asked and answered: lists with missing texts
            are not cached.
        n_queries: Number of queries searched.
        writing: The stage that writes answers; its lists are never cached, and it asks nothing for queries without
            results.
    """
    calls = [replace(stage_calls, stage=f"fitting {stage_calls.stage}") for stage_calls in fitting.calls.values()]
    for stage_calls in searching.calls.values():
        asked = stage_calls.asked if stage_calls.stage == writing else max(stage_calls.asked, n_queries)
        calls += [replace(stage_calls, stage=f"searching {stage_calls.stage}", asked=asked)]
    return calls


def called(calls: Sequence[Calls], max_failed: float) -> dict[str, Any]:
    """The entries about calls in ``metrics.json``.

    Args:
        calls: Calls of an evaluation.
        max_failed: Share of calls that may fail.

    Returns:
        ``calls``; ``incomplete``, the reason when too many failed, or None.
    """
    return {"calls": [stage_calls.as_dict() for stage_calls in calls], "incomplete": too_many_failed(calls, max_failed)}
