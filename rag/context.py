"""What fitting a pipeline is given: documents, passages, training data, and a memory of what was fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rag.candidates import Vectors
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.costs import Ledger
from rag.errors import ModelError
from rag.types import Query

if TYPE_CHECKING:
    from rag.component import Component
    from rag.embedders.base import Embedder, TokenEmbedder, TokenVectors

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
    """

    corpus: Corpus
    passages: Passages
    training: Training | None = None
    ledger: Ledger = field(default_factory=Ledger)
    progress: Progress = no_progress
    seed: int = 0
    _fitted: dict[str, Component] = field(default_factory=dict)
    _embedded: dict[str, Vectors] = field(default_factory=dict)
    _tokens: dict[str, TokenVectors] = field(default_factory=dict)

    def fit(self, component: Component) -> None:
        """Fit a component, or give it the state of an identical one that is fitted already."""
        twin = self._fitted.get(component.fingerprint)
        if twin is None:
            component.fit(self)
            self._fitted[component.fingerprint] = component
        elif twin is not component:
            component.adopt(twin)

    def embed_passages(self, embedder: Embedder) -> Vectors:
        """Vectors of all passages by this embedder, float32 [n, d]; computed once, whoever asks.

        Raises:
            ModelError: The embedder gave vectors that are not finite.
        """
        if embedder.fingerprint not in self._embedded:
            vectors = np.empty((len(self.passages), embedder.dimension), dtype=np.float32)
            done = 0
            with self.progress(f"embedding passages ({embedder.type})", len(vectors)) as advance:
                # Blocks of some thousand texts: enough to sort by length, and progress is seen.
                for block in self.passages.iter_texts():
                    embedded = embedder.embed_documents(block, advance=advance)
                    vectors[done : done + len(block)] = embedder.checked(embedded, len(block))
                    done += len(block)
            self._keep(embedder, vectors)
        return self._embedded[embedder.fingerprint]

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
            self._keep(embedder, np.concatenate(vectors))
            self._tokens[embedder.fingerprint] = type(parts[0]).concatenate(parts)
        return self._tokens[embedder.fingerprint]

    def _keep(self, embedder: Embedder, vectors: Vectors) -> None:
        self.ledger.spend(texts_embedded=len(vectors))
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            owner = self.corpus[int(self.passages.document[bad[0]])].id
            raise ModelError(
                f"the embedder {embedder.label()} gave NaN or infinite values for {len(bad)} of {len(vectors)} "
                f"passages, the first one of document '{owner}'"
            )
        self._embedded[embedder.fingerprint] = vectors
