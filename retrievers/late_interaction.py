"""Late interaction as a retriever: every token of the query looks for its best match in a passage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Candidates, Floats, Ints
from rag.component import Tunable
from rag.embedders.base import TokenEmbedder
from rag.embedders.max_similarity import best_by_max_similarity, max_similarity
from rag.embedders.token_table import TokenStorage
from rag.on_tokens import OnTokens
from rag.retrievers.keys import best_documents
from rag.stage import Retriever

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["LateInteraction"]


class LateInteraction(OnTokens, Retriever):
    """Ranks documents by late interaction (ColBERT: Khattab and Zaharia 2020): for each token of the query the best
    cosine among a passage's tokens, and the mean of these; the best passage speaks for its document.

    Without ``candidates`` every passage is scored, exactly: right for some thousand passages, and the reference for the
    rest. With them, only the passages of the best ``n_candidates`` documents of another retriever are: ``bm25``,
    ``dense`` with the same embedder (its vectors come from the same pass), or ``dense`` over ``muvera``. For encoders
    that were not trained for late interaction the pooled vector finds more than MUVERA's (MiniLM: .995 of the exact top
    10 among 100 candidates, against .93 to .98).

    Args:
        embedder: Gives the token vectors: ``multi_vector``, or any encoder by its last hidden states.
        candidates: Retriever that narrows the search; None scores every passage.
        n_candidates: Documents that are scored, with all of their passages.
        storage: How token vectors are kept: ``float16``, ``int8``, ``residual4`` or ``residual2``; see ``max_sim``.
        top_k: Documents returned.
    """

    type = "late_interaction"

    def __init__(
        self,
        *,
        embedder: TokenEmbedder,
        candidates: Retriever | None = None,
        n_candidates: Annotated[int, Field(ge=1), Tunable(choices=(50, 100, 200, 500), gain=0.003)] = 200,
        storage: TokenStorage = "float16",
        top_k: Annotated[int, Field(ge=1)] = 100,
    ) -> None:
        self.embedder = embedder
        self.candidates = candidates
        self.n_candidates = n_candidates
        self.storage = storage
        self.top_k = top_k

    @property
    def token_embedder(self) -> TokenEmbedder:
        return self.embedder

    def retrieve(self, batch: QueryBatch) -> Candidates:
        if self.candidates is not None:
            return self._rescored(batch, self.candidates)
        queries, tokens = batch.token_vectors(self.embedder), self.tokens
        every = np.arange(len(batch), dtype=np.int64)

        def search(rows: Any, k: int, allowed: Any) -> tuple[Ints, Floats]:
            return best_by_max_similarity(queries, every[rows], tokens, k, allowed)

        return best_documents(search, self.passages, self.top_k, batch)

    def _rescored(self, batch: QueryBatch, candidates: Retriever) -> Candidates:
        """All passages of the candidates by late interaction."""
        part = batch.for_part("candidates", candidates.type)
        table = part.found_by(candidates).head(self.n_candidates)
        part.record(part.step.name, table)
        queries, passages = batch.token_vectors(self.embedder), self.passages
        row, column = np.nonzero(table.mask & (np.diff(queries.ends) > 0)[:, None])
        document = table.documents[row, column]
        first, last = (np.searchsorted(passages.document, document, side=side) for side in ("left", "right"))
        count = last - first
        row = np.repeat(row, count).astype(np.int64)
        passage = (np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())).astype(np.int64)
        if len(passages.blank):
            has_text = ~np.isin(passage, passages.blank)
            row, passage = row[has_text], passage[has_text]
        scores = max_similarity(queries, self.tokens, row, passage)
        flat = Candidates.from_rows(len(batch), row, passages.document[passage], scores, passage)
        return flat.best_per_document(self.top_k)
