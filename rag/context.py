"""What fitting a pipeline is given: documents, passages, training data, and a memory of what was fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rag.candidates import Vectors
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.costs import Ledger
from rag.errors import ModelError
from rag.store.fingerprint import fingerprint
from rag.store.values import Values, text_key
from rag.types import Query

if TYPE_CHECKING:
    from rag.component import Component
    from rag.embedders.base import Embedder, TokenEmbedder, TokenVectors
    from rag.store.store import Store

_KEPT_TOGETHER = 512
"""Vectors computed between two writes to the store: what a kill can lose."""

__all__ = ["FitContext", "Progress", "Training", "no_progress"]


@dataclass(frozen=True)
class Training:
    """Judged queries to learn from; never those that are reported on.

    Args:
        queries: The queries.
        judgements: Grade by document id by query id; a grade above 0 is relevant.
    """

    queries: Sequence[Query]
    judgements: Mapping[str, Mapping[str, int]]


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
    """

    corpus: Corpus
    passages: Passages
    training: Training | None = None
    ledger: Ledger = field(default_factory=Ledger)
    progress: Progress = no_progress
    seed: int = 0
    store: Store | None = None
    reused: list[str] = field(default_factory=list)
    _fitted: dict[str, Component] = field(default_factory=dict)
    _embedded: dict[str, Vectors] = field(default_factory=dict)
    _tokens: dict[str, TokenVectors] = field(default_factory=dict)

    def fit(self, component: Component) -> None:
        """Fit a component, or give it the state of an identical one that is fitted already, here or in the store."""
        twin = self._fitted.get(component.fingerprint)
        if twin is None:
            if component.keeps_state:
                self.build(component, lambda: component.fit(self))
            else:
                component.fit(self)
            self._fitted[component.fingerprint] = component
        elif twin is not component:
            component.adopt(twin)

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
        if self.store is None or not all(part.is_lasting for part in parts):
            make()
            return

        made = []

        def write(folder: Path) -> None:
            make()
            component.save_state(folder)
            made.append(folder)

        key = self._key(component, inputs)
        about = f"{component!r} on {len(self.passages)} passages"
        folder = self.store.artifact(component.kind, key, write, about=about)
        if not made:
            for _, child in component.children():
                self.fit(child)
            component.load_state(folder, self)
            self.reused.append(f"{component.kind} {component.type}")

    def is_built(self, component: Component) -> bool:
        """Whether :meth:`fit` would find the component's state in the store."""
        return (
            self.store is not None
            and component.is_lasting
            and self.store.has(component.kind, self._key(component, None))
        )

    def _key(self, component: Component, inputs: Mapping[str, Component | str] | None) -> str:
        learned = self._training_fingerprint if any("training" in part.needs for _, part in component.walk()) else ""
        given = {k: v if isinstance(v, str) else v.content_fingerprint for k, v in (inputs or {}).items()}
        made_of = [component.content_fingerprint, self.passages.fingerprint, learned, self.seed, given]
        return fingerprint(made_of)

    @cached_property
    def _training_fingerprint(self) -> str:
        if self.training is None:
            return ""
        queries = [[query.id, query.text] for query in self.training.queries]
        return fingerprint([queries, {query: dict(judged) for query, judged in self.training.judgements.items()}])

    def embed_passages(self, embedder: Embedder) -> Vectors:
        """Vectors of all passages by this embedder, float32 [n, d]; computed once, whoever asks.

        Raises:
            ModelError: The embedder gave vectors that are not finite.
        """
        if embedder.fingerprint not in self._embedded:
            values = self._values(embedder)
            vectors = np.empty((len(self.passages), self._dimension(embedder, values)), dtype=np.float32)
            done = 0
            with self.progress(f"embedding passages ({embedder.type})", len(vectors)) as advance:
                # Blocks of some thousand texts: enough to sort by length, and progress is seen.
                for block in self.passages.iter_texts():
                    vectors[done : done + len(block)] = self._embed(embedder, block, values, advance)
                    done += len(block)
            self._keep(embedder, vectors)
        return self._embedded[embedder.fingerprint]

    def _values(self, embedder: Embedder) -> Values | None:
        """Where the store keeps this embedder's vectors by text.

        Nowhere for one that was fitted on this corpus: its vectors are worth nothing for another.
        """
        if self.store is None or "corpus" in embedder.needs or not embedder.is_lasting:
            return None
        return self.store.values("embeddings", embedder.content_fingerprint, about=repr(embedder))

    def _dimension(self, embedder: Embedder, values: Values | None) -> int:
        """Length of the vectors; a vector in the store tells it without loading the model."""
        if values is not None:
            first = text_key(next(iter(self.passages.iter_texts()))[0])
            known = values.get([first])
            if known:
                return len(known[first]) // 4
        return embedder.dimension

    def _embed(
        self, embedder: Embedder, texts: list[str], values: Values | None, advance: Callable[[int], None]
    ) -> Vectors:
        """Vectors of texts, from the store where it has them; those it has not are kept as they come."""
        if values is None:
            vectors = embedder.checked(embedder.embed_documents(texts, advance=advance), len(texts))
            self.ledger.spend(texts_embedded=len(texts))
            return vectors
        keys = [text_key(text) for text in texts]
        known = values.get(list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        advance(len(texts) - len(missing))
        todo = sorted(missing, key=lambda key: len(missing[key]), reverse=True)
        for first in range(0, len(todo), _KEPT_TOGETHER):
            some = todo[first : first + _KEPT_TOGETHER]
            embedded = embedder.checked(embedder.embed_documents([missing[key] for key in some]), len(some))
            fresh = {key: row.tobytes() for key, row in zip(some, embedded.astype("<f4"), strict=True)}
            if np.isfinite(embedded).all():  # otherwise it is refused below, and must not be found again
                values.put(fresh.items())
            known |= fresh
            advance(len(some))
        self.ledger.spend(texts_embedded=len(missing))
        return np.frombuffer(b"".join(known[key] for key in keys), dtype="<f4").reshape(len(texts), -1)

    def embed_passage_tokens(self, embedder: TokenEmbedder) -> TokenVectors:
        """Vectors of all tokens of all passages by this embedder, float16; computed once, whoever asks, and what
        :meth:`embed_passages` gives comes from the same pass.
        """
        if embedder.fingerprint not in self._tokens:
            parts, vectors = [], []
            with self.progress(f"embedding tokens ({embedder.type})", len(self.passages)) as advance:
                for block in self.passages.iter_texts():
                    if block:
                        one, whole = embedder.embed_document_tokens(block, advance=advance)
                        parts.append(one)
                        vectors.append(embedder.checked(whole, len(block)))
            self.ledger.spend(texts_embedded=len(self.passages))
            self._keep(embedder, np.concatenate(vectors))
            self._tokens[embedder.fingerprint] = type(parts[0]).concatenate(parts)
        return self._tokens[embedder.fingerprint]

    def _keep(self, embedder: Embedder, vectors: Vectors) -> None:
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            owner = self.corpus[int(self.passages.document[bad[0]])].id
            raise ModelError(
                f"the embedder {embedder.label()} gave NaN or infinite values for {len(bad)} of {len(vectors)} "
                f"passages, the first one of document '{owner}'"
            )
        self._embedded[embedder.fingerprint] = vectors
