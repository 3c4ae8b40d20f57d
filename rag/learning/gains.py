"""Judgments of training queries laid over tables of candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rag.candidates import Candidates, Floats
from rag.corpus.corpus import Corpus
from rag.learning.features import in_list
from rag.types import Query

__all__ = ["Gains", "paired_gain"]

_DEPTH = 10
_DISCOUNT = 1 / np.log2(np.arange(2, _DEPTH + 2))


class Gains:
    """Grades of the relevant documents of some queries, divided by the highest of all.

    Args:
        queries: The queries.
        judgments: Grade by document id by query id.
        corpus: Where the documents are; judgments of others, or of deleted ones, count for nothing.
    """

    def __init__(self, queries: Sequence[Query], judgments: Mapping[str, Mapping[str, int]], corpus: Corpus) -> None:
        rows, positions, grades = [], [], []
        self.missing = 0
        """Relevant documents that the corpus does not have."""
        for row, query in enumerate(queries):
            for id, grade in judgments.get(query.id, {}).items():
                position = corpus.position(id) if grade > 0 else None
                self.missing += grade > 0 and position is None
                if position is not None:
                    rows.append(row)
                    positions.append(position)
                    grades.append(grade)
        highest = max(grades, default=1)
        documents = np.array(positions, dtype=np.int64)
        gains = np.array(grades, dtype=np.float32) / np.float32(highest)
        self.table = Candidates.from_rows(len(queries), np.array(rows, dtype=np.int64), documents, gains, documents)
        """The relevant documents, best first."""

    def of(self, candidates: Candidates) -> Floats:
        """Gain of each candidate, float32 [n, k]; 0 for what is not relevant, or that nobody judged."""
        gains, _ = in_list(self.table, candidates.documents)
        return np.asarray(np.nan_to_num(gains, nan=0.0), dtype=np.float32)

    def ndcg(self, ranked: Candidates) -> Floats:
        """nDCG@10 of each query, float64 [n], linear gain as trec_eval has it; NaN where nothing is relevant."""
        head = ranked.head(_DEPTH)
        got = self.of(head) @ _DISCOUNT[: head.documents.shape[1]]
        best = np.where(self.table.mask, self.table.scores, 0)[:, :_DEPTH]
        ideal = best @ _DISCOUNT[: best.shape[1]]
        return np.where(ideal > 0, got / np.where(ideal > 0, ideal, 1), np.nan)


def paired_gain(better: Floats, than: Floats) -> tuple[float, float]:
    """Mean difference over queries, and its standard error; NaN marks queries that say nothing."""
    difference = (better - than)[np.isfinite(better) & np.isfinite(than)]
    if not len(difference):
        return 0.0, 0.0
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(
        difference
    ) > 1 else np.inf
