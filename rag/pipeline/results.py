"""Tables as documents with scores: the edge of a pipeline, where objects are made."""

from __future__ import annotations

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Candidates
from rag.corpus.passages import Passages
from rag.tables import columns_of
from rag.types import Hit, SearchResult

__all__ = ["search_results"]


def search_results(passages: Passages, batch: QueryBatch, candidates: Candidates) -> list[SearchResult]:
    """A result for each query of a batch, in order, each with an equal share of the batch's costs.

    Args:
        passages: What candidates are positions of.
        batch: The queries, with the trace where scores by stage are wanted.
        candidates: The final table.
    """
    rows, columns = np.nonzero(candidates.mask)
    passage_of_hit = candidates.passages[rows, columns]
    positions, document_of_hit = np.unique(candidates.documents[rows, columns], return_inverse=True)
    documents = passages.corpus.documents(positions)
    explanations, keys = _explanations(batch, candidates)
    hits: list[list[Hit]] = [[] for _ in batch.queries]
    for number, (row, index, score, start, end, passage) in enumerate(
        zip(
            rows.tolist(),
            document_of_hit.tolist(),
            candidates.scores[rows, columns].tolist(),
            passages.start[passage_of_hit].tolist(),
            passages.end[passage_of_hit].tolist(),
            passage_of_hit.tolist(),
            strict=True,
        )
    ):
        document = documents[index]
        metadata = passages.metadata.get(passage, {})
        text = metadata.get("table_header", "") + document.text[start:end]
        hits[row].append(Hit(document, score, text, start, end, metadata, explanations[number], keys[number]))
    shares = batch.ledger.total.shares(len(batch))
    return [
        SearchResult(query, tuple(row), share, batch.answer_to(query))
        for query, row, share in zip(batch.queries, hits, shares, strict=True)
    ]


def _explanations(batch: QueryBatch, final: Candidates) -> tuple[list[dict[str, float]], list[dict[str, str]]]:
    """For each hit of the final table in row order, its score in every table of the trace, and the key that matched."""
    trace = batch.trace or {}
    rows, columns = np.nonzero(final.mask)
    documents = final.documents[rows, columns]
    scores: list[dict[str, float]] = [{} for _ in rows]
    texts: list[dict[str, str]] = [{} for _ in rows]
    for name, table in trace.items():
        column = columns_of(table.documents, documents, rows)
        hits = np.flatnonzero(column >= 0)
        row, column = rows[hits], column[hits]
        for hit, score in zip(hits.tolist(), table.scores[row, column].tolist(), strict=True):
            scores[hit][name] = score
        if name in batch.key_texts:
            for hit, text in zip(hits.tolist(), batch.key_texts[name]((row, column)), strict=True):
                texts[hit][name] = text
    return scores, texts
