"""The queries that walk down the pipeline together."""

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
from rag.embedders.cache import embed_query_texts
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
    """Queries that may find the same.

    Args:
        rows: Their positions in the batch, or a slice of all.
        allowed: Passages they may find: None for all, else their positions, ascending int64 and read-only, or a slice
            where they lie side by side.
    """

    rows: Ints | slice
    allowed: Ints | slice | None


class Retrieves(Protocol):
    """What a batch can be asked of: a :class:`rag.Retriever`."""

    @property
    def fingerprint(self) -> str:
        """Identity of what it finds."""

    def retrieve(self, batch: QueryBatch) -> Candidates:
        """The best documents of every query."""
        ...


@dataclass(repr=False)
class QueryBatch(Shown):
    """Queries, what has been computed about them, and what that has cost.

    Args:
        queries: In the order of the rows of every :class:`~rag.candidates.Candidates` table.
        ledger: Costs by stage.
        trace: Filled when not None: the table after each stage, and of each retriever inside a hybrid, by name.
        store: Where vectors of queries, scores of pairs and lists of candidates are found and kept; None computes all.
            What is found is booked with the seconds that computing it has cost.
        key_texts: Filled with the trace: for tables found by keys that are no passages, what the keys say.
        answers: Filled when not None, by :meth:`answered`. Answers cost calls of a language model, so they are written
            only for those who want them: not to learn from, to time, or to tune the search.
        progress: Shows how far what takes long is.
        unseen: For training queries that something learns from: which judged queries are to be treated as if nobody had
            judged them. What remembers judgments honors it.
        step: What is being asked: a step of the pipeline, or a part of one. A component records its own table under
            ``step.name``, and asks its parts with :meth:`for_part`.
        lists: The tables that :meth:`record` was given, also without a trace: what a later stage may look at.
        recent: Remembers vectors of queries that may be asked again; None remembers none beyond the batch.
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
        """The same batch, seen by some rows, or with another ledger, trace or step; this one stays as it is.

        A view of all rows shares what is known of the queries and which tables were recorded. One of some rows starts
        with a copy of its part of the tables, and what it records stays with it, but for the trace: see :meth:`spread`.

        Args:
            rows: Positions of queries, ascending; None for all.
            ledger: Takes what is spent through the view; None for this batch's.
            trace: Takes the tables that are recorded through the view, or None for no trace; this batch's if left out.
            step: What is asked through the view; None for what this batch asks.
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
        """The same batch, asked of a part of what is being asked: see :meth:`rag.step.Step.part`."""
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
        """The queries' vectors by this embedder, float32 [n, d]; computed once, whoever asks.

        Raises:
            ModelError: The embedder gave vectors that are not finite.
        """
        return self.remember("embeddings", embedder.fingerprint, lambda: self._embed(embedder))

    def token_vectors(self, embedder: TokenEmbedder) -> TokenVectors:
        """Vectors of the queries' tokens by this embedder; computed once, whoever asks."""

        def embed() -> TokenVectors:
            if not len(self):
                return TokenVectors(np.empty((0, embedder.dimension), dtype=np.float32), np.zeros(1, dtype=np.int64))
            if ("embeddings", embedder.fingerprint) not in self._remembered:  # else the same texts are counted already
                self.ledger.spend(texts_embedded=len(self))
            return embedder.embed_query_tokens(self.texts)

        return self.remember("tokens", embedder.fingerprint, embed)

    def embed_documents(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        """Vectors of texts that are asked with in place of the queries', as of documents, float32 [n, d]; from the
        store where it has them.

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
        """The queries by what they may find: one group for all of one filter. Nobody finds deleted documents,
        nor passages without a text.

        Raises:
            ConfigError: A filter is no condition.
            DataError: A filter names a field that no document has, or compares it with something of another kind.
        """
        return self.remember("groups", str(id(passages)), lambda: self._groups(passages))

    def conditions(self) -> list[tuple[Ints | slice, Condition | None]]:
        """The queries by their filter, for whatever holds the documents' fields itself: rows, or a slice of all, and
        the condition of plain values, None for no filter.

        Raises:
            ConfigError: A filter is no condition.
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
        """A batch that asks something else in place of each query and books its costs here. It is not traced: what is
        found with it is recorded by whoever asks.

        Args:
            queries: As many, in the same order.
            vectors: Gives what :meth:`embeddings` gives, float32 [n, d]; None has the embedder embed the texts.
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
        """The same queries, asked of something that is no corpus of the pipeline's, such as its keys: what is known of
        the queries is shared, lists are not.
        """
        return replace(self, trace=None, lists={}, _tables={})

    def found_by(self, retriever: Retrieves, *, recorded: bool = True) -> Candidates:
        """The table of a retriever for these queries; an equal one that was asked before is not asked again. Its parts
        are recorded, unless ``recorded`` is false.
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
        """Tell what the pipeline's retriever finds for these queries."""
        self._tables[retriever.fingerprint] = table, self._below(Step.retriever(), self.lists)

    @staticmethod
    def _below(step: Step, lists: Mapping[str, Candidates]) -> dict[str, Candidates]:
        """Lists of the parts of a step, by what their names add to its own."""
        return {name[len(step.name) :]: table for name, table in lists.items() if step.holds(name)}

    def record(self, name: str, candidates: Candidates, keys: KeyTexts | None = None) -> None:
        """Keep a table for later stages, and for ``explain`` if anyone asked; ``keys`` gives the texts that matched at
        places of it.
        """
        self.lists[name] = candidates
        if self.trace is not None:
            self.trace[name] = candidates
            if keys is not None:
                self.key_texts[name] = keys

    def answered(self, query: Query, answer: Answer) -> None:
        """Record the answer to one of these queries, if anyone asked. One that is there twice has one answer, with what
        that has cost.
        """
        if self.answers is not None:
            self.answers.setdefault(id(query), answer)

    def answer_to(self, query: Query) -> Answer | None:
        """What was recorded for this very query object."""
        return (self.answers or {}).get(id(query))

    def embedded_by(self) -> set[str]:
        """Fingerprints of the embedders that these queries' vectors have been asked of."""
        return self._paid | {fingerprint for name, fingerprint in self._remembered if name == "embeddings"}

    def mark_paid(self, fingerprints: set[str]) -> None:
        """Vectors by these embedders are booked already; whoever asks for them books them no more."""
        self._paid |= fingerprints

    def mark_uncacheable(self, why: str) -> None:
        """Say that what is found depends on something that failed this time, such as a summary: no store keeps it."""
        self._uncacheable.add(why)

    @property
    def is_uncacheable(self) -> bool:
        """Whether :meth:`mark_uncacheable` was said of this batch, or of one made from it."""
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
        if embedder.base is not embedder:
            return embedder.of_queries(self)
        if embedder.vector_source is not None:
            return embedder.checked(embedder.from_vectors(self.embeddings(embedder.vector_source)), len(self))
        if embedder.token_source is not None:
            return embedder.checked(
                embedder.from_tokens(self.token_vectors(embedder.token_source), query=True), len(self)
            )
        ids = [query.id for query in self.queries]
        counted = embedder.fingerprint in self._paid or ("tokens", embedder.fingerprint) in self._remembered
        return embed_query_texts(
            embedder,
            self.texts,
            store=self.store,
            ledger=Ledger() if counted else self.ledger,
            name=lambda position: f"query '{ids[position]}'",
            recent=self.recent,
        )
