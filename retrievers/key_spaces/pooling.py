"""Pool the scores of several keys of a document."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from rag.candidates import Candidates
from rag.stage import Retriever
from rag.tables import grouped

__all__ = ["deepened", "log_sum_exp_per_document"]

R = TypeVar("R", bound=Retriever)


def log_sum_exp_per_document(keys: Candidates, temperature: float, top_k: int) -> Candidates:
    """Score documents by ``t log sum exp(score / t)`` over their keys in the table, with the passage of the best key.

    Args:
        keys: Keys with their documents, which may occur once per key.
        temperature: t, in units of the score. A document with n equal keys gains ``t log n`` over one with one.
        top_k: Number of documents kept.
    """
    row, column = np.nonzero(keys.mask)
    if not len(row):
        return Candidates.empty(len(keys))
    position, key = keys.documents[row, column], keys.passages[row, column]
    score = keys.scores[row, column].astype(np.float64)
    order, starts = grouped(row, position, -score)
    pooled = temperature * np.logaddexp.reduceat(score[order] / temperature, starts)
    best = order[starts]
    return Candidates.from_rows(len(keys), row[best], position[best], pooled, key[best], top_k=top_k)


def deepened(retriever: R, depth: int) -> R:
    """The same fitted retriever and its inner ones, returning at least ``depth`` results."""

    def deeper(value: Any) -> Any:
        if isinstance(value, Retriever):
            return deepened(value, depth)
        return [deeper(item) for item in value] if isinstance(value, (list, tuple)) else value

    arguments = {name: deeper(value) for name, value in retriever.spec.arguments.items()}
    if "top_k" in arguments:
        arguments["top_k"] = max(arguments["top_k"], depth)
    again = type(retriever)(**arguments)
    again.__dict__.update({k: v for k, v in retriever.__dict__.items() if k.startswith("_") and k != "_arguments"})
    return again
