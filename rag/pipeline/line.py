"""The steps of a pipeline, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rag.batch import QueryBatch
from rag.candidates import Candidates, Ints
from rag.component import Component
from rag.stage import Retriever, Stage
from rag.step import Step
from rag.store.candidate_cache import cached_step
from rag.store.fingerprint import fingerprint
from rag.types import Answer

__all__ = ["Line"]


@dataclass(frozen=True)
class Line:
    """The retriever and the stages, in order.

    Args:
        steps: Each with its name.
        keys: For each step, the identity of what comes out of it; None where it means nothing to another process. Empty
            when nothing may be taken from a store.
    """

    steps: Sequence[tuple[Step, Component]]
    keys: Sequence[str | None] = ()

    def run(self, batch: QueryBatch, n_steps: int | None = None) -> Candidates:
        """Send a batch through the first ``n_steps``, or through all, and return the table that comes out."""
        candidates = Candidates.empty(len(batch))
        batch.lists.clear()  # of an earlier run
        if not len(batch):
            return candidates
        rows = batch.with_text()
        if len(rows) < len(batch):
            return self._run_with_text(batch, rows, n_steps)
        for number in range(len(self.steps[:n_steps])):
            candidates = self._run_step(number, batch, candidates)
        return candidates

    def _run_step(self, number: int, batch: QueryBatch, before: Candidates) -> Candidates:
        step, component = self.steps[number]
        key = self._key(number, batch)
        if batch.store is None or key is None or batch.is_uncacheable:
            with batch.ledger.stage(step.name):
                candidates = _run(component, batch.view(step=step), before)
            batch.record(step.name, candidates)
        else:
            about = ", then ".join(repr(earlier) for _, earlier in self.steps[: number + 1])
            candidates = cached_step(batch.store, key, about, step, partial(_run, component), batch, before)
        if isinstance(component, Retriever):
            batch.was_found(component, candidates)
        return candidates

    def _key(self, number: int, batch: QueryBatch) -> str | None:
        """Identity of what comes out of a step for a batch; None when a store is not to keep it."""
        key = self.keys[number] if self.keys else None
        _, component = self.steps[number]
        if key is None or not all(part._keeps_lists for _, part in component.spec.walk()):
            return None
        if batch.unseen is not None and any(earlier.spec.learns for _, earlier in self.steps[: number + 1]):
            return fingerprint([key, batch.unseen.fingerprint])
        return key

    def _run_with_text(self, batch: QueryBatch, rows: Ints, n_steps: int | None) -> Candidates:
        """Run a batch in which only some queries have a text: the others find nothing, and have no answer."""
        candidates = batch.spread(self.run(batch.view(rows=rows), n_steps), rows)
        steps = self.steps[:n_steps]
        for step, _ in steps if not len(rows) else ():
            batch.record(step.name, candidates)
        writes = any(isinstance(component, Stage) and component.writes_answers for _, component in self.steps)
        if n_steps is None and writes:
            for query in batch.queries:
                if not query.text.strip():
                    batch.answered(query, Answer("", problem="the query has no text", money=0.0))
        return candidates


def _run(component: Component, batch: QueryBatch, before: Candidates) -> Candidates:
    if isinstance(component, Retriever):
        return component.retrieve(batch)
    assert isinstance(component, Stage)
    return component.process(batch, before)
