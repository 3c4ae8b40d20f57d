"""Keeping a pipeline current: the verbs of a fitted one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from rag.arguments import refuses_unknown
from rag.conditions import Condition
from rag.learning.training import Training
from rag.limits import MAX_DELETES
from rag.pipeline import updates
from rag.pipeline.base import PipelineBase
from rag.pipeline.changes import COMPACT_AT, Changes
from rag.progress import Progress, no_progress
from rag.store.store import Store

__all__ = ["UpdatablePipeline"]


class UpdatablePipeline(PipelineBase):
    """A pipeline whose documents may come, change and go."""

    @refuses_unknown
    def add(
        self,
        documents: Any,
        *,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
        drop_fields: Collection[str] = (),
    ) -> Changes:
        """Add documents, or replace those whose ids are known. What did not change is skipped.

        Either all of it happens or, when an error is raised, nothing. Not while another thread searches. A file of a
        folder that was indexed is known, whatever path leads to it.

        Args:
            documents: Anything :meth:`fit` takes.
            store: Where vectors of texts are found and kept.
            progress: Shows how far it is.
            compact_at: Rewrite everything without deleted documents when more than this fraction of the passages is
                theirs: until then they take room and some time in a search.
            drop_fields: Metadata fields to leave out, those of nested mappings with dots.

        Raises:
            DataError: The documents cannot be used.
        """
        return updates.add(
            self, documents, store=store, progress=progress, compact_at=compact_at, drop_fields=drop_fields
        )

    @refuses_unknown
    def delete(
        self,
        ids: Iterable[str] | None = None,
        *,
        filter: Condition | None = None,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
        dry_run: bool = False,
    ) -> Changes:
        """Remove documents by id, or all that pass a filter. See :meth:`add`.

        Args:
            ids: Those that are not there are reported in the result.
            filter: A condition on metadata instead, such as ``{"tenant": "A"}``: see :mod:`rag.conditions`.
            store: Where vectors of texts are found and kept.
            progress: Shows how far it is.
            compact_at: As for :meth:`add`.
            dry_run: Only count what would be done.

        Raises:
            DataError: No document would be left, or the filter names a field that no document has.
        """
        return updates.delete(self, ids, filter, store=store, progress=progress, compact_at=compact_at, dry_run=dry_run)

    @refuses_unknown
    def sync(
        self,
        documents: Any,
        *,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
        compact_at: float = COMPACT_AT,
        dry_run: bool = False,
        max_deletes: int | float | str | None = MAX_DELETES,
        drop_fields: Collection[str] = (),
    ) -> Changes:
        """Make it hold these documents and no others: adds, replaces and deletes what differs. See :meth:`add`.

        Args:
            documents: Anything :meth:`fit` takes.
            store: Where vectors of texts are found and kept.
            progress: Shows how far it is.
            compact_at: As for :meth:`add`.
            dry_run: Only count what would be done.
            max_deletes: Refuse to delete more documents: a number of them (500), a share of those there are (0.5,
                ``"50%"``), or None for no limit. The default is a fifth: more mostly means that a source was read in
                part.
            drop_fields: As for :meth:`add`.

        Raises:
            DataError: The documents cannot be used, or more would be deleted than may be.
        """
        return updates.sync(
            self,
            documents,
            store=store,
            progress=progress,
            compact_at=compact_at,
            dry_run=dry_run,
            max_deletes=max_deletes,
            drop_fields=drop_fields,
        )

    @refuses_unknown
    def add_qrels(self, judged: Training, *, weight: float = 1.0) -> int:
        """Have those parts that remember judged queries, such as ``query_memory``, remember more of them at once.

        Args:
            judged: Queries and their judgments, of documents by their ids.
            weight: What one of them counts beside one of the training judgments: less than 1 for clicks.

        Returns:
            How many judgments were new or changed.

        Raises:
            ConfigError: Nothing in the pipeline remembers any.
        """
        return updates.add_qrels(self, judged, weight)

    @refuses_unknown
    def compact(self, *, store: Store | str | Path | None = None, progress: Progress = no_progress) -> Changes:
        """Rewrite everything without the deleted documents."""
        return updates.compact(self, store=store, progress=progress)
