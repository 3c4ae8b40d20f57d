"""The update methods of a fitted pipeline."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from rag.arguments import refuses_unknown
from rag.conditions import Condition
from rag.learning.remembered import RememberedValue
from rag.learning.training import Training
from rag.limits import MAX_DELETES
from rag.pipeline import updates
from rag.pipeline.base import PipelineBase
from rag.pipeline.changes import COMPACT_AT, Changes
from rag.progress import Progress, no_progress
from rag.store.store import Store

__all__ = ["UpdatablePipeline"]


class UpdatablePipeline(PipelineBase):
    """A pipeline whose documents can be added, changed and deleted."""

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
        """Add documents, or replace those with the same ids. Unchanged documents are skipped.

        The update is atomic: after an error nothing has changed. Do not call it while another thread searches. Files of
        an indexed folder keep their identity regardless of the path to the folder.

        Args:
            documents: Any input of :meth:`fit`.
            store: Cache of vectors of texts.
            progress: Callback that shows progress.
            compact_at: Fraction of passages of deleted documents above which everything is rewritten without them;
                until then they take space and some search time.
            drop_fields: Metadata fields to leave out, with dots for nested mappings.

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
        """Delete documents by id, or all that pass a filter. See :meth:`add`.

        Args:
            ids: Ids of the documents; unknown ones are reported in the result.
            filter: A condition on metadata instead, such as ``{"tenant": "A"}``: see :mod:`rag.conditions`.
            store: Cache of vectors of texts.
            progress: Callback that shows progress.
            compact_at: As for :meth:`add`.
            dry_run: Only count the changes.

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
        """Make the index equal to these documents: add, replace and delete where they differ. See :meth:`add`.

        Args:
            documents: Any input of :meth:`fit`.
            store: Cache of vectors of texts.
            progress: Callback that shows progress.
            compact_at: As for :meth:`add`.
            dry_run: Only count the changes.
            max_deletes: Maximum number of documents to delete: a count (500), a share of the indexed ones (0.5,
                ``"50%"``), or None for no limit. The default is a fifth: more usually means that a source was read only
                in part.
            drop_fields: As for :meth:`add`.

        Raises:
            DataError: The documents cannot be used, or too many would be deleted.
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
        """Add judgments to the parts that remember judged queries, such as ``query_memory``, with immediate effect.

        Args:
            judged: Queries and judgments of documents by id.
            weight: Weight of each judgment relative to training judgments: less than 1 for clicks.

        Returns:
            Number of judgments that were new or changed.

        Raises:
            ConfigError: No part of the pipeline remembers judgments.
        """
        return updates.add_qrels(self, judged, weight)

    @refuses_unknown
    def remember(
        self,
        values: Iterable[RememberedValue],
        *,
        store: Store | str | Path | None = None,
        progress: Progress = no_progress,
    ) -> int:
        """Keep values other than documents (answers, labels, actions) by their questions, with immediate effect: see
        :class:`rag.RememberedValue`. A known question gets the new value; the value None forgets it.

        Args:
            values: Questions with their values; of the same question the last counts.
            store: Cache of vectors of texts.
            progress: Callback that shows progress.

        Returns:
            Number of questions that are new, have another value or source, or were forgotten.
        """
        return updates.remember(self, values, store=store, progress=progress)

    @refuses_unknown
    def compact(self, *, store: Store | str | Path | None = None, progress: Progress = no_progress) -> Changes:
        """Rewrite everything without the deleted documents."""
        return updates.compact(self, store=store, progress=progress)
