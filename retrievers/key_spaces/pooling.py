"""Several keys of one document, as one score."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from rag.candidates import Candidates
from rag.stage import Retriever
from rag.tables import grouped

__all__ = ["deepened", "log_sum_exp_per_document"]

R = TypeVar("R", bound=Retriever)


def log_sum_exp_per_document(keys: Candidates, temperature: float, top_k: int) -> Candidates:
    """Documents by ``t log sum exp(score / t)`` over their keys in the table; the best key speaks for each.

    Args:
        keys: Documents may come several times, once a key.
        temperature: t, in units of the score. A document with n equal keys gains ``t log n`` over one with one.
        top_k: Documents kept.
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
    """The same fitted retriever, returning at least ``depth``; so are those that it holds."""

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
