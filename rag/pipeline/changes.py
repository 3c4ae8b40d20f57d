"""Plan updates: compare given documents with the indexed ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rag.conditions import Condition
from rag.corpus.corpus import Corpus
from rag.corpus.kinds import other_kinds
from rag.errors import DataError
from rag.remarks import MAX_EXAMPLES, Remark

__all__ = ["COMPACT_AT", "Changes", "Plan", "check_plan", "plan_additions", "plan_deletion"]

COMPACT_AT = 0.2
"""Fraction of passages of deleted documents above which everything is rewritten without them."""

_BLOCK = 2048


@dataclass(frozen=True)
class Changes:
    """Counts and remarks of an update.

    Args:
        added: Number of documents with new ids.
        updated: Number of documents whose text or metadata changed.
        skipped: Number of documents that were indexed unchanged.
        deleted: Number of documents removed.
        unknown: Ids to delete that were not indexed.
        compacted: Whether everything was rewritten without deleted documents.
        stale: What of the pipeline was fitted on documents too different from those it has now, in words; empty for
            nothing.
        moved: Files that were found elsewhere, with the same text: they keep their id.
        deleted_ids: Ids of the first ten documents removed.
        relabeled: How many of the updated ones have other metadata and the same text: nothing is embedded again.
        remarks: What was left out of the documents given, and of the index; what is odd about the documents, or about
            the filter that chose them.
    """

    added: int = 0
    updated: int = 0
    skipped: int = 0
    deleted: int = 0
    unknown: tuple[str, ...] = ()
    compacted: bool = False
    stale: str = ""
    moved: int = 0
    deleted_ids: tuple[str, ...] = ()
    relabeled: int = 0
    remarks: tuple[Remark, ...] = ()


@dataclass
class Plan:
    """The changes to make.

    Args:
        given: The given documents; None when documents are only deleted.
        append: Rows of the given documents to append.
        dead: Positions of documents to delete.
        metadata: New metadata by the position of a document that stays.
    """

    given: Corpus | None = None
    append: list[int] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    metadata: dict[int, Any] = field(default_factory=dict)


def plan_additions(old: Corpus, new: Corpus) -> tuple[Plan, Changes, list[int]]:
    """Plan the addition of documents; returns the plan, the counts, and positions of documents with a given id."""
    plan = Plan(new)
    existing: list[int] = []
    added = skipped = 0
    for first in range(0, len(new), _BLOCK):
        block = new.documents(np.arange(first, min(first + _BLOCK, len(new))))
        positions = [old.position(document.id) for document in block]
        here = [position for position in positions if position is not None]
        before = dict(zip(here, old.documents(here), strict=True))
        existing += here
        for row, (document, position) in enumerate(zip(block, positions, strict=True), first):
            if position is None:
                added += 1
                plan.append.append(row)
            elif document.text != before[position].text:
                plan.append.append(row)
                plan.dead.append(position)
            elif not _same_metadata(document.metadata, before[position].metadata):
                plan.metadata[position] = document.metadata
            else:
                skipped += 1
    changes = Changes(added=added, updated=len(new) - added - skipped, skipped=skipped, relabeled=len(plan.metadata))
    return plan, changes, existing


def plan_deletion(corpus: Corpus, ids: Iterable[str] | None, condition: Condition | None) -> tuple[Plan, Changes]:
    """Plan the deletion of documents, by id or by a condition; returns the plan and the counts.

    Raises:
        DataError: Both or neither are given, or the condition names a field that no document has.
    """
    if (ids is None) == (condition is None):
        raise DataError(f"delete takes either ids or a filter, got {'neither' if ids is None else 'both'}")
    if condition is not None:
        mask = corpus.fields.mask(condition)
        dead = np.flatnonzero(mask if corpus.alive is None else mask & corpus.alive).tolist()
        return Plan(dead=dead), replace(_deleted(corpus, dead), remarks=corpus.fields.remarks(condition))
    if isinstance(ids, str):
        raise DataError(f"delete takes a sequence of ids, got the text {ids!r}")
    positions = {id: corpus.position(id) for id in ids or ()}
    dead = [position for position in positions.values() if position is not None]
    unknown = tuple(id for id, position in positions.items() if position is None)
    return Plan(dead=dead), replace(_deleted(corpus, dead), unknown=unknown)


def _deleted(corpus: Corpus, dead: Sequence[int]) -> Changes:
    return Changes(deleted=len(dead), deleted_ids=tuple(corpus.ids(np.asarray(dead[:MAX_EXAMPLES], dtype=np.int64))))


def check_plan(corpus: Corpus, plan: Plan) -> list[Remark]:
    """Remark on metadata of another type than before.

    Raises:
        DataError: No document would be left.
    """
    if not plan.append and corpus.n_alive == len(plan.dead):
        raise DataError("no document would be left: remove the folder, or index other documents")
    if plan.given is None or not (plan.append or plan.metadata):
        return []
    alive = np.ones(len(corpus), dtype=bool) if corpus.alive is None else corpus.alive.copy()
    alive[plan.dead] = False
    alive[list(plan.metadata)] = False
    relabeled = {row for row, id in enumerate(plan.given.ids()) if corpus.position(id) in plan.metadata}
    rows = np.array(sorted(relabeled.union(plan.append)), dtype=np.int64)
    return other_kinds(corpus, np.flatnonzero(alive), plan.given, rows)


def _same_metadata(first: Any, second: Any) -> bool:
    """Whether two metadata values are equal, with true distinct from 1, and NaN equal to NaN."""
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
