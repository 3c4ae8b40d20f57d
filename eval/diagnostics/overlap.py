"""Overlap of test queries with training queries: needed to tell memorized from generalized results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.duplicates import normalized
from rag.eval.datasets.base import Split
from rag.learning.reports import ReportsLearning
from rag.learning.training import Training
from rag.pipeline import Pipeline
from rag.types import Query

__all__ = ["learned_parts", "nearest", "overlap_note", "overlap_of", "shares_document"]


def overlap_of(split: Split, training: Training | None) -> dict[str, Any] | None:
    """The entry ``overlap`` of ``metrics.json``: the numbers of relevant judgments, and of queries, that concern
    documents also relevant to a training query; None without training queries.
    """
    if training is None:
        return None
    trained_ids = _relevant(training)
    judged = [id for query in split.queries for id, grade in split.qrels.get(query.id, {}).items() if grade > 0]
    shared = sum(id in trained_ids for id in judged)
    return {
        "judgments": len(judged),
        "shared_judgments": shared,
        "shared_queries": int(shares_document(split, training).sum()),
        "training_queries": len(training.queries),
    }


def overlap_note(split: Split, training: Training | None) -> list[str]:
    """The overlap in a sentence; empty without overlap to report."""
    overlap = overlap_of(split, training)
    if overlap is None or not overlap["judgments"]:
        return []
    share = overlap["shared_judgments"] / overlap["judgments"]
    queries = f"{overlap['shared_queries']} of {len(split.queries)} queries"
    return [
        f"{share:.1%} of the relevant judgments are of documents also relevant to a training query (for "
        f"{queries}): components that learn from judgments may have memorized these"
    ]


def shares_document(split: Split, training: Training) -> npt.NDArray[np.bool_]:
    """Whether each query shares a relevant document with a training query, bool [n]."""
    trained_ids = _relevant(training)
    return np.array(
        [
            any(grade > 0 and id in trained_ids for id, grade in split.qrels.get(query.id, {}).items())
            for query in split.queries
        ],
        dtype=bool,
    )


def nearest(queries: Sequence[Query], training: Sequence[Query]) -> npt.NDArray[np.float64]:
    """Cosine similarity, 0 to 1, of each query to the most similar training query, float64 [n], by their words
    weighted by rarity (idf). No model is used.
    """
    import scipy.sparse as sp

    texts = [normalized(query.text).split() for query in (*training, *queries)]
    places: dict[str, int] = {}
    columns = np.array([places.setdefault(word, len(places)) for words in texts for word in words], dtype=np.int64)
    rows = np.repeat(np.arange(len(texts)), [len(words) for words in texts])
    if not len(columns):
        return np.zeros(len(queries))
    table: Any = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(places)))
    table.sum_duplicates()
    idf = np.log(1 + len(texts) / np.bincount(table.indices, minlength=len(places)))
    table = table.multiply(idf).tocsr()
    norms = np.sqrt(np.asarray(table.power(2).sum(axis=1)))
    table = table.multiply(1 / np.where(norms > 0, norms, 1)[:, None]).tocsr()
    trained, asked = table[: len(training)], table[len(training) :]
    best = [(asked[row : row + 256] @ trained.T).max(axis=1).toarray().ravel() for row in range(0, len(queries), 256)]
    return np.clip(np.concatenate(best), 0, 1) if best else np.zeros(0)


def learned_parts(pipeline: Pipeline) -> list[dict[str, Any]]:
    """The entry ``learned`` of ``metrics.json``: descriptions of what the parts of a pipeline have learned."""
    parts = ((path, part) for path, part in pipeline.spec.walk() if isinstance(part, ReportsLearning))
    told = ((path, part, part.learned_report()) for path, part in parts)
    return [{"name": path, "type": part.type} | dict(report) for path, part, report in told if report]


def _relevant(training: Training) -> set[str]:
    return {id for judged in training.qrels.values() for id, grade in judged.items() if grade > 0}
