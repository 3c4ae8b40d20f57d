"""Late interaction over token embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from rag.candidates import Floats, Ints
from rag.component import Inherited
from rag.component.inheritance import given
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.errors import NotFittedError
from rag.rerankers.base import Scorer

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["MaxSim"]

_BLOCK = 1 << 25
"""Numbers gathered at a time while scoring: 128 MiB of float32."""


class MaxSim(Scorer):
    """For each token of the query, the best cosine among the passage's tokens (ColBERT: Khattab and Zaharia 2020).

    Works with any sentence-transformers checkpoint by its last hidden states; checkpoints trained for it do better.
    Departs from the paper in giving the mean over query tokens instead of the sum (ranking within a query is the same,
    scores lie in [-1, 1] whatever the query's length), and in adding no mask tokens to queries.

    Tokens of all passages are embedded when the pipeline is fitted and kept in float16: 2 bytes x tokens x dimensions,
    about 100 KiB for a passage of 128 tokens and 384 dimensions. A query then costs its own encoding and products. When
    a dense retriever has the same embedder, its vectors come from the same pass.

    Args:
        embedder: Gives the token vectors; the retriever's, when none is given.
    """

    type = "max_sim"
    keeps_scores = False
    needs = frozenset({"corpus"})

    def __init__(self, *, embedder: Annotated[TokenEmbedder | None, Inherited()] = None) -> None:
        self.embedder = embedder
        self._tokens: TokenVectors | None = None

    @property
    def _encoder(self) -> TokenEmbedder:
        return given(self.embedder, self)

    def prepare(self, context: FitContext) -> None:
        super().prepare(context)
        context.fit(self._encoder)
        if not context.is_cached(self) and context.n_kept < len(context.passages):
            context.embed_passage_tokens(self._encoder, start=context.n_kept)

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._tokens = context.embed_passage_tokens(self._encoder)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        tokens = self._fitted()
        context.fit(self._encoder)
        if len(kept) < len(tokens.ends) - 1:
            tokens = tokens.take(kept)
        if len(kept) < len(context.passages):
            new = context.embed_passage_tokens(self._encoder, start=len(kept))
            tokens = TokenVectors.concatenate([tokens, new])
        if tokens is self._tokens:
            context.keep(self)
        self._tokens, self._passages = tokens, context.passages

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        tokens, queries = self._fitted(), batch.token_vectors(self._encoder)
        lengths = tokens.ends[passages + 1] - tokens.ends[passages]
        scores = np.empty(len(rows), dtype=np.float32)
        # One product per query and block of its passages: queries differ in their tokens, passages are gathered.
        limit = max(1, _BLOCK // tokens.vectors.shape[1])
        first = 0
        while first < len(rows):
            row = int(rows[first])
            last = int(np.searchsorted(rows, row, side="right"))
            last = min(last, first + max(1, int(np.searchsorted(np.cumsum(lengths[first:last]), limit, side="right"))))
            some = lengths[first:last]
            starts = np.cumsum(some) - some
            take = np.repeat(tokens.ends[passages[first:last]] - starts, some) + np.arange(int(some.sum()))
            gathered = tokens.vectors[take].astype(np.float32)
            similarity = gathered @ queries.vectors[queries.ends[row] : queries.ends[row + 1]].T
            filled = some > 0
            scores[first:last] = -1.0  # a passage without a token is as far away as can be
            scores[first:last][filled] = np.maximum.reduceat(similarity, starts[filled], axis=0).mean(axis=1)
            first = last
        return scores

    def save_state(self, folder: Path) -> None:
        np.save(folder / "tokens.npy", self._fitted().vectors)
        np.save(folder / "ends.npy", self._fitted().ends)

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._tokens = TokenVectors(np.load(folder / "tokens.npy", mmap_mode="r"), np.load(folder / "ends.npy"))

    def _fitted(self) -> TokenVectors:
        if self._tokens is None:
            raise NotFittedError("'max_sim' has not been fitted: fit the pipeline it is in first")
        return self._tokens
