"""Late interaction over token embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from rag.candidates import Floats, Ints
from rag.component import Inherited, Later
from rag.component.inheritance import given
from rag.embedders.base import TokenEmbedder
from rag.embedders.max_similarity import max_similarity
from rag.embedders.token_table import TokenStorage
from rag.on_tokens import OnTokens
from rag.rerankers.base import Scorer

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["MaxSim"]


class MaxSim(OnTokens, Scorer):
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
        storage: Annotated[TokenStorage, Later()] = "float16",
    ) -> None:
        self.embedder = embedder
        self.storage = storage

    @property
    def token_embedder(self) -> TokenEmbedder:
        return given(self.embedder, self)

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        return max_similarity(batch.token_vectors(self.token_embedder), self.tokens, rows, passages)
