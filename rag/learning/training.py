"""Judged queries to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.display import Shown, brief, count
from rag.types import Query

__all__ = ["Training"]


@dataclass(frozen=True, repr=False)
class Training(Shown):
    """Judged queries to learn from; never the reported ones.

    Args:
        queries: The queries.
        qrels: Grade by document id by query id; a grade above 0 is relevant.
        dev: Other judged queries, to choose whether to use what was learned; nothing learns from them. None without
            any: then a part of the training queries is held out for that.
    """

    queries: Sequence[Query]
    qrels: Mapping[str, Mapping[str, int]]
    dev: Training | None = None

    def _summary(self) -> list[str]:
        judged = sum(len(self.qrels.get(query.id, {})) for query in self.queries)
        dev = [] if self.dev is None else [f"dev: {count(len(self.dev.queries), 'query', 'queries')}"]
        first = [f"first: {brief(query.text)}" for query in self.queries[:1]]
        return [f"Training: {count(len(self.queries), 'query', 'queries')}, {count(judged, 'judgment')}", *dev, *first]

    def as_plain(self) -> list[Any]:
        """The queries and the judgments, without ``dev``, as JSON values: what a fingerprint is made of."""
        queries = [
            [query.id, query.text, query.filter, [[turn.speaker, turn.text] for turn in query.turns]]
            for query in self.queries
        ]
        return [queries, {query: dict(judged) for query, judged in self.qrels.items()}]
