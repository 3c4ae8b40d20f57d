"""Query encoders that ask a summarizer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Vectors
from rag.embedders.base import Embedder
from rag.queries.base import QueryEncoder
from rag.summarizer import Source, Summarizer

__all__ = ["HyDE", "SummaryQuery"]


class SummaryQuery(QueryEncoder):
    """Searches with a summary of the query, embedded like keys. With a language model this takes a call per query,
    which ``distilled`` avoids. A query without a summary is searched unchanged.

    Args:
        summarizer: The summarizer, preferably the one that wrote the keys.
    """

    type = "summary"

    with_question = False
    """Whether to include the question's own vector in the mean."""

    def __init__(self, *, summarizer: Summarizer) -> None:
        self.summarizer = summarizer

    def encode(self, batch: QueryBatch) -> QueryBatch:
        written = self.summarizer.summarize(
            [Source.of_query(query) for query in batch.queries], store=batch.store, ledger=batch.ledger
        )
        if written.problems:
            batch.mark_uncacheable("summaries of queries")
        queries = [
            replace(query, text="\n".join([query.text, *texts] if self.with_question else texts))
            for query, texts in zip(batch.queries, written.texts, strict=True)
        ]
        return batch.with_queries(queries, partial(self._vectors, batch, written.texts))

    def _vectors(self, batch: QueryBatch, texts: list[tuple[str, ...]], embedder: Embedder) -> Vectors:
        """Means over the texts written for each query, float32 [n, d]."""
        flat = [text for query_texts in texts for text in query_texts]
        vectors = batch.embed_documents(embedder, flat)
        counts = np.asarray([len(query_texts) for query_texts in texts])
        sums = np.add.reduceat(vectors, np.cumsum(counts) - counts)
        if self.with_question:
            sums, counts = sums + batch.embeddings(embedder), counts + 1
        return np.asarray(sums / counts[:, None], dtype=np.float32)


class HyDE(SummaryQuery):
    """Searches with made-up answers: the mean of their vectors and the question's own (hypothetical document
    embeddings, Gao, Ma, Lin and Callan 2023). Retrievers that match words get question and answers.

    Args:
        summarizer: Summarizer with the task ``answer``.
    """

    type = "hyde"
    with_question = True
