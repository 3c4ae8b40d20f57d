"""Results of the previous steps for the training queries, for components that learn; each computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.corpus.corpus import Corpus
from rag.costs import Ledger
from rag.errors import ConfigError
from rag.learning.training import Training
from rag.learning.unseen import LeaveOut, Unseen
from rag.store.fingerprint import fingerprint
from rag.store.store import Store
from rag.types import Query

__all__ = ["TrainingRuns", "Upstream"]


@dataclass(frozen=True)
class Upstream:
    """The pipeline steps before the one being fitted.

    Args:
        run: Function that runs a batch through them.
        key: Identity of their output; None when it is not valid in other processes.
    """

    run: Callable[[QueryBatch], Candidates]
    key: str | None


@dataclass
class TrainingRuns:
    """Judged queries with the results of the steps before the one being fitted.

    Args:
        training: The queries; None without any.
        corpus: The documents that judgments and filters refer to.
        ledger: Costs of fitting.
        store: Cache of lists and vectors; None caches nothing.
        upstream: The previous steps; None outside a pipeline.
        n_before: Number of previous steps.
    """

    training: Training | None
    corpus: Corpus
    ledger: Ledger
    store: Store | None
    upstream: Upstream | None = None
    n_before: int = 0
    _runs: dict[str, tuple[QueryBatch, Candidates]] = field(default_factory=dict)
    _unseen: dict[str, Unseen] = field(default_factory=dict)
    _batch: QueryBatch | None = None
    _fingerprint: str | None = None

    def following(self, upstream: Upstream) -> None:
        """Go on to the next step of the pipeline."""
        self.upstream, self._runs = upstream, {}
        self.n_before += 1

    def elsewhere(self, corpus: Corpus, store: Store | None) -> TrainingRuns:
        """The same for a part of the pipeline that searches something else, such as keys."""
        return replace(self, corpus=corpus, store=store, _batch=None, _fingerprint=None)

    def of_training(self, leave_out: LeaveOut) -> tuple[QueryBatch, Candidates]:
        """See :meth:`rag.FitContext.training_run`."""
        if self.training is None or self.upstream is None:
            raise ConfigError("needs training queries and the earlier steps: fit it as a stage of a pipeline")
        if leave_out not in self._runs:
            self._runs[leave_out] = self._run(self.training.queries, self.upstream, self.unseen(leave_out))
        return self._runs[leave_out]

    def of_dev(self) -> tuple[QueryBatch, Candidates] | None:
        """See :meth:`rag.FitContext.dev_run`."""
        if self.training is None or self.training.dev is None or self.upstream is None:
            return None
        if "dev" not in self._runs:
            self._runs["dev"] = self._run(self.training.dev.queries, self.upstream, None)
        return self._runs["dev"]

    def of(self, queries: Sequence[Query]) -> tuple[QueryBatch, Candidates] | None:
        """See :meth:`rag.FitContext.run_of`."""
        return None if self.upstream is None else self._run(queries, self.upstream, None)

    def batch(self) -> QueryBatch:
        """See :meth:`rag.FitContext.training_batch`."""
        if self.training is None:
            raise ConfigError("needs training queries: pass them to fit")
        if self._batch is None:
            self._batch = QueryBatch(
                self.training.queries, store=self.store, ledger=self.ledger, unseen=self.unseen("duplicates")
            )
        return self._batch

    def unseen(self, leave_out: LeaveOut) -> Unseen:
        """See :meth:`rag.FitContext.unseen`."""
        assert self.training is not None
        if leave_out not in self._unseen:
            self._unseen[leave_out] = Unseen.of(self.training, leave_out)
        return self._unseen[leave_out]

    @property
    def fingerprint(self) -> str:
        """Hash of the training queries and judgments, and of the ids and metadata that judgments and filters refer to;
        empty without any.
        """
        if self.training is None:
            return ""
        if self._fingerprint is None:
            dev = [] if self.training.dev is None else self.training.dev.as_plain()
            self._fingerprint = fingerprint([*self.training.as_plain(), self.corpus.fingerprint, *dev])
        return self._fingerprint

    def _run(
        self, queries: Sequence[Query], upstream: Upstream, unseen: Unseen | None
    ) -> tuple[QueryBatch, Candidates]:
        batch = QueryBatch(queries, trace={}, store=self.store, unseen=unseen)
        candidates = upstream.run(batch)
        spent = batch.ledger.total
        spent.seconds = 0.0  # already booked
        self.ledger.book(spent)
        self.ledger.join_calls(batch.ledger)
        return batch, candidates
