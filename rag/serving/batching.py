"""Answer waiting queries together: a worker thread takes all of them whenever it is free.

Under load batches fill by themselves, and a query that comes alone waits for nothing.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from typing import Any

from rag import tracing
from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.pipeline import Snapshot
from rag.serving.problems import Problem
from rag.types import Query, SearchResult

__all__ = ["Batcher", "Searched", "Waiting"]

logger = logging.getLogger("rag.serving")


@dataclass(frozen=True)
class Searched:
    """What a search gave for a query.

    Args:
        result: Its hits.
        before_answer: The candidates that an answer is written from, one row; None where the pipeline writes none.
    """

    result: SearchResult
    before_answer: Candidates | None = None


@dataclass(eq=False)
class Waiting:
    """A query that waits for its turn.

    Args:
        snapshot: The generation it is answered from: the one in use when it came.
        query: The checked query.
        top_k: Hits at most; None for all.
        explain: Whether to return the scores by stage.
        future: Takes the outcome. Canceled, it is not computed.
    """

    snapshot: Snapshot
    query: Query
    top_k: int | None = None
    explain: bool = False
    future: Future[Searched] = field(default_factory=Future)
    context: Any = field(default_factory=tracing.current)


class Batcher:
    """The queue and its worker thread.

    Args:
        max_batch: Maximum number of queries searched together.
        window: Seconds that a batch which is not full waits for more.
        max_waiting: Queries that wait, at most.
        answered: Called with each batch and the seconds it took, in the worker thread.
    """

    def __init__(
        self,
        *,
        max_batch: int = 16,
        window: float = 0.0,
        max_waiting: int = 256,
        answered: Callable[[QueryBatch, float], object] = lambda batch, seconds: None,
    ) -> None:
        self.max_batch, self.window, self.max_waiting = max_batch, window, max_waiting
        self._answered = answered
        self._queue: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._pace = 0.05
        """Seconds that a batch takes, a moving average."""
        self._thread = threading.Thread(target=self._work, name="rag-batches", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._queue)

    def submit(self, queries: Sequence[Waiting]) -> None:
        """Put queries into the queue: all of them, or none.

        Raises:
            Problem: The queue is full; says when to come back.
        """
        with self._changed:
            if self._closed:
                raise Problem(503, "closing", "the server is closing", headers={"Retry-After": "5"})
            if len(self._queue) + len(queries) > self.max_waiting:
                self._drop_cancelled()
            if len(self._queue) + len(queries) > self.max_waiting:
                seconds = max(1, math.ceil(len(self._queue) / self.max_batch * self._pace))
                raise Problem(
                    429,
                    "busy",
                    f"{len(self._queue)} queries are already waiting: try again in {seconds} s",
                    headers={"Retry-After": str(seconds)},
                )
            self._queue.extend(queries)
            self._changed.notify()

    def close(self) -> None:
        """Answer the waiting queries, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _drop_cancelled(self) -> None:
        alive = [waiting for waiting in self._queue if not waiting.future.cancelled()]
        self._queue.clear()
        self._queue.extend(alive)

    def _work(self) -> None:
        while batch := self._take():
            start = time.perf_counter()
            try:
                self._answer(batch)
            except BaseException:  # the thread must go on whatever happens
                logger.exception("a batch of %d queries", len(batch))
                for waiting in batch:
                    _fail(waiting, RuntimeError("not answered"))
            self._pace += 0.2 * (time.perf_counter() - start - self._pace)

    def _take(self) -> list[Waiting]:
        """Queries of one generation that no client has canceled; none if the batcher was closed."""
        with self._changed:
            while True:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self.window and not self._closed:
                    until = time.monotonic() + self.window
                    while 0 < len(self._queue) < self.max_batch and (left := until - time.monotonic()) > 0:
                        self._changed.wait(left)
                batch: list[Waiting] = []
                while self._queue and len(batch) < self.max_batch:
                    if batch and self._queue[0].snapshot is not batch[0].snapshot:
                        break
                    waiting = self._queue.popleft()
                    if waiting.future.set_running_or_notify_cancel():
                        batch.append(waiting)
                if batch or self._closed:
                    return batch

    def _answer(self, batch: list[Waiting]) -> None:
        batch = [waiting for waiting in batch if _can_be_asked(waiting)]
        if not batch:
            return
        start = time.perf_counter()
        try:
            queries, results = _searched(batch)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for waiting in batch:  # what is wrong with one query is no matter of the others
                self._answer([waiting])
            return
        for waiting, result in zip(batch, results, strict=True):
            waiting.future.set_result(result)
        self._answered(queries, time.perf_counter() - start)


def _searched(batch: Sequence[Waiting]) -> tuple[QueryBatch, list[Searched]]:
    pipeline = batch[0].snapshot.pipeline
    queries = QueryBatch([waiting.query for waiting in batch])
    queries.trace = {} if any(waiting.explain for waiting in batch) else None
    with tracing.joined([waiting.context for waiting in batch]):
        results = pipeline.search_batch(queries, [waiting.top_k for waiting in batch])
    table = None if pipeline.answering is None else queries.lists.get(pipeline.answering[0].name)
    return queries, [
        Searched(
            result if waiting.explain or queries.trace is None else _unexplained(result),
            None if table is None else table.rows(slice(row, row + 1)),
        )
        for row, (waiting, result) in enumerate(zip(batch, results, strict=True))
    ]


def _unexplained(result: SearchResult) -> SearchResult:
    return replace(result, hits=tuple(replace(hit, explanation={}, keys={}) for hit in result.hits))


def _can_be_asked(waiting: Waiting) -> bool:
    """Whether a query can be asked: a filter that names an unknown field fails alone."""
    if waiting.query.filter is None:
        return True
    try:
        waiting.snapshot.pipeline.corpus.fields.mask(waiting.query.filter)
    except Exception as error:
        _fail(waiting, error)
        return False
    return True


def _fail(waiting: Waiting, error: Exception) -> None:
    try:
        waiting.future.set_exception(error)
    except (CancelledError, Exception):  # it has a result already
        logger.debug("a query had been answered already")
