"""Changing the documents and judgments of a served folder: one writer, durable before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import TypeVar

from rag.costs import check_calls
from rag.pipeline import Following, Pipeline
from rag.pipeline.changes import Changes
from rag.serving.problems import Problem
from rag.serving.schemas import ChangesOut, DeleteRequest, PutRequest, Remembered, RememberRequest
from rag.serving.service import Service
from rag.store.store import Store

__all__ = ["Updates"]

T = TypeVar("T")


class Updates:
    """Carries out the updates of a folder one after another, each as a generation of its own.

    Other processes may update the folder as well: a lock lets one in at a time. When a method returns, the new
    generation is on the disk and in use.

    Args:
        service: The service of the folder.
        keep: Number of previous generations that each update keeps; None keeps as many as the last.
        store: Cache of vectors of texts; None computes all.
    """

    def __init__(self, service: Service, *, keep: int | None = None, store: Store | None = None) -> None:
        self._service, self._keep, self._store = service, keep, store
        self._writer = ThreadPoolExecutor(1, "rag-updates")
        self._room = Semaphore(service.limits.max_updates_waiting)

    def close(self) -> None:
        """Finish the update that is being written, drop those that wait, and end the thread."""
        self._writer.shutdown(wait=True, cancel_futures=True)

    async def put(self, request: PutRequest) -> ChangesOut:
        """Add documents, or replace those whose ids are known.

        Raises:
            Problem: Too many documents, too many updates wait, or nothing can be written here.
            DataError: The documents cannot be used.
        """
        self._check_count(len(request.documents), "documents")
        documents = [document.document() for document in request.documents]
        return _changes(*await self._update("put", lambda pipeline: pipeline.add(documents, store=self._store)))

    async def delete(self, request: DeleteRequest) -> ChangesOut:
        """Remove documents by id or by a filter.

        Raises:
            Problem: As :meth:`put`.
            DataError: No document would be left, or the filter names an unknown field.
        """
        if (request.ids is None) == (request.filter is None):
            raise Problem(422, "invalid", "give ids or a filter, one of them")
        ids, condition = request.ids, request.filter
        if ids is not None:
            self._check_count(len(ids), "ids")
        if condition is not None:
            condition = self._service.filter(condition)

        def remove(pipeline: Pipeline) -> Changes:
            return pipeline.delete(ids, filter=condition, store=self._store, dry_run=request.dry_run)

        if request.dry_run:
            snapshot = self._service.current
            assert isinstance(snapshot.pipeline, Pipeline)  # only these are served
            changes = await asyncio.to_thread(remove, snapshot.pipeline)
            return _changes(changes, snapshot.pipeline.corpus.n_alive, snapshot.generation)
        return _changes(*await self._update("delete", remove))

    async def remember(self, request: RememberRequest) -> Remembered:
        """Add judgments or clicks to the memory of judged questions, and values by their questions.

        Raises:
            Problem: Too many judgments and values, too many updates wait, or nothing can be written here.
            ConfigError: There are judgments, and no part of the pipeline remembers them.
            DataError: A question has no text, or no document would be left.
        """
        self._check_count(len(request.judgments) + len(request.values), "judgments and values")
        judged, weight = request.training(), request.weight
        values = [value.remembered() for value in request.values]

        def change(pipeline: Pipeline) -> tuple[int, int]:
            changed = pipeline.add_qrels(judged, weight=weight) if request.judgments else 0
            return changed, pipeline.remember(values, store=self._store)

        (changed, n_values), _, generation = await self._update("remember", change)
        return Remembered(changed=changed, values=n_values, generation=generation)

    async def _update(self, verb: str, change: Callable[[Pipeline], T]) -> tuple[T, int, str]:
        """The result of a change, the documents after it, and the generation it wrote."""
        source, limits = self._service.source, self._service.limits
        if not isinstance(source, Following):
            raise Problem(403, "read-only", "this pipeline is served from memory: changes cannot be saved")
        if not self._room.acquire(blocking=False):
            busy = f"{limits.max_updates_waiting} updates are waiting already"
            raise Problem(429, "busy", busy, headers={"Retry-After": "5"})
        task = self._writer.submit(_carried_out, source, change, self._keep)
        task.add_done_callback(lambda _: self._room.release())
        try:
            result = await asyncio.wait_for(asyncio.wrap_future(task), limits.update_timeout)
        except TimeoutError:
            late = f"the update took longer than {limits.update_timeout:g} s"
            rest = "and was stopped" if task.cancelled() else "and goes on: /ready tells of a new generation"
            raise Problem(504, "timeout", f"{late} {rest}") from None
        self._service.metrics.updates.labels(verb).inc()
        return result

    def _check_count(self, count: int, name: str) -> None:
        limit = self._service.limits.max_documents
        if not 1 <= count <= limit:
            raise Problem(422, "invalid", f"{name}: from 1 to {limit:,} at once, got {count:,}")


def _carried_out(source: Following, change: Callable[[Pipeline], T], keep: int | None) -> tuple[T, int, str]:
    with Pipeline.editing(source.folder, keep=keep) as pipeline:
        result = change(pipeline)
        check_calls(pipeline.fit_costs)
    source.refresh()
    saved = pipeline.fitted.saved
    return result, pipeline.corpus.n_alive, saved.data.name if saved else ""


def _changes(changes: Changes, n_documents: int, generation: str) -> ChangesOut:
    return ChangesOut.model_validate(
        {
            "added": changes.added,
            "updated": changes.updated,
            "skipped": changes.skipped,
            "deleted": changes.deleted,
            "unknown": list(changes.unknown),
            "compacted": changes.compacted,
            "stale": changes.stale,
            "remarks": [remark.as_dict() for remark in changes.remarks],
            "documents": n_documents,
            "generation": generation,
        }
    )
