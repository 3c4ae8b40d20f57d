"""Late interaction over token embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rag.candidates import Floats, Ints
from rag.component import Inherited
from rag.component.inheritance import given
from rag.embedders.base import TokenEmbedder
from rag.embedders.max_similarity import max_similarity
from rag.embedders.token_table import TokenStorage, TokenTable
from rag.errors import NotFittedError
from rag.rerankers.base import Scorer

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext, UpdateContext

__all__ = ["MaxSim"]


class MaxSim(Scorer):
    """For each token of the query, the best cosine among the passage's tokens (ColBERT: Khattab and Zaharia 2020).

    Works with any sentence-transformers checkpoint by its last hidden states; checkpoints trained for it do better.
    Departs from the paper in giving the mean over query tokens instead of the sum (ranking within a query is the same,
    scores lie in [-1, 1] whatever the query's length), and in adding no mask tokens to queries.

    Tokens of all passages are embedded when the pipeline is fitted and kept, in float16 by default: 2 bytes x tokens x
    dimensions, about 100 KiB for a passage of 128 tokens and 384 dimensions. A query then costs its own encoding and
    products. When a dense retriever has the same embedder, its vectors come from the same pass.

    Args:
        embedder: Gives the token vectors; the retriever's, when none is given.
        storage: How they are kept: ``float16``, ``int8`` with a scale for each token (half of it), or ``residual4`` and
            ``residual2``, codes of 4 or 2 bits a dimension beside the nearest centroid (PLAID).
    """

    type = "max_sim"
    keeps_scores = False
    needs = frozenset({"corpus"})

    def __init__(
        self,
        *,
        embedder: Annotated[TokenEmbedder | None, Inherited()] = None,
        storage: TokenStorage = "float16",
    ) -> None:
        self.embedder = embedder
        self.storage = storage
        self._tokens: TokenTable | None = None

    def _identity(self) -> dict[str, Any]:
        identity = super()._identity()
        if self.storage == "float16":  # as it was before there was a choice: what was saved then stays valid
            del identity["storage"]
        return identity

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
        self._tokens = TokenTable.encode(context.embed_passage_tokens(self._encoder), self.storage)

    def update(self, context: UpdateContext, kept: Ints) -> None:
        tokens = self._fitted()
        context.fit(self._encoder)
        if len(kept) < len(tokens):
            tokens = tokens.take(kept)
        if len(kept) < len(context.passages):
            new = context.embed_passage_tokens(self._encoder, start=len(kept))
            tokens = tokens.joined(TokenTable.encode(new, self.storage, like=tokens))
        if tokens is self._tokens:
            context.keep(self)
        self._tokens, self._passages = tokens, context.passages

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        return max_similarity(batch.token_vectors(self._encoder), self._fitted(), rows, passages)

    def save_state(self, folder: Path) -> None:
        self._fitted().save(folder)

    def load_state(self, folder: Any, context: FitContext) -> None:
        super().load_state(folder, context)
        self._tokens = TokenTable.load(folder, self.storage)

    def _fitted(self) -> TokenTable:
        if self._tokens is None:
            raise NotFittedError.of(self)
        return self._tokens
