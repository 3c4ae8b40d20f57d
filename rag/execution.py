"""Where texts are processed: here, or on many machines. The results are the same, so it is not part of fingerprints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Floats, Vectors

if TYPE_CHECKING:
    from rag.component import Component
    from rag.embedders.base import Embedder

__all__ = ["Call", "Execution", "embed_documents", "executed_elsewhere", "score_texts"]

Call = tuple[str, tuple[Any, ...]]
"""A method of :class:`rag.cluster.work.Work`, and what it is given."""

_TEXTS = 64
"""Texts in a block: some forward passes, and no more is lost with a worker."""

_PAIRS = 256

_current: ContextVar[Execution | None] = ContextVar("execution", default=None)


class Execution(ABC):
    """Does blocks of work. Used as ``Pipeline.fit(..., execution=...)`` or around any other call::

    with Ray("ray://head:10001") as ray, ray.used():
        evaluation = evaluate(pipeline, dataset)
    """

    @abstractmethod
    def done(self, component: Component, calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        """Have workers that hold a component make calls; gives the number of each and what it gave, in any order.

        Raises:
            ServerError: No worker is left, or a block fails again and again.
        """

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have work of this thread done there, while inside."""
        before = _current.set(self)
        try:
            yield
        finally:
            _current.reset(before)


def executed_elsewhere(component: Component) -> Execution | None:
    """The execution of a component's work; None for this process. Only components defined by their arguments alone are
    sent away: none that are fitted or hold live Python objects.
    """
    execution = _current.get()
    if execution is None or not component.spec.is_serializable or any(part.needs for _, part in component.spec.walk()):
        return None
    return execution


def embed_documents(embedder: Embedder, texts: Sequence[str], advance: Callable[[int], None] | None = None) -> Vectors:
    """Vectors of texts embedded like documents, float32 [n, d], computed here or elsewhere.

    Args:
        embedder: The embedder.
        texts: The texts.
        advance: Called with the number of texts done.
    """
    execution = executed_elsewhere(embedder)
    if execution is None:
        return embedder.embed_documents(texts, advance=advance) if advance else embedder.embed_documents(texts)
    blocks = [list(texts[first : first + _TEXTS]) for first in range(0, len(texts), _TEXTS)]
    vectors: list[Any] = [None] * len(blocks)
    for number, block in execution.done(embedder, [("embed", (texts,)) for texts in blocks]):
        vectors[number] = block
        if advance:
            advance(len(block))
    return np.concatenate(vectors)


def score_texts(execution: Execution, scorer: Component, queries: Sequence[str], texts: Sequence[str]) -> Floats:
    """Scores of (query, text) pairs, float32 [n], by workers.

    Args:
        execution: Does the work.
        scorer: The scorer.
        queries: The query of each pair.
        texts: The passage of each pair.
    """
    starts = range(0, len(texts), _PAIRS)
    blocks = [(list(queries[first : first + _PAIRS]), list(texts[first : first + _PAIRS])) for first in starts]
    scores: list[Any] = [None] * len(blocks)
    for number, block in execution.done(scorer, [("score", pairs) for pairs in blocks]):
        scores[number] = block
    return np.concatenate(scores)
