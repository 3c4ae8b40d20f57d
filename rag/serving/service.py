"""The operations of a server: the routes of REST and the tools of MCP call the same methods."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from threading import Event, Semaphore
from typing import Any, TypeVar

from rag.candidates import Bools
from rag.conditions import TESTS, check_condition
from rag.conversation import turns_of
from rag.corpus.fields import Field
from rag.costs import Costs
from rag.errors import DataError
from rag.metadata import strict_json
from rag.pipeline import Following, Snapshot
from rag.pipeline.queries import read_queries
from rag.serving.batching import Batcher, Searched, Waiting
from rag.serving.limits import Limits
from rag.serving.metrics import Metrics, current
from rag.serving.problems import Problem
from rag.serving.schemas import AskedQuery, DocumentOut, FieldOut, FieldsOut, Ready, SearchRequest
from rag.types import Answer, Query

__all__ = ["Service"]

logger = logging.getLogger("rag.serving")

T = TypeVar("T")


class _Stopped(Exception):  # noqa: N818 - nothing failed
    """Ends the writing of an answer."""


class Service:
    """Searches, reads and answers from the generation in use.

    Args:
        source: A followed folder, or a pipeline that stays as it is.
        limits: Limits on requests.
    """

    def __init__(self, source: Following | Snapshot, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.batcher = Batcher(
            max_batch=limits.max_batch,
            window=limits.window,
            max_waiting=limits.max_waiting,
            answered=lambda batch, seconds: self.metrics.batch(batch, seconds),
        )
        self.metrics = Metrics(self.batcher.__len__, source)
        self._writers = ThreadPoolExecutor(limits.max_answers, "rag-answers")
        self._room_for_answers = Semaphore(2 * limits.max_answers)
        self._fields: FieldsOut | None = None

    @property
    def current(self) -> Snapshot:
        """The generation in use."""
        return current(self.source)

    @property
    def writes_answers(self) -> bool:
        """Whether the pipeline has a language model answer."""
        return self.current.pipeline.answering is not None

    def close(self) -> None:
        """Answer the waiting queries, and end the threads."""
        self.batcher.close()
        self._writers.shutdown(wait=False, cancel_futures=True)

    # -- asking -----------------------------------------------------------------------------------------------------

    async def search(self, request: SearchRequest) -> tuple[Snapshot, list[Searched]]:
        """Answer the queries of a request, all from one generation.

        Raises:
            Problem: A query is too long, there are too many, the queue is full, or it took too long.
            DataError: A query has no text, or a filter names an unknown field.
        """
        snapshot = self.current
        waiting = [Waiting(snapshot, query, top_k, request.explain) for query, top_k in self._queries(request)]
        self.batcher.submit(waiting)
        futures = [asyncio.wrap_future(queued.future) for queued in waiting]
        return snapshot, await within(asyncio.gather(*futures), self.limits.timeout, "a search")

    async def answer(
        self, snapshot: Snapshot, searched: Searched, listen: Callable[[str], object] = lambda piece: None
    ) -> Answer:
        """Have the language model answer from what a query found. Canceled or too late, it stops at its next word.

        Args:
            snapshot: The generation that the query was answered from.
            searched: What the search gave for it.
            listen: Takes pieces of the answer while it is written, where the model hands them out.

        Raises:
            Problem: The pipeline writes no answers, too many are being written, or it took too long.
        """
        if searched.before_answer is None:
            raise Problem(404, "no-answers", "this pipeline writes no answers: it has no stage such as generate")
        if not self._room_for_answers.acquire(blocking=False):
            busy = f"{2 * self.limits.max_answers} answers are being written already"
            raise Problem(429, "busy", busy, headers={"Retry-After": "5"})
        loop, stopped = asyncio.get_running_loop(), Event()

        def hear(piece: str) -> None:
            if stopped.is_set():
                raise _Stopped("nobody waits for the answer any more")
            if piece:
                loop.call_soon_threadsafe(listen, piece)

        write = partial(snapshot.pipeline.answer, searched.result.query, searched.before_answer, listen=hear)
        task = self._writers.submit(copy_context().run, write)
        task.add_done_callback(self._written)
        try:
            answer, _ = await within(asyncio.wrap_future(task), self.limits.answer_timeout, "an answer")
        finally:
            stopped.set()
        if answer is None:
            raise Problem(503, "no-answer", "the language model returned no answer")
        return answer if not answer.problem else replace(answer, problem="the language model gave no usable answer")

    def _written(self, task: Future[tuple[Answer | None, Costs]]) -> None:
        self._room_for_answers.release()
        if not task.cancelled() and task.exception() is None:
            self.metrics.spent(task.result()[1].as_dict())

    def document(self, id: str) -> DocumentOut:
        """A document with its passages.

        Raises:
            Problem: No such document.
        """
        snapshot = self.current
        try:
            return DocumentOut.of(snapshot.pipeline.document(id), snapshot.generation)
        except DataError as error:
            raise Problem(404, "no-such-document", str(error)) from None

    def fields(self) -> FieldsOut:
        """Fields for filters. Computed once per generation."""
        snapshot = self.current
        if self._fields is None or self._fields.generation != snapshot.generation:
            corpus = snapshot.pipeline.corpus
            self._fields = FieldsOut(
                documents=corpus.n_alive,
                fields=[_field(field, corpus.alive) for field in corpus.fields],
                tests=list(TESTS),
                generation=snapshot.generation,
            )
        return self._fields

    def ready(self, *, writable: bool) -> Ready:
        """Whether the service is ready, and from which generation."""
        snapshot = self.current
        pipeline = snapshot.pipeline
        refused = isinstance(self.source, Following) and self.source.problem is not None
        return Ready(
            status="ready",
            generation=snapshot.generation,
            written=snapshot.written,
            fingerprint=pipeline.fingerprint,
            documents=pipeline.corpus.n_alive,
            answers=pipeline.answering is not None,
            writable=writable,
            refused="a newer generation was refused; the server's log says why" if refused else "",
        )

    # -- checking ---------------------------------------------------------------------------------------------------

    def _queries(self, request: SearchRequest) -> list[tuple[Query, int]]:
        present = [name for name in ("query", "conversation", "queries") if getattr(request, name) is not None]
        if len(present) != 1:
            got = " and ".join(present) or "none of them"
            raise Problem(422, "invalid", f"give one of query, conversation and queries, got {got}")
        if request.queries is None:
            return [self._query(request, request, 1)]
        if not 1 <= len(request.queries) <= self.limits.max_queries:
            raise Problem(
                422, "invalid", f"queries: from 1 to {self.limits.max_queries} at once, got {len(request.queries)}"
            )
        asked = [AskedQuery(query=query) if isinstance(query, str) else query for query in request.queries]
        return [self._query(query, request, n) for n, query in enumerate(asked, 1)]

    def _query(self, asked: AskedQuery, request: SearchRequest, n: int) -> tuple[Query, int]:
        limits = self.limits
        if (asked.query is None) == (asked.conversation is None):
            raise Problem(422, "invalid", "a query is either a question or a conversation")
        turns = [(turn.speaker, turn.text) for turn in asked.conversation or ()]
        length = len(asked.query or "") + sum(len(speaker) + len(text) for speaker, text in turns)
        if length > limits.max_query:
            raise Problem(413, "too-long", f"a query has at most {limits.max_query:,} characters, got {length:,}")
        top_k = asked.top_k or request.top_k
        if top_k is not None and top_k > limits.max_top_k:
            raise Problem(422, "invalid", f"top_k: at most {limits.max_top_k}, got {top_k}")
        condition = asked.filter if asked.filter is not None else request.filter
        condition = None if condition is None else self.filter(condition)
        id = str(n)
        query = Query(id, asked.query) if asked.query is not None else Query(id, turns=turns_of(turns))
        [query], _ = read_queries([query], condition)
        return query, top_k or limits.max_top_k

    def filter(self, condition: Any) -> dict[str, Any]:
        """A filter that is a condition and not too long.

        Raises:
            Problem: It is too long.
            ConfigError: It is not a condition.
        """
        checked = check_condition(condition)
        length = len(json.dumps(checked))
        if length > self.limits.max_filter:
            limit = self.limits.max_filter
            raise Problem(413, "too-long", f"a filter has at most {limit:,} characters, got {length:,}")
        return checked


def _field(field: Field, alive: Bools | None) -> FieldOut:
    summary = field.summary(alive)
    least, greatest = summary.bounds or (None, None)
    return FieldOut(
        name=f"metadata.{field.name}" if field.name == "id" else field.name,
        kinds=list(field.kinds),
        documents=summary.documents,
        values=strict_json(summary.values),
        minimum=strict_json(least),
        maximum=strict_json(greatest),
    )


async def within(waited: asyncio.Future[T], seconds: float, name: str) -> T:
    """Result of a future.

    Raises:
        Problem: It took too long and was stopped.
    """
    try:
        return await asyncio.wait_for(waited, seconds)
    except TimeoutError:
        raise Problem(504, "timeout", f"{name} took longer than {seconds:g} s and was stopped") from None
