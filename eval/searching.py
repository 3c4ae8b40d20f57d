"""The search loop: a pipeline asked all queries of a split, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.batch import QueryBatch
from rag.candidates import Candidates, Ints
from rag.context import Progress
from rag.eval.runs.ranking import identical, without
from rag.pipeline import Pipeline
from rag.store.store import Store
from rag.types import Query

__all__ = ["BATCH", "SearchedBatch", "search_split"]

BATCH = 512
"""Queries searched together. One size for evaluation, sweeps and MTEB, as scores may differ in the last digit between
sizes.
"""


@dataclass(frozen=True)
class SearchedBatch:
    """Queries that went through a pipeline together.

    Args:
        batch: The queries, with what searching spent, traced and answered.
        candidates: Documents returned for each query, without ``ignored``.
        ignored: Position of a document that does not count, for each query, int64 [n]; None where every document does.
    """

    batch: QueryBatch
    candidates: Candidates
    ignored: Ints | None = None

    @property
    def queries(self) -> Sequence[Query]:
        """The queries, in order."""
        return self.batch.queries

    def counted(self, candidates: Candidates) -> Candidates:
        """Candidates of these queries without the ignored documents."""
        return candidates if self.ignored is None else without(candidates, self.ignored)


def search_split(
    pipeline: Pipeline,
    queries: Sequence[Query],
    *,
    store: Store | None = None,
    trace: bool = False,
    answer: bool = False,
    ignore_identical_ids: bool = False,
    progress: Progress | None = None,
) -> Iterator[SearchedBatch]:
    """Search queries in batches of :data:`BATCH`, in their order.

    Args:
        pipeline: Fitted.
        queries: Any number of them.
        store: Cache of candidate lists, by query and by the steps that made them; None caches nothing.
        trace: Whether each batch records the candidates after every step.
        answer: Whether stages such as ``generate`` write answers.
        ignore_identical_ids: Whether a document whose id is the query's does not count.
        progress: Shows what the steps of a batch report.

    Raises:
        NotFittedError: The pipeline was not fitted.
    """
    for first in range(0, len(queries), BATCH):
        batch = QueryBatch(
            queries[first : first + BATCH],
            trace={} if trace else None,
            store=store,
            answers={} if answer else None,
            progress=progress,
        )
        candidates = pipeline.run(batch)
        ignored = identical(batch.queries, pipeline.corpus) if ignore_identical_ids else None
        yield SearchedBatch(batch, candidates if ignored is None else without(candidates, ignored), ignored)
