"""A Python function as a scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Floats, Ints
from rag.component import WrapsObject
from rag.rerankers.base import Scorer

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["CallableScorer"]


class CallableScorer(WrapsObject, Scorer):
    """Wraps a function of (query, passage) pairs. From Python only: a YAML file cannot hold the object.

    Args:
        function: Called with a list of (query's text, passage's text) pairs; gives one number each, higher is better.
        name: What identifies its results (model, version). Without it nothing computed is ever shared with another
            object, since nobody can tell whether two functions are alike.
    """

    type = "callable"

    def __init__(self, function: Callable[..., Any], *, name: str | None = None) -> None:
        self.function = function
        self.name = name

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        texts: Sequence[str] = self.passages.texts(passages)
        pairs = [(batch.texts[row], text) for row, text in zip(rows.tolist(), texts, strict=True)]
        return np.asarray(self.function(pairs), dtype=np.float32)
