"""Judged queries joined with the passages for learning a map of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Floats, Ints, Vectors
from rag.learning.gains import Gains
from rag.learning.query_map import Pool, ranked

if TYPE_CHECKING:
    from rag.embedders.base import Embedder
    from rag.fitting import FitContext
    from rag.learning.training import Training

__all__ = ["Material", "useful_rows"]

_DEPTH = 10


def useful_rows(judged: Training, context: FitContext) -> Ints:
    """Rows of the queries that have a relevant document in the corpus."""
    return np.flatnonzero(Gains(judged.queries, judged.qrels, context.corpus).table.counts)


class Material:
    """Judged queries with relevant documents, and their vectors.

    Args:
        context: The context with corpus and passages.
        embedder: Embedder of the vectors.
        judged: The queries and their judgments.
        rows: Rows of the queries to use.
    """

    def __init__(self, context: FitContext, embedder: Embedder, judged: Training, rows: Ints) -> None:
        queries = [judged.queries[row] for row in rows.tolist()]
        self.batch = QueryBatch(queries, store=context.store, ledger=context.ledger)
        self.vectors = self.batch.embeddings(embedder)
        self.gains = Gains(queries, judged.qrels, context.corpus)
        self._passages = context.passages

    def quality(self, vectors: Vectors, pool: Pool) -> Floats:
        """nDCG@10 of each query with these vectors, float64 [n]."""
        return self.gains.ndcg(ranked(vectors, pool, self.barred(pool), _DEPTH))

    def relevant(self, pool: Pool) -> Any:
        """Whether each passage of a pool belongs to a relevant document that may be found, CSR array of bool [n, p]."""
        import scipy.sparse as sp

        rows, columns = np.nonzero(self.gains.table.mask)
        documents = self.gains.table.documents[rows, columns]
        first, last = (np.searchsorted(pool.documents, documents, side=side) for side in ("left", "right"))
        counts = last - first
        shift = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.repeat(rows, counts), np.repeat(first, counts) + shift
        shape = (len(self.vectors), len(pool.passages))
        table = sp.csr_array((np.ones(len(shift), dtype=bool), places), shape=shape)
        barred = self.barred(pool)
        return table if barred is None else sp.csr_array(table > table.multiply(barred))

    def barred(self, pool: Pool) -> Any:
        """Whether the queries' filters exclude each passage of a pool, as CSR array; None without filters."""
        if all(query.filter is None for query in self.batch.queries):
            return None
        import scipy.sparse as sp

        mask = np.zeros((len(self.vectors), len(pool.passages)), dtype=bool)
        for rows, allowed in self.batch.groups(self._passages):
            if allowed is not None:
                selected = np.zeros(len(self._passages), dtype=bool)
                selected[allowed] = True
                mask[rows] = ~selected[pool.passages]
        return sp.csr_array(mask)
