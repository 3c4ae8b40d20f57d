"""What a worker does: it holds one component, built from its configuration, for a whole command."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import Floats, Vectors
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.fitting import FitContext
from rag.registry import component_class
from rag.summarizer import Source, Summary
from rag.types import Document, Query

__all__ = ["Work"]


class Work:
    """A component on a worker. Every call gives the same whenever it is made, so a lost one is made again.

    Args:
        kind: Of the component.
        config: As :meth:`Component.spec.to_config` gives it.
    """

    def __init__(self, kind: str, config: dict[str, Any]) -> None:
        from rag.config import build_component

        self._component: Any = build_component(config, component_class(kind, config["type"]))

    def ready(self) -> bool:
        """Answer, once the worker is there."""
        return True

    def embed(self, texts: list[str]) -> Vectors:
        """Vectors of texts as of documents."""
        vectors: Vectors = self._component.embed_documents(texts)
        return vectors

    def write(self, sources: list[Source]) -> list[tuple[int, Summary]]:
        """Summaries of sources, with their numbers."""
        return list(self._component.write(sources))

    def score(self, queries: list[str], texts: list[str]) -> Floats:
        """Scores of (query, text) pairs, which come sorted by query."""
        passages = Passages.whole(Corpus.from_documents(Document(str(n), text) for n, text in enumerate(texts)))
        self._component.fit(FitContext(passages.corpus, passages))
        distinct = list(dict.fromkeys(queries))
        row_of = {query: number for number, query in enumerate(distinct)}
        batch = QueryBatch([Query(str(number), query) for number, query in enumerate(distinct)])
        rows = np.array([row_of[query] for query in queries], dtype=np.int64)
        order = np.argsort(rows, kind="stable")
        scores = np.empty(len(rows), dtype=np.float32)
        scores[order] = self._component.score_pairs(batch, rows[order], order.astype(np.int64))
        return scores
