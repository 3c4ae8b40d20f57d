"""How well projected token vectors rank the lists of judged questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Candidates, Floats
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.embedders.max_similarity import max_similarity
from rag.embedders.token_table import TokenTable
from rag.learning.gains import Gains
from rag.rerankers.fine_tuned.head_forms import projected

if TYPE_CHECKING:
    from rag.fitting import FitContext
    from rag.learning.training import Training

__all__ = ["JudgedTokens"]

_DEPTH = 10


class JudgedTokens:
    """Judged questions, a list of passages for each, and the frozen token vectors of both.

    Args:
        context: Gives the passages and their token vectors.
        embedder: The frozen encoder.
        judged: The questions; those without a relevant document are left out.
        lists: Finds the passages that are ranked.
    """

    def __init__(
        self,
        context: FitContext,
        embedder: TokenEmbedder,
        judged: Training,
        lists: Callable[[QueryBatch], Candidates],
    ) -> None:
        rows = np.flatnonzero(Gains(judged.queries, judged.qrels, context.corpus).table.counts)
        queries = [judged.queries[row] for row in rows.tolist()]
        batch = QueryBatch(queries, store=context.store, ledger=context.ledger)
        self._gains = Gains(queries, judged.qrels, context.corpus)
        self._document = context.passages.document
        self._queries = batch.token_vectors(embedder)
        table = lists(batch)
        row, column = np.nonzero(table.mask & (np.diff(self._queries.ends) > 0)[:, None])
        self._rows = row.astype(np.int64)
        self._passages, self._local = np.unique(table.passages[row, column], return_inverse=True)
        self._tokens = context.embed_passage_tokens(embedder).take(self._passages)

    @property
    def n_questions(self) -> int:
        """How many there are."""
        return len(self._gains.table)

    def quality(self, parameters: Mapping[str, Floats] | None) -> Floats:
        """nDCG@10 of each question, float64 [n], by tokens projected so; None takes them as they are."""
        queries, tokens = self._queries, self._tokens
        if parameters is not None:
            queries = TokenVectors(projected(parameters, queries.vectors, np.float32), queries.ends)
            tokens = TokenVectors(projected(parameters, tokens.vectors, np.float16), tokens.ends)
        table = TokenTable.encode(tokens, "float16")
        scores = max_similarity(queries, table, self._rows, self._local.astype(np.int64))
        passages = self._passages[self._local]
        ranked = Candidates.from_rows(self.n_questions, self._rows, self._document[passages], scores, passages)
        return self._gains.ndcg(ranked.best_per_document(_DEPTH))
