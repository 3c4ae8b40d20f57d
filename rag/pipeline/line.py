"""Run the steps of a pipeline in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rag import tracing
from rag.batch import QueryBatch
from rag.candidates import Candidates, Ints
from rag.component import Component
from rag.errors import RagError
from rag.stage import Retriever, Stage
from rag.step import Step
from rag.store.candidate_cache import cached_step
from rag.store.fingerprint import fingerprint
from rag.tracing import Kind, names
from rag.types import Answer

__all__ = ["Line"]


@dataclass(frozen=True)
class Line:
    """The retriever and the stages, in order.

    Args:
        steps: The steps with their names.
        keys: For each step, the identity of its output; None where it is not valid in other processes. Empty when
            nothing may be read from a store.
    """

    steps: Sequence[tuple[Step, Component]]
    keys: Sequence[str | None] = ()

    def run(self, batch: QueryBatch, n_steps: int | None = None) -> Candidates:
        """Run a batch through the first ``n_steps`` steps, or all, and return the resulting table."""
        candidates = Candidates.empty(len(batch))
        batch.lists.clear()  # of an earlier run
        if not len(batch):
            return candidates
        rows = batch.with_text()
        if len(rows) < len(batch):
            return self._run_with_text(batch, rows, n_steps)
        for index in range(len(self.steps[:n_steps])):
            candidates = self.run_step(index, batch, candidates)
        return candidates

    def run_step(self, index: int, batch: QueryBatch, before: Candidates) -> Candidates:
        """Run one step on the table of the step before."""
        step, component = self.steps[index]
        with tracing.span(step.name, _kind(component)) as span:
            try:
                candidates = self._run_alone(index, batch, before)
            except Exception as error:
                if not isinstance(error, RagError):
                    error.add_note(f"in the step {step.name} of the pipeline, {component!r}")
                raise
            span.costs(batch.ledger.stages.get(step.name))
            span.set(lambda: {names.N_QUERIES: len(batch), names.N_FOUND: int(candidates.counts.sum())})
        return candidates

    def _run_alone(self, index: int, batch: QueryBatch, before: Candidates) -> Candidates:
        step, component = self.steps[index]
        key = self._key(index, batch)
        if batch.store is None or key is None or batch.is_uncacheable:
            with batch.ledger.stage(step.name):
                candidates = _run(component, batch.view(step=step), before)
            batch.record(step.name, candidates)
        else:
            description = ", then ".join(repr(earlier) for _, earlier in self.steps[: index + 1])
            candidates = cached_step(batch.store, key, description, step, partial(_run, component), batch, before)
        if isinstance(component, Retriever):
            batch.was_found(component, candidates)
        return candidates

    def _key(self, index: int, batch: QueryBatch) -> str | None:
        """Identity of the output of a step for a batch; None when it must not be cached."""
        key = self.keys[index] if self.keys else None
        _, component = self.steps[index]
        if key is None or not all(part._keeps_lists for _, part in component.spec.walk()):
            return None
        if batch.unseen is not None and any(earlier.spec.learns for _, earlier in self.steps[: index + 1]):
            return fingerprint([key, batch.unseen.fingerprint])
        return key

    def _run_with_text(self, batch: QueryBatch, rows: Ints, n_steps: int | None) -> Candidates:
        """Run a batch in which only some queries have a text: the others get no results and no answer."""
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


def _kind(component: Component) -> Kind:
    if isinstance(component, Retriever):
        return "RETRIEVER"
    return "RERANKER" if "scorer" in component.spec.arguments else "CHAIN"


def _run(component: Component, batch: QueryBatch, before: Candidates) -> Candidates:
    if isinstance(component, Retriever):
        return component.retrieve(batch)
    assert isinstance(component, Stage)
    return component.process(batch, before)
