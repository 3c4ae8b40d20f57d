"""The queries that walk down the pipeline together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import numpy as np

from rag.candidates import Candidates, Ints, Vectors
from rag.conditions import condition_key
from rag.costs import Ledger
from rag.errors import ModelError
from rag.store.values import text_key
from rag.types import Answer, Query

if TYPE_CHECKING:
    from rag.context import Progress
    from rag.corpus.passages import Passages
    from rag.embedders.base import Embedder, TokenEmbedder, TokenVectors
    from rag.learning.unseen import Unseen
    from rag.stage import Retriever
    from rag.store.store import Store

__all__ = ["Group", "KeyTexts", "QueryBatch"]

T = TypeVar("T")

EMBEDDED_TOGETHER = 512
"""Vectors computed between two writes to the store: what a kill can lose."""

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


@dataclass
class QueryBatch:
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
            judged them. What remembers judgements honours it.
    """

    queries: Sequence[Query]
    ledger: Ledger = field(default_factory=Ledger)
    trace: dict[str, Candidates] | None = None
    store: Store | None = None
    key_texts: dict[str, KeyTexts] = field(default_factory=dict)
    answers: dict[int, Answer] | None = None
    progress: Progress | None = None
    unseen: Unseen | None = None
    lists: dict[str, Candidates] = field(default_factory=dict)
    """The tables that :meth:`record` was given, also without a trace: what a later stage may look at."""
    _found: dict[str, tuple[Candidates, dict[str, Candidates]]] = field(default_factory=dict)
    _place: str = "retriever"
    _vectors: Callable[[Embedder], Vectors] | None = None
    _remembered: dict[tuple[str, str], object] = field(default_factory=dict)
    _paid: set[str] = field(default_factory=set)
    """Embedders whose vectors of these queries are among the costs of a list that came from the store."""
    _doubts: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.queries)

    def part(self, rows: slice | Ints) -> QueryBatch:
        """Some of the queries as a batch of their own, which books to the same ledger; all of them are this batch."""
        chosen = self.queries[rows] if isinstance(rows, slice) else [self.queries[row] for row in rows]
        if len(chosen) == len(self):
            return self
        vectors: Callable[[Embedder], Vectors] | None = None
        if self._vectors is not None:

            def vectors(embedder: Embedder) -> Vectors:
                return self.embeddings(embedder)[rows]

        lists = {name: table.rows(rows) for name, table in self.lists.items()}
        tables = {
            key: (table.rows(rows), {step: part.rows(rows) for step, part in parts.items()})
            for key, (table, parts) in self._found.items()
        }
        unseen = None if self.unseen is None else self.unseen.part(rows)
        return replace(
            self, queries=chosen, unseen=unseen, lists=lists, _found=tables, _vectors=vectors, _remembered={}
        )

    def with_text(self) -> Ints:
        """Positions of the queries that have a text, ascending int64: the others find nothing."""
        return np.flatnonzero([bool(query.text.strip()) for query in self.queries]).astype(np.int64)

    def spread(self, candidates: Candidates, rows: Ints) -> Candidates:
        """What was found for a :meth:`part`, as a table of all queries, in which the others have no candidate. The
        trace, which the part has filled, becomes one of all queries too.
        """
        place = np.full(len(self), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))

        def of_all(keys: KeyTexts) -> KeyTexts:
            return lambda at: keys((place[at[0]], at[1]))

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
            self.ledger.spend(texts_embedded=len(self))
            return embedder.embed_query_tokens(self.texts)

        return self.remember("tokens", embedder.fingerprint, embed)

    def remember(self, what: str, fingerprint: str, compute: Callable[[], T]) -> T:
        """A value computed once per batch, shared by all components of one fingerprint."""
        key = (what, fingerprint)
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

    def asking(self, queries: Sequence[Query], vectors: Callable[[Embedder], Vectors] | None = None) -> QueryBatch:
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
            _found={},
            _vectors=vectors,
            _remembered={},
            _paid=set(),
        )

    def elsewhere(self) -> QueryBatch:
        """The same queries, asked of something that is no corpus of the pipeline's, such as its keys: what is known of
        the queries is shared, lists are not.
        """
        return replace(self, trace=None, lists={}, _found={})

    def found_by(self, retriever: Retriever, *, recorded: bool = True) -> Candidates:
        """What a retriever finds for these queries; an equal one that was asked before is not asked again. Its parts
        are recorded, unless ``recorded`` is false.
        """
        if not recorded:
            return replace(self, trace=None, lists={}).found_by(retriever)  # what was found is remembered here too
        known = self._found.get(retriever.fingerprint)
        if known is None:
            earlier = set(self.lists)
            table = retriever.retrieve(self)
            inside = {name: self.lists[name] for name in self.lists if name not in earlier}
            self._found[retriever.fingerprint] = table, self._below(self._place, inside)
            return table
        for step, table in known[1].items():  # the parts have the same names whether it is asked or remembered
            self.record(f"{self._place}{step}", table)
        return known[0]

    def was_found(self, retriever: Retriever, table: Candidates) -> None:
        """Tell what the pipeline's retriever finds for these queries."""
        self._found[retriever.fingerprint] = table, self._below("retriever", self.lists)

    @staticmethod
    def _below(place: str, lists: Mapping[str, Candidates]) -> dict[str, Candidates]:
        """Lists of the parts of what is asked at a place, by what their names add to it."""
        return {name[len(place) :]: table for name, table in lists.items() if name.startswith(f"{place}.")}

    @contextmanager
    def at(self, step: str) -> Iterator[None]:
        """Around a step of the pipeline: what is inside it is recorded under its name."""
        outer, self._place = self._place, step
        try:
            yield
        finally:
            self._place = outer

    @property
    def place(self) -> str:
        """The name of what is being asked, such as ``retriever.0 bm25`` or ``stages.0 rerank``."""
        return self._place

    @contextmanager
    def inside(self, step: str) -> Iterator[str]:
        """Around a part of a stage that is recorded by itself: gives the name to record it under."""
        outer, self._place = self._place, f"{self._place}.{step}"
        try:
            yield self._place
        finally:
            self._place = outer

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
        return self._paid | {fingerprint for what, fingerprint in self._remembered if what == "embeddings"}

    def paid(self, fingerprints: set[str]) -> None:
        """Vectors by these embedders are booked already; whoever asks for them books them no more."""
        self._paid |= fingerprints

    def doubt(self, why: str) -> None:
        """Say that what is found hangs on something that failed this time, such as a summary: no store keeps it."""
        self._doubts.add(why)

    @property
    def is_doubtful(self) -> bool:
        """Whether :meth:`doubt` was said of this batch, or of one made from it."""
        return bool(self._doubts)

    def _groups(self, passages: Passages) -> list[Group]:
        rows: dict[str, list[int]] = {}
        for row, query in enumerate(self.queries):
            rows.setdefault("" if query.filter is None else condition_key(query.filter), []).append(row)
        groups = []
        for members in rows.values():
            condition = self.queries[members[0]].filter
            if condition is None:
                allowed: Ints | slice | None = passages.findable
            else:
                mask = passages.corpus.fields.mask(condition)
                allowed = passages.where(mask if passages.alive is None else mask & passages.alive)
            groups.append(Group(slice(None) if len(rows) == 1 else np.array(members), allowed))
        return groups

    def embed_documents(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        """Vectors of texts that are asked with in place of the queries', as of documents, float32 [n, d]; from the
        store where it has them.

        Raises:
            ModelError: The embedder gave vectors that are not finite.
        """
        embedder = embedder.base
        self.ledger.spend(texts_embedded=len(texts))
        return self._kept(
            embedder, "embeddings", texts, embedder.embed_documents, lambda place: repr(texts[place])[:80]
        )

    def _embed(self, embedder: Embedder) -> Vectors:
        if not len(self):
            return np.empty((0, embedder.dimension), dtype=np.float32)
        if self._vectors is not None:
            return embedder.checked(self._vectors(embedder), len(self))
        if embedder.base is not embedder:
            return embedder.of_queries(self)
        ids = [query.id for query in self.queries]
        ledger = self.ledger
        if embedder.fingerprint in self._paid:
            self.ledger = Ledger()
        try:
            self.ledger.spend(texts_embedded=len(self))
            return self._kept(
                embedder, "query_embeddings", self.texts, embedder.embed_queries, lambda place: f"query '{ids[place]}'"
            )
        finally:
            self.ledger = ledger

    def _kept(
        self,
        embedder: Embedder,
        what: str,
        texts: Sequence[str],
        embed: Callable[[list[str]], Vectors],
        name: Callable[[int], str],
    ) -> Vectors:
        """Vectors of texts, from the store's ``what`` where it has them."""

        def computed(places: list[int]) -> Vectors:
            vectors = embedder.checked(embed([texts[place] for place in places]), len(places))
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
            if len(bad):
                which = name(places[int(bad[0])])
                raise ModelError(f"the embedder {embedder.spec.label} gave NaN or infinite values for {which}")
            return vectors

        def blocks(places: list[int]) -> Iterator[list[tuple[int, bytes]]]:
            for first in range(0, len(places), EMBEDDED_TOGETHER):
                some = places[first : first + EMBEDDED_TOGETHER]
                yield [(place, row.tobytes()) for place, row in zip(some, computed(some).astype("<f4"), strict=True)]

        values = embedder.spec.values_in(self.store, what)
        if values is None:
            return computed(list(range(len(texts))))
        filled = values.fill([text_key(text) for text in texts], blocks)
        self.ledger.spend(seconds=filled.seconds)
        return np.frombuffer(b"".join(filled.values), dtype="<f4").reshape(len(texts), -1)
