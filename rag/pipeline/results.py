"""Convert tables to documents with scores, at the edge of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, overload

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Candidates, Floats, Ints
from rag.corpus.passages import Passages
from rag.tables import columns_of
from rag.types import Hit, SearchResult, SearchResults

__all__ = ["search_results"]


def search_results(passages: Passages, batch: QueryBatch, candidates: Candidates) -> SearchResults:
    """Make a result for each query of a batch, in order, each with an equal share of the batch's costs. Documents are
    read when the hits of a result are first looked at.

    Args:
        passages: The passages to which candidates refer.
        batch: The queries, with the trace if scores by stage are wanted.
        candidates: The final table.
    """
    shares = batch.ledger.total.shares(len(batch))
    counts = candidates.counts.tolist()
    explained = _explanations(batch, candidates) if batch.trace else None
    results = SearchResults()
    first = 0
    for row, (query, share, count) in enumerate(zip(batch.queries, shares, counts, strict=True)):
        about = None if explained is None else tuple(some[first : first + count] for some in explained)
        documents, scores = candidates.documents[row, :count], candidates.scores[row, :count]
        make = partial(_hits, passages, documents, scores, candidates.passages[row, :count], about)
        results.append(SearchResult(query, _Hits(make, count), share, batch.answer_to(query)))
        first += count
    return results


def _hits(
    passages: Passages, positions: Ints, scores: Floats, passage_positions: Ints, explained: Any
) -> tuple[Hit, ...]:
    """The hits of one query.

    Args:
        passages: All there are.
        positions: Documents, int64 [k].
        scores: float32 [k].
        passage_positions: Their passages, int64 [k].
        explained: For each, its scores and its keys by stage; None when nobody asked.
    """
    documents = passages.corpus.documents(positions)
    explanations, keys = explained or ([{} for _ in documents], [{} for _ in documents])
    starts, ends = passages.start[passage_positions].tolist(), passages.end[passage_positions].tolist()
    columns = zip(documents, scores.tolist(), starts, ends, passage_positions.tolist(), explanations, keys, strict=True)
    hits = []
    for document, score, start, end, passage, explanation, key in columns:
        metadata = passages.metadata.get(passage, {})
        text = metadata.get("table_header", "") + document.text[start:end]
        hits.append(Hit(document, score, text, start, end, metadata, explanation, key))
    return tuple(hits)


class _Hits(Sequence[Hit]):
    """Hits that are made when first looked at; a tuple of them in all but that.

    Args:
        make: Makes them.
        count: How many there are.
    """

    __slots__ = ("_count", "_hits")

    def __init__(self, make: Callable[[], tuple[Hit, ...]], count: int) -> None:
        self._hits: tuple[Hit, ...] | Callable[[], tuple[Hit, ...]] = make
        self._count = count

    def _all(self) -> tuple[Hit, ...]:
        hits = self._hits
        if not isinstance(hits, tuple):  # two threads may both make them
            self._hits = hits = hits()
        return hits

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self._all()[index]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Hits):
            return self._all() == other._all()
        return self._all() == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return f"{self._count:,} hits"

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._all(),)


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
