"""What fitting a pipeline is given: documents, passages, training data, and a memory of what was fitted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rag.batch import EMBEDDED_TOGETHER, QueryBatch
from rag.candidates import Candidates, Ints, Vectors
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.costs import Costs, Ledger
from rag.embedders.window import window_remark
from rag.errors import ConfigError, ModelError
from rag.remarks import Remark, Remarks
from rag.store.fingerprint import fingerprint
from rag.store.values import Values, text_key
from rag.types import Document, Query

if TYPE_CHECKING:
    from rag.component import Component, Need
    from rag.embedders.base import Embedder, TokenEmbedder, TokenVectors
    from rag.learning.unseen import LeaveOut, Unseen
    from rag.stage import Retriever
    from rag.store.pieces import Pieces
    from rag.store.store import Store

__all__ = ["FitContext", "Progress", "Training", "no_progress"]

logger = logging.getLogger("rag.fit")


@dataclass(frozen=True)
class Training:
    """Judged queries to learn from; never those that are reported on.

    Args:
        queries: The queries.
        judgements: Grade by document id by query id; a grade above 0 is relevant.
        dev: Other judged queries, to choose with between what was learned and what was not; nothing learns from them.
            None where there are none: then a part of the training queries is kept from learning for that.
    """

    queries: Sequence[Query]
    judgements: Mapping[str, Mapping[str, int]]
    dev: Training | None = None


class Progress(Protocol):
    """Opens a progress bar: ``with progress("embedding", total) as advance: advance(32)``; None when nobody knows."""

    def __call__(self, title: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]: ...


class _NoProgress(AbstractContextManager["Callable[[int], None]"]):
    def __enter__(self) -> Callable[[int], None]:
        return lambda done: None

    def __exit__(self, *error: object) -> None:
        return None


def no_progress(title: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    """Shows nothing: the default of the Python API."""
    return _NoProgress()


@dataclass(frozen=True)
class Upstream:
    """The steps of the pipeline before the one that is being fitted.

    Args:
        run: Sends a batch through them.
        key: Identity of what comes out; None when it means nothing to another process.
    """

    run: Callable[[QueryBatch], Candidates]
    key: str | None


@dataclass
class FitContext:
    """Passed down the tree by ``fit``.

    Args:
        corpus: The documents.
        passages: The pieces of them that the chunker made: what is indexed.
        training: Judged queries, for components that learn.
        ledger: What fitting costs, by stage.
        progress: Shows how far long work is.
        seed: For everything random.
        store: Where what is built is kept and found again; None keeps nothing.
        reused: What came from the store instead of being built.
        kept: When a fitted pipeline is brought up to date: which of its passages stay, as positions in the old table,
            ascending; in the new one they come first. None when everything is fitted from nothing.
        relabelled: Then, whether metadata of documents that stay has changed.
        first: The retriever of the pipeline, for what comes behind it and takes parts of it; None outside a pipeline,
            and over other passages than its own.
        remarks: What was cut or left out.
    """

    corpus: Corpus
    passages: Passages
    training: Training | None = None
    ledger: Ledger = field(default_factory=Ledger)
    progress: Progress = no_progress
    seed: int = 0
    store: Store | None = None
    reused: list[str] = field(default_factory=list)
    kept: Ints | None = None
    relabelled: bool = False
    first: Retriever | None = None
    remarks: Remarks = field(default_factory=Remarks)
    _recordings: list[Remarks] = field(default_factory=list)
    """Of the artifacts that are being built: what was remarked meanwhile, to be remarked again where they are found."""
    _windows: dict[tuple[str, int], Remark | None] = field(default_factory=dict)
    _fitted: dict[tuple[str, int | None], Component] = field(default_factory=dict)
    _unit: str = "passages"
    """What the texts that are fitted on are called."""
    _upstream: Upstream | None = None
    _n_before: int = 0
    """Steps before the one that is being fitted."""
    _training_runs: dict[str, tuple[QueryBatch, Candidates]] = field(default_factory=dict)
    _training_batch: QueryBatch | None = None
    _unseen: dict[str, Unseen] = field(default_factory=dict)
    _embedded: dict[tuple[str, int], Vectors] = field(default_factory=dict)
    _tokens: dict[tuple[str, int], TokenVectors] = field(default_factory=dict)
    _unfinished: list[Pieces] = field(default_factory=list)
    _as_before: list[Component] = field(default_factory=list)

    def fit(self, component: Component) -> None:
        """Fit a component, or give it the state of an identical one that is fitted already, here or in the store. In a
        fitted pipeline, bring it up to date.
        """
        if self.kept is not None and any(_learns(part) for _, part in component.spec.walk()):
            component.update(self, self.kept)  # what it learned is its own, whatever else is configured alike
            return
        # What learns from candidates is another thing behind other steps.
        place = self._n_before if _needs(component, "candidates") else None
        twin = self._fitted.get((component.fingerprint, place))
        if twin is None:
            if self.kept is not None:
                component.update(self, self.kept)
            elif component.spec.caches_state:
                self.build(component, lambda: component.fit(self))
            else:
                component.fit(self)
            self._fitted[component.fingerprint, place] = component
        elif twin is not component:
            component.spec.copy_state_from(twin)
            for (_, mine), (_, theirs) in zip(component.spec.walk(), twin.spec.walk(), strict=True):
                if self.is_kept(theirs):
                    self.keep(mine)

    @property
    def n_kept(self) -> int:
        """Passages that the pipeline had before; what it must look at are those from this position on."""
        return 0 if self.kept is None else len(self.kept)

    def note(self, remark: Remark) -> None:
        """Add a remark on what is being fitted; logged once."""
        if remark.message not in self.remarks.messages:
            logger.warning("%s", remark)
        for remarks in (self.remarks, *self._recordings):
            remarks.extend([remark])

    def keep(self, component: Component) -> None:
        """Say of a component that its ``save_state`` would write what it wrote before the update."""
        self._as_before.append(component)

    def is_kept(self, component: Component) -> bool:
        """Whether :meth:`keep` was said of it."""
        return any(one is component for one in self._as_before)

    def after(self, upstream: Upstream) -> None:
        """What is fitted from now on comes after these steps of the pipeline."""
        self._upstream, self._training_runs = upstream, {}
        self._n_before += 1

    @property
    def upstream_key(self) -> str:
        """Identity of the steps before the one that is being fitted; empty where there are none, or it is not known."""
        return (self._upstream.key if self._upstream else None) or ""

    def training_run(self, leave_out: LeaveOut = "duplicates") -> tuple[QueryBatch, Candidates]:
        """The training queries, and what the steps before the one that is being fitted find for them, each as if
        neither it nor what ``leave_out`` says had ever been judged; computed once, and from the store when it was
        computed before.
        """
        if self.training is None or self._upstream is None:
            raise ConfigError("training queries and the steps before are needed: fit this as a stage of a pipeline")
        if leave_out not in self._training_runs:
            unseen = self.unseen(leave_out)
            self._training_runs[leave_out] = self._upstream_run(self.training.queries, unseen)
        return self._training_runs[leave_out]

    def dev_run(self) -> tuple[QueryBatch, Candidates] | None:
        """The same of :attr:`Training.dev`, which nothing has seen; None where there are none."""
        if self.training is None or self.training.dev is None or self._upstream is None:
            return None
        if "dev" not in self._training_runs:
            self._training_runs["dev"] = self._upstream_run(self.training.dev.queries, None)
        return self._training_runs["dev"]

    def _upstream_run(self, queries: Sequence[Query], unseen: Unseen | None) -> tuple[QueryBatch, Candidates]:
        assert self._upstream is not None
        batch = QueryBatch(queries, trace={}, store=self.store, unseen=unseen)
        candidates = self._upstream.run(batch)
        spent = batch.ledger.total
        spent.seconds = 0.0  # has been booked as it passed
        self.ledger.book(spent)
        self.ledger.join_calls(batch.ledger)
        return batch, candidates

    def training_batch(self) -> QueryBatch:
        """The training queries for a part of a retriever that learns from what other parts find: each is answered as if
        neither it nor what is the same question had ever been judged. The same batch for all who ask.
        """
        if self.training is None:
            raise ConfigError("training queries are needed: give some to fit")
        if self._training_batch is None:
            self._training_batch = QueryBatch(
                self.training.queries, store=self.store, ledger=self.ledger, unseen=self.unseen()
            )
        return self._training_batch

    def unseen(self, leave_out: LeaveOut = "duplicates") -> Unseen:
        """What training queries must not see of each other's judgements."""
        from rag.learning.unseen import Unseen

        assert self.training is not None
        if leave_out not in self._unseen:
            self._unseen[leave_out] = Unseen.of(self.training, leave_out)
        return self._unseen[leave_out]

    def build(
        self, component: Component, make: Callable[[], None], *, inputs: Mapping[str, Component | str] | None = None
    ) -> None:
        """Have ``make`` build a component's state, or load it from the store when it was built before; then the
        components it holds are fitted first.

        Args:
            component: Saves and loads the state.
            make: Builds it.
            inputs: What it is built from besides the passages, the training data and the seed.
        """
        parts = [component, *(part for part in (inputs or {}).values() if not isinstance(part, str))]
        unnamed = self._upstream is not None and self._upstream.key is None and _needs(component, "candidates")
        if self.store is None or unnamed or not all(part.spec.is_serializable for part in parts):
            make()
            return

        made = []

        recording = Remarks()

        def write(folder: Path) -> dict[str, Any]:
            before, start = self.ledger.total, time.perf_counter()
            self._recordings.append(recording)
            try:
                make()
            finally:
                self._recordings.pop()
            component.save_state(folder)
            made.append(folder)
            spent = self.ledger.total
            spent -= before
            spent.seconds += time.perf_counter() - start  # the open stage's own time is not booked yet
            return spent.as_dict() | ({"remarks": recording.as_dicts()} if recording else {})

        key = self._key(component, inputs)
        about = f"{component!r} on {len(self.passages)} passages"
        folder = self.store.artifact(component.kind, key, write, about=about)
        if not made:
            for _, child in component.spec.children():
                self.fit(child)
            component.load_state(folder, self)
            costs = dict(self.store.remarks(component.kind, key) or {})
            for remark in costs.pop("remarks", ()):
                self.note(Remark.from_dict(remark))
            self.ledger.book(Costs(**costs))
            self.reused.append(f"{component.kind} {component.type}")

    def is_built(self, component: Component) -> bool:
        """Whether :meth:`fit` would find the component's state in the store."""
        return (
            self.store is not None
            and self.kept is None
            and component.spec.is_serializable
            and self.store.has(component.kind, self._key(component, None))
        )

    def _key(self, component: Component, inputs: Mapping[str, Component | str] | None) -> str:
        parts = [component, *(part for part in (inputs or {}).values() if not isinstance(part, str))]
        learned = self.training_fingerprint if any(part.spec.learns for part in parts) else ""
        given = {k: v if isinstance(v, str) else v.spec.cache_key for k, v in (inputs or {}).items()}
        upstream = self._upstream.key if self._upstream and _needs(component, "candidates") else None
        made_of = [component.spec.cache_key, self.passages.fingerprint, learned, self.seed, given, upstream]
        return fingerprint(made_of)

    @cached_property
    def training_fingerprint(self) -> str:
        """Hash of the training queries and judgements, and of the ids and metadata that judgements and filters mean;
        empty without any.
        """
        if self.training is None:
            return ""
        dev = [] if self.training.dev is None else _judged(self.training.dev)
        return fingerprint([*_judged(self.training), self.corpus.fingerprint, *dev])

    def embed_passages(self, embedder: Embedder, *, start: int = 0) -> Vectors:
        """Vectors of all passages by this embedder, or of those from a position on, float32 [n - start, d]; computed
        once, whoever asks.

        Raises:
            ModelError: The embedder gave vectors that are not finite.
        """
        embedder = embedder.base
        key = (embedder.fingerprint, start)
        self._check_window(embedder, start)
        if key not in self._embedded:
            values = embedder.spec.values_in(self.store, "embeddings")
            n = len(self.passages) - start
            vectors = np.empty((n, self._dimension(embedder, values, start)), dtype=np.float32)
            done = 0
            with self.progress(f"embedding passages ({embedder.type})", n) as advance:
                # Blocks of some thousand texts: enough to sort by length, and progress is seen.
                for block in self.passages.iter_texts(start):
                    vectors[done : done + len(block)] = self._embed(embedder, block, values, start + done, advance)
                    done += len(block)
            self._keep(embedder, vectors, start)
        return self._embedded[key]

    def embed_texts(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        """Vectors of texts that are no passages, as of documents, float32 [n, d]; from the store where it has them."""
        corpus = Corpus.from_documents(Document(str(number), text) for number, text in enumerate(texts))
        return self.over(Passages.whole(corpus)).embed_passages(embedder)

    def over(self, passages: Passages, shared: Iterable[Component] = (), *, kept: Ints | None = None) -> FitContext:
        """The same, over other passages, such as keys: nothing that is fitted there is taken for what is fitted here.

        Args:
            passages: What is fitted on.
            shared: Components fitted here that are used there as they are.
            kept: As for the class: of what was fitted there before, what stays.
        """
        fitted: dict[tuple[str, int | None], Component] = {(one.fingerprint, None): one for one in shared}
        return replace(
            self,
            corpus=passages.corpus,
            passages=passages,
            kept=kept,
            first=None,
            _training_batch=None,
            _fitted=fitted,
            _embedded={},
            _tokens={},
            _windows={},
            _unit="keys",
        )

    def _check_window(self, embedder: Embedder, start: int) -> None:
        """Remark on passages from ``start`` on that are longer than what the embedder reads, before any is embedded."""
        key = (embedder.fingerprint, start)
        if key not in self._windows:
            values = None if start else embedder.spec.values_in(self.store, "windows")
            self._windows[key] = window_remark(embedder, self.passages, start=start, unit=self._unit, values=values)
        if remark := self._windows[key]:
            self.note(remark)

    def _dimension(self, embedder: Embedder, values: Values | None, start: int) -> int:
        """Length of the vectors; a vector in the store tells it without loading the model."""
        if values is not None:
            first = text_key(next(iter(self.passages.iter_texts(start)))[0])
            known = values.get([first])
            if known:
                return len(known[first]) // 4
        return embedder.dimension

    def _embed(
        self, embedder: Embedder, texts: list[str], values: Values | None, start: int, advance: Callable[[int], None]
    ) -> Vectors:
        """Vectors of the passages from ``start`` on, from the store where it has them; others are kept as they come."""
        if values is None:
            vectors = embedder.checked(embedder.embed_documents(texts, advance=advance), len(texts))
            self.ledger.spend(texts_embedded=len(texts))
            return vectors

        def embed(places: list[int]) -> Iterator[list[tuple[int, bytes]]]:
            places = sorted(places, key=lambda place: len(texts[place]), reverse=True)
            for first in range(0, len(places), EMBEDDED_TOGETHER):
                some = places[first : first + EMBEDDED_TOGETHER]
                vectors = embedder.checked(embedder.embed_documents([texts[place] for place in some]), len(some))
                self._check_finite(embedder, vectors, start + np.array(some))  # what is not must not be kept
                yield [(place, row.tobytes()) for place, row in zip(some, vectors.astype("<f4"), strict=True)]
                advance(len(some))

        filled = values.fill([text_key(text) for text in texts], embed)
        advance(len(texts) - filled.n_computed)
        self.ledger.spend(seconds=filled.seconds, texts_embedded=len(texts))
        return np.frombuffer(b"".join(filled.values), dtype="<f4").reshape(len(texts), -1)

    def embed_passage_tokens(self, embedder: TokenEmbedder, *, start: int = 0) -> TokenVectors:
        """Vectors of all tokens of all passages by this embedder, or of those from a position on, float16; computed
        once, whoever asks, and what :meth:`embed_passages` gives comes from the same pass. With a store, a pass that
        was stopped goes on where it was.
        """
        key = (embedder.fingerprint, start)
        self._check_window(embedder, start)
        if key not in self._tokens:
            parts, vectors = [], []
            n = len(self.passages) - start
            pieces = self._pieces(embedder, start)
            with self.progress(f"embedding tokens ({embedder.type})", n) as advance:
                for number, texts in enumerate(_split(self.passages.iter_texts(start), pieces is not None)):
                    known = pieces and pieces.get(number, 3)
                    if known:
                        one, whole = _token_vectors(known), known[2]
                        advance(len(texts))
                    else:
                        one, whole = embedder.embed_document_tokens(texts, advance=advance)
                        whole = embedder.checked(whole, len(texts))
                        if pieces:
                            pieces.put(number, [one.vectors, one.ends, whole])
                    parts.append(one)
                    vectors.append(whole)
            self.ledger.spend(texts_embedded=n)
            self._keep(embedder, np.concatenate(vectors), start)
            self._tokens[key] = type(parts[0]).concatenate(parts)
        return self._tokens[key]

    def _pieces(self, embedder: TokenEmbedder, start: int) -> Pieces | None:
        if self.store is None or not embedder.spec.is_serializable:
            return None
        key = fingerprint([embedder.spec.cache_key, self.passages.fingerprint, start])
        pieces = self.store.pieces("tokens", key)
        if pieces is not None:
            self._unfinished.append(pieces)
        return pieces

    def finish(self) -> None:
        """Everything is fitted and kept: what was kept on the way is not needed any more."""
        for pieces in self._unfinished:
            pieces.remove()
        self._unfinished.clear()

    def _keep(self, embedder: Embedder, vectors: Vectors, start: int) -> None:
        self._check_finite(embedder, vectors, start + np.arange(len(vectors)))
        self._embedded[embedder.fingerprint, start] = vectors

    def _check_finite(self, embedder: Embedder, vectors: Vectors, passages: Ints) -> None:
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            owner = self.corpus[int(self.passages.document[passages[bad[0]]])].id
            raise ModelError(
                f"the embedder {embedder.spec.label} gave NaN or infinite values for {len(bad)} of {len(vectors)} "
                f"passages, the first one of document '{owner}'"
            )


def _split(blocks: Iterable[list[str]], small: bool) -> Iterator[list[str]]:
    """Blocks that are not empty; in pieces that are soon done, where each is kept."""
    for block in blocks:
        step = EMBEDDED_TOGETHER if small else max(len(block), 1)
        yield from (block[first : first + step] for first in range(0, len(block), step))


def _token_vectors(arrays: Sequence[Any]) -> TokenVectors:
    from rag.embedders.base import TokenVectors

    vectors, ends, _ = arrays
    return TokenVectors(vectors, ends)


def _learns(component: Component) -> bool:
    """Whether what it learns hangs on its place: on the steps before it, or on the keys beside it."""
    return "candidates" in component.needs or getattr(component, "learns", False)


def _needs(component: Component, what: Need) -> bool:
    return any(what in part.needs for _, part in component.spec.walk())


def _judged(training: Training) -> list[Any]:
    """Queries and judgements as JSON values."""
    queries = [
        [query.id, query.text, query.filter, [[turn.speaker, turn.text] for turn in query.turns]]
        for query in training.queries
    ]
    return [queries, {query: dict(judged) for query, judged in training.judgements.items()}]
