"""The search loop: search all queries of a split, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.batch import QueryBatch
from rag.candidates import Candidates, Ints
from rag.eval.runs.ranking import identical, without
from rag.pipeline import Pipeline
from rag.progress import Progress
from rag.store.store import Store
from rag.types import Query

__all__ = ["BATCH", "SearchedBatch", "search_split"]

BATCH = 512
"""Number of queries searched together: the same for evaluation, sweeps and MTEB, since scores may differ in the last
digit between batch sizes.
"""


@dataclass(frozen=True)
class SearchedBatch:
    """Queries that were searched together.

    Args:
        batch: The queries, with their costs, trace and answers.
        candidates: Documents returned for each query, without ``ignored``.
        ignored: Position of a document to leave out for each query, int64 [n]; None to leave out nothing.
    """

    batch: QueryBatch
    candidates: Candidates
    ignored: Ints | None = None

    @property
    def queries(self) -> Sequence[Query]:
        """The queries, in order."""
        return self.batch.queries

    def counted(self, candidates: Candidates) -> Candidates:
        """Remove the ignored documents from candidates of these queries."""
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
        pipeline: The fitted pipeline.
        queries: Any number of queries.
        store: Cache of candidate lists, by query and by the steps that made them; None caches nothing.
        trace: Whether each batch records the candidates after every step.
        answer: Whether stages such as ``generate`` write answers.
        ignore_identical_ids: Whether to leave out documents whose id is the query's.
        progress: Callback for the progress of each batch.

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
