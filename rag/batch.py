"""Batches of queries, which pass through the pipeline together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import EllipsisType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, cast

import numpy as np

from rag import tracing
from rag.candidates import Candidates, Ints, Vectors
from rag.conditions import Condition, condition_key
from rag.costs import Ledger
from rag.display import Shown, brief, count
from rag.embedders.base import TokenVectors
from rag.embedders.cache import embed_query_texts, not_finite
from rag.errors import ModelError
from rag.remarks import Remark
from rag.step import Step
from rag.types import Answer, Query

if TYPE_CHECKING:
    from rag.corpus.passages import Passages
    from rag.embedders.base import Embedder, TokenEmbedder
    from rag.embedders.recent import RecentVectors
    from rag.learning.unseen import Unseen
    from rag.progress import Progress
    from rag.store.store import Store

__all__ = ["Group", "KeyTexts", "QueryBatch"]

T = TypeVar("T")

KeyTexts = Callable[[tuple[Ints, Ints]], list[str]]
"""Texts of the keys that matched at (rows, columns) of a table."""


class Group(NamedTuple):
    """Queries that may find the same passages.

    Args:
        rows: Their positions in the batch, or a slice of all.
        allowed: Passages they may find: None for all, else their positions, ascending int64 and read-only, or a slice
            where they lie side by side.
    """

    rows: Ints | slice
    allowed: Ints | slice | None


class Retrieves(Protocol):
    """A :class:`rag.Retriever`, as far as a batch uses it."""

    @property
    def fingerprint(self) -> str:
        """Identity of its results."""

    def retrieve(self, batch: QueryBatch) -> Candidates:
        """The best documents of every query."""
        ...


@dataclass(repr=False)
class QueryBatch(Shown):
    """Queries, with the values computed for them and their costs.

    Args:
        queries: The queries, in the order of the rows of every :class:`~rag.candidates.Candidates` table.
        ledger: Costs by stage.
        trace: Filled when not None: the table after each stage, and of each retriever inside a hybrid, by name.
        store: Cache of query vectors, scores of pairs and lists of candidates; None caches nothing. Cached values
            count with the seconds that computing them took.
        key_texts: Filled with the trace: texts of the keys, for tables found by keys that are not passages.
        answers: Filled when not None, by :meth:`answered`. Answers cost calls of a language model, so they are written
            on request only: learning, timing and tuning request none.
        progress: Callback that shows progress.
        unseen: For queries that a component learns from: the judged queries to be treated as unjudged by components
            that remember judgments.
        step: The step of the pipeline, or the part of one, that handles the batch. A component records its table under
            ``step.name`` and calls its parts with :meth:`for_part`.
        lists: The tables passed to :meth:`record`, also without a trace, for later stages.
        recent: Cache of vectors of queries that may come again; None keeps none beyond the batch.
        remarks: Filled by :meth:`remark`: what steps say about single queries, by ``id`` of the query object.
    """

    queries: Sequence[Query]
    ledger: Ledger = field(default_factory=Ledger)
    trace: dict[str, Candidates] | None = None
    store: Store | None = None
    key_texts: dict[str, KeyTexts] = field(default_factory=dict)
    answers: dict[int, Answer] | None = None
    progress: Progress | None = None
    unseen: Unseen | None = None
    step: Step = field(default_factory=Step.retriever)
    lists: dict[str, Candidates] = field(default_factory=dict)
    recent: RecentVectors | None = None
    remarks: dict[int, dict[str, Remark]] = field(default_factory=dict)
    _tables: dict[str, tuple[Candidates, dict[str, Candidates]]] = field(default_factory=dict)
    """By a retriever's fingerprint, its table and those of its parts, by what their names add to its own."""
    _vectors: Callable[[Embedder], Vectors] | None = None
    _remembered: dict[tuple[str, str], object] = field(default_factory=dict)
    _paid: set[str] = field(default_factory=set)
    """Embedders whose vectors of these queries are among the costs of a list that came from the store."""
    _uncacheable: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.queries)

    def _summary(self) -> list[str]:
        first = [f"first: {brief(query.text)}" for query in self.queries[:1]]
        lists = [f"lists: {', '.join(self.lists)}"] if self.lists else []
        return [f"QueryBatch: {count(len(self), 'query', 'queries')} at {self.step.name}", *first, *lists]

    def view(
        self,
        *,
        rows: slice | Ints | None = None,
        ledger: Ledger | None = None,
        trace: dict[str, Candidates] | EllipsisType | None = ...,
        step: Step | None = None,
    ) -> QueryBatch:
        """The same batch restricted to some rows, or with another ledger, trace or step; this one stays unchanged.

        A view of all rows shares the computed values and the recorded tables. A view of some rows starts
        with a copy of its part of the tables, and what it records stays with it, but for the trace: see :meth:`spread`.

        Args:
            rows: Positions of queries, ascending; None for all.
            ledger: Ledger of the costs of the view; None for this batch's.
            trace: Trace of the tables recorded through the view, or None for no trace; by default this batch's.
            step: Step that handles the view; None for this batch's.
        """
        whole = replace(self, ledger=self.ledger if ledger is None else ledger, step=step or self.step)
        if trace is not ...:
            whole.trace, whole.key_texts = trace, {}
        if rows is None:
            return whole
        chosen = self.queries[rows] if isinstance(rows, slice) else [self.queries[row] for row in rows]
        if len(chosen) == len(self):
            return whole
        tables = {
            key: (table.rows(rows), {part: below.rows(rows) for part, below in parts.items()})
            for key, (table, parts) in self._tables.items()
        }
        return replace(
            whole,
            queries=chosen,
            unseen=None if self.unseen is None else self.unseen.select(rows),
            lists={name: table.rows(rows) for name, table in self.lists.items()},
            _tables=tables,
            _vectors=None if self._vectors is None else lambda embedder: whole.embeddings(embedder)[rows],
            _remembered={},
        )

    def for_part(self, key: int | str, component: str = "") -> QueryBatch:
        """The same batch for a part of the current step: see :meth:`rag.step.Step.part`."""
        return self.view(step=self.step.part(key, component))

    def with_text(self) -> Ints:
        """Positions of the queries that have a text, ascending int64: the others find nothing."""
        return np.flatnonzero([bool(query.text.strip()) for query in self.queries]).astype(np.int64)

    def spread(self, candidates: Candidates, rows: Ints) -> Candidates:
        """A table of some rows as one of all queries, in which the others have no candidate. The trace, which a
        :meth:`view` of these rows has filled, becomes one of all queries too.
        """
        row_of = np.full(len(self), -1, dtype=np.int64)
        row_of[rows] = np.arange(len(rows))

        def of_all(keys: KeyTexts) -> KeyTexts:
            return lambda at: keys((row_of[at[0]], at[1]))

        for name, table in (self.trace or {}).items():
            self.record(name, table.spread(rows, len(self)))
        self.key_texts |= {name: of_all(keys) for name, keys in self.key_texts.items()}
        return candidates.spread(rows, len(self))

    @cached_property
    def texts(self) -> list[str]:
        return [query.text for query in self.queries]

    def embeddings(self, embedder: Embedder) -> Vectors:
        """The queries' vectors by this embedder, float32 [n, d]; computed once per batch.

        Raises:
            ModelError: The embedder gave vectors that are not finite.
        """
        return self.remember("embeddings", embedder.vectors_key, lambda: self._embed(embedder))

    def token_vectors(self, embedder: TokenEmbedder) -> TokenVectors:
        """Vectors of the queries' tokens by this embedder; computed once per batch.

        Raises:
            ModelError: The embedder gave vectors that are not finite.
        """

        def embed() -> TokenVectors:
            if not len(self):
                return TokenVectors(np.empty((0, embedder.dimension), dtype=np.float32), np.zeros(1, dtype=np.int64))
            if embedder.token_source is not None:
                return embedder.remade_tokens(self.token_vectors(embedder.token_source), query=True)
            if ("embeddings", embedder.vectors_key) not in self._remembered:  # else the same texts are counted already
                self.ledger.spend(texts_embedded=len(self))
            return embedder.embed_query_tokens(self.texts)

        def check() -> TokenVectors:
            tokens = embed()
            bad = not_finite(tokens.vectors)
            if len(bad):
                row = int(np.searchsorted(tokens.ends, bad[0], side="right")) - 1
                raise ModelError(
                    f"the embedder {embedder.spec.label} gave NaN or infinite values for tokens of query "
                    f"'{self.queries[row].id}'"
                )
            return tokens

        return self.remember("tokens", embedder.vectors_key, check)

    def embed_documents(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        """Vectors of texts that replace the queries, embedded like documents, float32 [n, d]; cached in the store.

        Raises:
            ModelError: The embedder gave vectors that are not finite.
        """

        def name(position: int) -> str:
            return repr(texts[position])[:80]

        base = embedder.base
        return embed_query_texts(base, texts, store=self.store, ledger=self.ledger, name=name, role="documents")

    def remember(self, name: str, fingerprint: str, compute: Callable[[], T]) -> T:
        """A value computed once per batch, shared by all components of one fingerprint."""
        key = (name, fingerprint)
        if key not in self._remembered:
            self._remembered[key] = compute()
        return cast("T", self._remembered[key])

    def groups(self, passages: Passages) -> list[Group]:
        """The queries by filter, each group with the passages it may find. Deleted documents and passages without a
        text are never found.

        Raises:
            ConfigError: A filter is not a condition.
            DataError: A filter names a field that no document has, or compares it with something of another kind.
        """
        return self.remember("groups", str(id(passages)), lambda: self._groups(passages))

    def conditions(self) -> list[tuple[Ints | slice, Condition | None]]:
        """The queries by filter, for indexes that hold the documents' fields themselves: rows, or a slice of all, and
        the condition in plain values, None for no filter.

        Raises:
            ConfigError: A filter is not a condition.
        """
        rows: dict[str, list[int]] = {}
        for row, query in enumerate(self.queries):
            rows.setdefault("" if query.filter is None else condition_key(query.filter), []).append(row)
        return [
            (slice(None) if len(rows) == 1 else np.array(members), json.loads(key) if key else None)
            for key, members in rows.items()
        ]

    def with_queries(
        self, queries: Sequence[Query], vectors: Callable[[Embedder], Vectors] | None = None
    ) -> QueryBatch:
        """A batch of other queries, one in place of each query, whose costs count here. It is not traced: the caller
        records its results.

        Args:
            queries: As many queries, in the same order.
            vectors: Function that returns the vectors in place of :meth:`embeddings`, float32 [n, d]; None embeds the
                texts.
        """
        return replace(
            self,
            queries=queries,
            trace=None,
            answers=None,
            lists={},
            _tables={},
            _vectors=vectors,
            _remembered={},
            _paid=set(),
        )

    def without_lists(self) -> QueryBatch:
        """The same queries for another corpus, such as a key's: computed values are shared, lists are not."""
        return replace(self, trace=None, lists={}, _tables={})

    def found_by(self, retriever: Retrieves, *, recorded: bool = True) -> Candidates:
        """The table of a retriever for these queries; computed once for equal retrievers. Its parts are recorded,
        unless ``recorded`` is false.
        """
        if not recorded:
            return replace(self, trace=None, lists={}).found_by(retriever)  # the table is remembered here too
        known = self._tables.get(retriever.fingerprint)
        if known is None:
            earlier = set(self.lists)
            with tracing.span(self.step.name, "RETRIEVER") as span:
                table = retriever.retrieve(self)
                span.set(lambda: {tracing.names.N_QUERIES: len(self), tracing.names.N_FOUND: int(table.counts.sum())})
            new = {name: self.lists[name] for name in self.lists if name not in earlier}
            self._tables[retriever.fingerprint] = table, self._below(self.step, new)
            return table
        for part, table in known[1].items():  # the parts have the same names whether it is asked or remembered
            self.record(f"{self.step.name}{part}", table)
        return known[0]

    def was_found(self, retriever: Retrieves, table: Candidates) -> None:
        """Record the results of the pipeline's retriever for these queries."""
        self._tables[retriever.fingerprint] = table, self._below(Step.retriever(), self.lists)

    @staticmethod
    def _below(step: Step, lists: Mapping[str, Candidates]) -> dict[str, Candidates]:
        """Lists of the parts of a step, by the rest of their names."""
        return {name[len(step.name) :]: table for name, table in lists.items() if step.holds(name)}

    def record(self, name: str, candidates: Candidates, keys: KeyTexts | None = None) -> None:
        """Record a table for later stages and, if requested, for ``explain``; ``keys`` returns the texts of the keys
        that matched.
        """
        self.lists[name] = candidates
        if self.trace is not None:
            self.trace[name] = candidates
            if keys is not None:
                self.key_texts[name] = keys

    def answered(self, query: Query, answer: Answer) -> None:
        """Record the answer to a query, if answers were requested. A query that occurs twice has one answer, with its
        costs.
        """
        if self.answers is not None:
            self.answers.setdefault(id(query), answer)

    def answer_to(self, query: Query) -> Answer | None:
        """The answer recorded for this query object."""
        return (self.answers or {}).get(id(query))

    def remark(self, query: Query, remark: Remark) -> None:
        """Add a remark to the result of this query object."""
        self.remarks.setdefault(id(query), {}).setdefault(remark.message, remark)

    def embedded_by(self) -> set[str]:
        """Keys of the vectors (:attr:`rag.Embedder.vectors_key`) that these queries have."""
        return self._paid | {fingerprint for name, fingerprint in self._remembered if name == "embeddings"}

    def mark_paid(self, vectors: set[str]) -> None:
        """Mark the vectors of these embedders as already counted, so that they are not counted again."""
        self._paid |= vectors

    def mark_uncacheable(self, why: str) -> None:
        """Mark the results as dependent on a failure, such as that of a summary, so that no store caches them."""
        self._uncacheable.add(why)

    @property
    def is_uncacheable(self) -> bool:
        """Whether :meth:`mark_uncacheable` was called on this batch or on one made from it."""
        return bool(self._uncacheable)

    def _groups(self, passages: Passages) -> list[Group]:
        groups = []
        for rows, condition in self.conditions():
            if condition is None:
                allowed: Ints | slice | None = passages.findable
            else:
                mask = passages.corpus.fields.mask(condition)
                allowed = passages.where(mask if passages.alive is None else mask & passages.alive)
            groups.append(Group(rows, allowed))
        return groups

    def _embed(self, embedder: Embedder) -> Vectors:
        if not len(self):
            return np.empty((0, embedder.dimension), dtype=np.float32)
        if self._vectors is not None:
            return embedder.checked(self._vectors(embedder), len(self))
        if embedder.moves_queries:
            return embedder.of_queries(self)
        if embedder.vector_source is not None:
            return embedder.checked(embedder.from_vectors(self.embeddings(embedder.vector_source)), len(self))
        if embedder.token_source is not None:
            return embedder.checked(
                embedder.from_tokens(self.token_vectors(embedder.token_source), query=True), len(self)
            )
        ids = [query.id for query in self.queries]
        counted = embedder.vectors_key in self._paid or ("tokens", embedder.vectors_key) in self._remembered
        return embed_query_texts(
            embedder,
            self.texts,
            store=self.store,
            ledger=Ledger() if counted else self.ledger,
            name=lambda position: f"query '{ids[position]}'",
            recent=self.recent,
        )
