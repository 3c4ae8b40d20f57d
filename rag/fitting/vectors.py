"""Vectors of passages, computed once for all components."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag.candidates import Ints, Vectors
from rag.corpus.passages import Passages
from rag.costs import Ledger
from rag.embedders.base import Embedder, TokenEmbedder, TokenVectors
from rag.embedders.cache import EMBEDDED_TOGETHER, cached_vectors, not_finite
from rag.embedders.window import window_remark
from rag.errors import ModelError
from rag.execution import embed_documents
from rag.progress import Progress
from rag.remarks import Remark
from rag.store.checkpoint import Checkpoint
from rag.store.fingerprint import fingerprint
from rag.store.key_value_cache import KeyValueCache, text_key
from rag.store.spill import VectorTable, blocks
from rag.store.store import Store

__all__ = ["PassageVectors"]


@dataclass
class PassageVectors:
    """Vectors of passages by any embedder, from a position on.

    Args:
        passages: The passages.
        store: Cache of vectors, by text; None caches nothing.
        ledger: Costs of fitting.
        progress: Callback that shows progress.
        note: Receives a remark on passages longer than an embedder's limit.
        unit: Name of the passages in messages, which may be keys.
        unfinished: Receives checkpoints to remove when everything is fitted.
    """

    passages: Passages
    store: Store | None
    ledger: Ledger
    progress: Progress
    note: Callable[[Remark], None]
    unit: str
    unfinished: list[Checkpoint]
    _windows: dict[tuple[str, int], Remark | None] = field(default_factory=dict)
    _embedded: dict[tuple[str, int], Vectors] = field(default_factory=dict)
    _tokens: dict[tuple[str, int], TokenVectors] = field(default_factory=dict)

    def embed(self, embedder: Embedder, start: int) -> Vectors:
        """See :meth:`rag.FitContext.embed_passages`."""
        embedder = embedder.base
        key = (embedder.fingerprint, start)
        self._check_window(embedder, start)
        if key not in self._embedded and embedder.vector_source is not None:
            vectors = embedder.from_vectors(self.embed(embedder.vector_source, start))
            self._keep(embedder, embedder.checked(vectors, len(self.passages) - start), start)
        if key not in self._embedded and embedder.token_source is not None:
            vectors = embedder.from_tokens(self.embed_tokens(embedder.token_source, start), query=False)
            self._keep(embedder, embedder.checked(vectors, len(self.passages) - start), start)
        if key not in self._embedded:
            values = embedder.spec.values_in(self.store, "embeddings")
            n = len(self.passages) - start
            table = VectorTable(n, self._dimension(embedder, values, start))
            done = 0
            with self.progress(f"embedding passages ({embedder.type})", n) as advance:
                # Blocks of some thousand texts: enough to sort by length, with visible progress.
                for block in self.passages.iter_texts(start):
                    table.append(self._block(embedder, block, values, start + done, advance))
                    done += len(block)
            self._keep(embedder, table.vectors(), start)
        return self._embedded[key]

    def embed_tokens(self, embedder: TokenEmbedder, start: int) -> TokenVectors:
        """See :meth:`rag.FitContext.embed_passage_tokens`."""
        base = embedder.base
        embedder = base if isinstance(base, TokenEmbedder) else embedder
        key = (embedder.fingerprint, start)
        self._check_window(embedder, start)
        if key not in self._tokens and embedder.token_source is not None:
            tokens = embedder.remade_tokens(self.embed_tokens(embedder.token_source, start), query=False)
            self._keep(embedder, embedder.checked(tokens.pooled(), len(self.passages) - start), start)
            self._tokens[key] = self._finite(embedder, tokens, start)
        if key not in self._tokens:
            parts, vectors = [], []
            n = len(self.passages) - start
            pieces = self._checkpoint(embedder, start)
            with self.progress(f"embedding tokens ({embedder.type})", n) as advance:
                for piece, texts in enumerate(_split(self.passages.iter_texts(start), pieces is not None)):
                    checkpointed = pieces and pieces.get(piece, 3)
                    if checkpointed:
                        tokens, whole = TokenVectors(checkpointed[0], checkpointed[1]), checkpointed[2]
                        advance(len(texts))
                    else:
                        tokens, whole = embedder.embed_document_tokens(texts, advance=advance)
                        whole = embedder.checked(whole, len(texts))
                        if pieces:
                            pieces.put(piece, [tokens.vectors, tokens.ends, whole])
                    parts.append(tokens)
                    vectors.append(whole)
            self.ledger.spend(texts_embedded=n)
            self._keep(embedder, np.concatenate(vectors), start)
            self._tokens[key] = self._finite(embedder, TokenVectors.concatenate(parts), start)
        return self._tokens[key]

    def _check_window(self, embedder: Embedder, start: int) -> None:
        """Remark on passages from ``start`` on that exceed the embedder's limit, before any is embedded."""
        key = (embedder.fingerprint, start)
        if key not in self._windows:
            unlimited = start or embedder.window is None
            values = None if unlimited else embedder.spec.values_in(self.store, "windows")
            self._windows[key] = window_remark(embedder, self.passages, start=start, unit=self.unit, values=values)
        if remark := self._windows[key]:
            self.note(remark)

    def _dimension(self, embedder: Embedder, values: KeyValueCache | None, start: int) -> int:
        """Length of the vectors; read from a cached vector if possible, without loading the model."""
        if values is not None:
            first = text_key(embedder.stored_as(next(iter(self.passages.iter_texts(start)))[0]))
            cached = values.get([first])
            if cached:
                return len(cached[first]) // 4
        return embedder.dimension

    def _block(
        self,
        embedder: Embedder,
        texts: list[str],
        values: KeyValueCache | None,
        start: int,
        advance: Callable[[int], None],
    ) -> Vectors:
        """Vectors of the passages from ``start`` on."""

        def embed(positions: Sequence[int], advance: Callable[[int], None]) -> Vectors:
            vectors = embed_documents(embedder, [texts[position] for position in positions], advance)
            vectors = embedder.checked(vectors, len(positions))
            if values is not None:  # those that are not finite must not be cached
                self._check_finite(embedder, vectors, start + np.array(positions))
            return vectors

        names = list(map(embedder.stored_as, texts))
        vectors = cached_vectors(names, embed, values, self.ledger, longest_first=True, advance=advance)
        self.ledger.spend(texts_embedded=len(texts))
        return vectors

    def _checkpoint(self, embedder: TokenEmbedder, start: int) -> Checkpoint | None:
        if self.store is None or not embedder.spec.is_serializable:
            return None
        key = fingerprint([embedder.spec.cache_key, self.passages.fingerprint, start])
        pieces = self.store.checkpoint("tokens", key)
        if pieces is not None:
            self.unfinished.append(pieces)
        return pieces

    def _keep(self, embedder: Embedder, vectors: Vectors, start: int) -> None:
        for first, block in blocks(vectors):
            self._check_finite(embedder, block, start + first + np.arange(len(block)))
        self._embedded[embedder.fingerprint, start] = vectors

    def _finite(self, embedder: Embedder, tokens: TokenVectors, start: int) -> TokenVectors:
        """Token vectors, checked."""
        bad = np.concatenate(
            [first + not_finite(block) for first, block in blocks(tokens.vectors)] or [np.empty(0, int)]
        )
        if len(bad):
            owners = np.unique(np.searchsorted(tokens.ends, bad, side="right") - 1)
            owner = self.passages.corpus[int(self.passages.document[start + owners[0]])].id
            raise ModelError(
                f"the embedder {embedder.spec.label} gave NaN or infinite values for tokens of {len(owners)} of "
                f"{len(tokens.ends) - 1} passages, the first one of document '{owner}'"
            )
        return tokens

    def _check_finite(self, embedder: Embedder, vectors: Vectors, passages: Ints) -> None:
        bad = not_finite(vectors)
        if len(bad):
            owner = self.passages.corpus[int(self.passages.document[passages[bad[0]]])].id
            raise ModelError(
                f"the embedder {embedder.spec.label} returned NaN or infinite values for {len(bad)} of {len(vectors)} "
                f"passages, the first one of document '{owner}'"
            )


def _split(blocks: Iterable[list[str]], small: bool) -> Iterator[list[str]]:
    """Nonempty blocks; split into smaller pieces where each is saved as a checkpoint."""
    for block in blocks:
        step = EMBEDDED_TOGETHER if small else max(len(block), 1)
        yield from (block[first : first + step] for first in range(0, len(block), step))
