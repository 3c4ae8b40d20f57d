"""Rankings as runs: scores by document by query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag.candidates import Candidates, Ints
from rag.corpus.corpus import Corpus
from rag.types import Query

__all__ = ["as_run", "identical", "without"]


def as_run(queries: Sequence[Query], candidates: Candidates, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Score by document by query, in the order of the ranking.

    Measures sort by score and break ties in different ways. To keep the order that users get, a score that is not below
    the one before it is lowered to the next smaller float32.
    """
    scores = candidates.scores.copy()
    for column in range(1, scores.shape[1]):
        scores[:, column] = np.minimum(
            scores[:, column], np.nextafter(scores[:, column - 1], -np.inf, dtype=np.float32)
        )
    run = {}
    names = _names(candidates, corpus)
    for row, query in enumerate(queries):
        n = len(names[row])
        run[query.id] = dict(zip(names[row], scores[row, :n].tolist(), strict=True))
    return run


def _names(candidates: Candidates, corpus: Corpus) -> list[list[str]]:
    """Ids of the candidates of each query, in order."""
    documents, index_of = np.unique(candidates.documents[candidates.mask], return_inverse=True)
    ids = corpus.ids(documents)
    flat = iter(index_of.tolist())
    return [[ids[next(flat)] for _ in range(count)] for count in candidates.counts.tolist()]


def identical(queries: Sequence[Query], corpus: Corpus) -> Ints:
    """Position of the document whose id equals the query's, int64 [n]; -2 where there is none."""
    own = (corpus.position(query.id) for query in queries)
    return np.array([-2 if position is None else position for position in own], dtype=np.int64)


def without(candidates: Candidates, documents: Ints) -> Candidates:
    """Drop one document from each query's candidates.

    Args:
        candidates: Candidates of n queries.
        documents: The positions of the documents, int64 [n].
    """
    dropped = candidates.documents == documents[:, None]
    return candidates.rescored(np.where(dropped, np.float32(-np.inf), candidates.scores))
