"""Where relevant documents are lost: after which stage each is gone, and what a perfect stage could still win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eval.datasets.base import Qrels
from eval.measures import per_query
from rag.batch import QueryBatch
from rag.candidates import Candidates

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

__all__ = ["NOT_IN_CORPUS", "Attribution"]

NOT_IN_CORPUS = "not in the corpus"
"""Stands for a stage where a document is to blame that no stage could find."""

Bools = npt.NDArray[np.bool_]


@dataclass
class Attribution:
    """Follows every relevant document through the stages, batch by batch.

    A document is lost at the first stage after which it is gone and does not come back: the retriever has not found it,
    a filter has cut it, a reranker's budget has left it out. A stage that searches on (``cur``) may find again what the
    retriever missed; then nothing is lost there.

    Args:
        stages: The pipeline's steps by name, in order, as in a trace.
    """

    stages: Sequence[str]
    _found: list[Bools] = field(default_factory=list)
    _query: list[str] = field(default_factory=list)
    _document: list[str] = field(default_factory=list)
    _known: list[Bools] = field(default_factory=list)
    _perfect: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)

    def add(
        self, batch: QueryBatch, pipeline: Pipeline, qrels: Qrels, ignored: npt.NDArray[np.int64] | None = None
    ) -> None:
        """Look at a batch that went through the pipeline with a trace.

        Args:
            batch: The queries.
            pipeline: Where they went.
            qrels: Judgements.
            ignored: Position of a document that does not count, for each query.
        """
        assert batch.trace is not None
        rows, positions = [], []
        for row, query in enumerate(batch.queries):
            for document, grade in qrels.get(query.id, {}).items():
                if grade <= 0:
                    continue
                position = pipeline.corpus.position(document)
                if ignored is not None and position == ignored[row]:
                    continue
                rows.append(row)
                positions.append(-1 if position is None else position)
                self._query.append(query.id)
                self._document.append(document)
        row_of, position_of = np.asarray(rows, dtype=np.int64), np.asarray(positions, dtype=np.int64)
        self._known.append(position_of >= 0)
        span = len(pipeline.corpus) + 1
        wanted = row_of * span + position_of
        found = np.zeros((len(self.stages), len(wanted)), dtype=bool)
        for number, name in enumerate(self.stages):
            table = batch.trace[name]
            found[number] = np.isin(wanted, _keys(table, span)) & (position_of >= 0)
        self._found.append(found)
        names = self._document[len(self._document) - len(wanted) :]
        for number, name in enumerate(self.stages):
            perfect = self._perfect.setdefault(name, {})
            for row, document, there in zip(rows, names, found[number].tolist(), strict=True):
                if there:  # a perfect order: by grade
                    asked = batch.queries[row].id
                    perfect.setdefault(asked, {})[document] = float(qrels[asked][document])

    def lost_at(self) -> dict[tuple[str, str], str]:
        """The stage to blame by (query id, document id), for relevant documents that the pipeline does not return."""
        found, known = self._tables()
        blamed: dict[tuple[str, str], str] = {}
        for column in np.flatnonzero(~found[-1]).tolist():
            there = np.flatnonzero(found[:, column])
            stage = self.stages[int(there[-1]) + 1 if len(there) else 0] if known[column] else NOT_IN_CORPUS
            blamed[self._query[column], self._document[column]] = stage
        return blamed

    def summary(self, measures: Sequence[Any], qrels: Qrels, run: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        """The entry in ``metrics.json``.

        Args:
            measures: Parsed; the first one is the headline.
            qrels: Judgements.
            run: What the pipeline returned.
        """
        found, _ = self._tables()
        blamed = list(self.lost_at().values())
        headline = [measures[0]]
        cutoff = measures[0].params.get("cutoff")
        ranks = {query: {document: rank for rank, document in enumerate(one, 1)} for query, one in run.items()}
        low = 0
        if cutoff is not None:
            place = [ranks.get(q, {}).get(d) for q, d in zip(self._query, self._document, strict=True)]
            low = sum(rank is not None and rank > cutoff for rank in place)
        stages = []
        for number, name in enumerate(self.stages):
            values = list(per_query(headline, qrels, self._perfect.get(name, {}))[str(measures[0])].values())
            stages.append(
                {
                    "name": name,
                    "found": int(found[number].sum()),
                    "recall": self._recall(found[number], qrels),
                    "lost": blamed.count(name),
                    "oracle": float(np.mean(values)),
                }
            )
        return {
            "relevant": len(self._query),
            "measure": str(measures[0]),
            "stages": stages,
            "ranked_low": low,
            "not_in_corpus": blamed.count(NOT_IN_CORPUS),
        }

    def _tables(self) -> tuple[Bools, Bools]:
        """What is there after each stage, bool [stages, relevant], and what the corpus has, bool [relevant]."""
        empty = np.zeros((len(self.stages), 0), dtype=bool)
        return np.concatenate([empty, *self._found], axis=1), np.concatenate([empty[0], *self._known])

    def _recall(self, found: Bools, qrels: Qrels) -> float:
        """Mean over the queries that have anything relevant."""
        share: dict[str, list[bool]] = {}
        for query, there in zip(self._query, found.tolist(), strict=True):
            share.setdefault(query, []).append(there)
        return float(np.mean([np.mean(one) for one in share.values()])) if share else 0.0


def _keys(table: Candidates, span: int) -> npt.NDArray[np.int64]:
    keys = np.arange(len(table))[:, None] * span + table.positions
    return np.asarray(keys[table.mask])
