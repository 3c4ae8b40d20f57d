"""Judgments of training queries, joined with tables of candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rag.candidates import PADDING, Candidates, Floats, Ints
from rag.corpus.corpus import Corpus
from rag.tables import in_list
from rag.types import Query

__all__ = ["Gains", "judged_documents", "paired_gain"]

_DEPTH = 10
_DISCOUNT = 1 / np.log2(np.arange(2, _DEPTH + 2))


def judged_documents(
    queries: Sequence[Query], judgments: Mapping[str, Mapping[str, int]], corpus: Corpus
) -> tuple[Ints, Ints, Ints]:
    """The judgments of some queries as a flat list: row of the query, ascending, position of the document, -1 where
    the corpus does not have it, and grade; int64 [m] each.
    """
    judged = [
        (row, position if (position := corpus.position(id)) is not None else PADDING, grade)
        for row, query in enumerate(queries)
        for id, grade in judgments.get(query.id, {}).items()
    ]
    rows, documents, grades = np.array(judged, dtype=np.int64).reshape(-1, 3).T
    return rows, documents, grades


class Gains:
    """Grades of the relevant documents of some queries, divided by the highest of all.

    Args:
        queries: The queries.
        judgments: Grade by document id by query id.
        corpus: The corpus; judgments of other or deleted documents are ignored.
    """

    def __init__(self, queries: Sequence[Query], judgments: Mapping[str, Mapping[str, int]], corpus: Corpus) -> None:
        rows, documents, grades = judged_documents(queries, judgments, corpus)
        relevant = grades > 0
        self.missing = int((relevant & (documents < 0)).sum())
        """Number of relevant documents missing from the corpus."""
        there = relevant & (documents >= 0)
        rows, documents, grades = rows[there], documents[there], grades[there]
        gains = grades.astype(np.float32) / np.float32(grades.max(initial=1))
        self.table = Candidates.from_rows(len(queries), rows, documents, gains, documents)
        """The relevant documents, best first."""

    def of(self, candidates: Candidates) -> Floats:
        """Gain of each candidate, float32 [n, k]; 0 if irrelevant or unjudged."""
        gains, _ = in_list(self.table, candidates.documents)
        return np.asarray(np.nan_to_num(gains, nan=0.0), dtype=np.float32)

    def ndcg(self, ranked: Candidates) -> Floats:
        """nDCG@10 of each query, float64 [n], with linear gain as in trec_eval; NaN without relevant documents."""
        head = ranked.head(_DEPTH)
        got = self.of(head) @ _DISCOUNT[: head.documents.shape[1]]
        best = np.where(self.table.mask, self.table.scores, 0)[:, :_DEPTH]
        ideal = best @ _DISCOUNT[: best.shape[1]]
        return np.where(ideal > 0, got / np.where(ideal > 0, ideal, 1), np.nan)


def paired_gain(better: Floats, than: Floats) -> tuple[float, float]:
    """Mean difference over queries, and its standard error; NaN marks queries to ignore."""
    difference = (better - than)[np.isfinite(better) & np.isfinite(than)]
    if not len(difference):
        return 0.0, 0.0
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(
        difference
    ) > 1 else np.inf
