"""Embed texts through a cache and the store: all vectors are computed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from rag import tracing
from rag.candidates import Ints, Vectors
from rag.errors import ModelError
from rag.models.batching import WeightedProgress
from rag.store.key_value_cache import text_key
from rag.tracing import names

if TYPE_CHECKING:
    from rag.costs import Ledger
    from rag.embedders.base import Embedder
    from rag.embedders.recent import RecentVectors
    from rag.store.key_value_cache import KeyValueCache
    from rag.store.store import Store

__all__ = ["EMBEDDED_TOGETHER", "cached_vectors", "embed_query_texts", "not_finite"]

EMBEDDED_TOGETHER = 512
"""Vectors computed between two writes to the store: what a kill can lose."""


def cached_vectors(
    texts: Sequence[str],
    embed: Callable[[Sequence[int], Callable[[int], None]], Vectors],
    values: KeyValueCache | None,
    ledger: Ledger,
    *,
    longest_first: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> Vectors:
    """Vectors of texts, float32 [n, d]: from the store where it has them; others are kept there as they come.

    The seconds that vectors from the store took when they were computed are booked; how many texts there are is not.

    Args:
        texts: The texts, as they are kept (:meth:`rag.Embedder.stored_as`).
        embed: Gives the vectors of the texts at some positions, float32 [k, d], checked: whatever it gives is kept. It
            is also given a function to call with the number of texts done since the last call.
        values: The cache of the embedder; None computes all at once.
        ledger: Takes the seconds.
        longest_first: Whether long texts are embedded first, so that texts of one length come together.
        advance: Called with the number of texts that are there, at first with those that the store has.
    """
    if values is None:
        return embed(range(len(texts)), advance)

    def blocks(positions: list[int]) -> Iterator[list[tuple[int, bytes]]]:
        advance(len(texts) - len(positions))
        if longest_first:
            positions = sorted(positions, key=lambda position: len(texts[position]), reverse=True)
        progress = WeightedProgress([len(texts[position]) for position in positions], advance)
        for first in range(0, len(positions), EMBEDDED_TOGETHER):
            rows = range(first, min(first + EMBEDDED_TOGETHER, len(positions)))
            block = positions[rows.start : rows.stop]
            vectors = embed(block, progress.inside(rows)).astype("<f4")
            progress.done_until(rows.stop)  # an embedder may count nothing
            yield [(position, row.tobytes()) for position, row in zip(block, vectors, strict=True)]

    filled = values.fill([text_key(text) for text in texts], blocks)
    if not filled.n_computed:
        advance(len(texts))
    ledger.spend(seconds=filled.seconds)
    return np.frombuffer(b"".join(filled.values), dtype="<f4").reshape(len(texts), -1)


def embed_query_texts(
    embedder: Embedder,
    texts: Sequence[str],
    *,
    store: Store | None,
    ledger: Ledger,
    name: Callable[[int], str],
    role: Literal["queries", "documents"] = "queries",
    recent: RecentVectors | None = None,
) -> Vectors:
    """Vectors of a batch's query texts, float32 [n, d], recorded in a ledger.

    Args:
        embedder: The embedder.
        texts: The texts.
        store: Cache of vectors; None computes all.
        ledger: Takes the count and the seconds.
        name: Function that names the text at a position in messages.
        role: Whether the embedder treats the texts as queries or as documents.
        recent: Vectors of the last queries; used for embedders that learn nothing.

    Raises:
        ModelError: The embedder gave vectors that are not finite.
    """
    method = embedder.embed_queries if role == "queries" else embedder.embed_documents

    remembers = recent is not None and role == "queries" and not any(part.needs for _, part in embedder.spec.walk())

    def embed(positions: Sequence[int], advance: Callable[[int], None]) -> Vectors:
        asked = [texts[position] for position in positions]
        model = embedder.spec.arguments.get("model")
        tags = {
            names.OPERATION: "embeddings",
            names.MODEL: str(model or embedder.type),
            names.N_TEXTS: len(asked),
        }
        with tracing.span(f"embeddings {model or embedder.type}", "EMBEDDING", tags) as span:
            if remembers and recent is not None and asked:
                embedded = recent.through(
                    embedder.fingerprint, asked, lambda new: embedder.checked(method(new), len(new))
                )
            else:
                embedded = method(asked)
            vectors = embedder.checked(embedded, len(positions))
            span.set(lambda: {names.DIMENSIONS: int(vectors.shape[1])})
        bad = not_finite(vectors)
        if len(bad):
            which = name(positions[int(bad[0])])
            raise ModelError(f"the embedder {embedder.spec.label} returned NaN or infinite values for {which}")
        return vectors

    ledger.spend(texts_embedded=len(texts))
    values = embedder.spec.values_in(store, "query_embeddings" if role == "queries" else "embeddings")
    stored_as = texts if role == "queries" else list(map(embedder.stored_as, texts))
    return cached_vectors(stored_as, embed, values, ledger)


def not_finite(vectors: Vectors) -> Ints:
    """Rows that hold NaN or infinite values, ascending int64."""
    return np.flatnonzero(~np.isfinite(vectors).all(axis=1)).astype(np.int64)
