"""Attribution of lost relevant documents to stages, and the best value a perfect later stage could reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rag.candidates import Bools, Candidates, Ints
from rag.corpus.corpus import Corpus
from rag.eval.datasets.base import Qrels
from rag.eval.measures.values import per_query
from rag.eval.metrics import Losses, StageLosses
from rag.tables import columns_of
from rag.types import Query

__all__ = ["NOT_IN_CORPUS", "Attribution", "oracle"]

NOT_IN_CORPUS = "not in the corpus"
"""Pseudo-stage to blame for documents that are not in the corpus."""


@dataclass
class Attribution:
    """Follows every relevant document through the stages, batch by batch.

    A document is lost at the first stage after which it is missing to the end: the retriever did not return it, a
    filter cut it, or a reranker's budget left it out. A stage that searches again (``cur``) may return a document that
    the retriever missed; then nothing is lost there.

    Args:
        stages: Names of the pipeline's steps in order, as in a trace.
        lists: Names of all lists to rank in: the stages, each preceded by its parts. None for the stages only.
    """

    stages: Sequence[str]
    lists: Sequence[str] | None = None
    _ranks: list[Ints] = field(default_factory=list)
    _query: list[str] = field(default_factory=list)
    _document: list[str] = field(default_factory=list)
    _known: list[Bools] = field(default_factory=list)
    _passed: dict[str, list[Bools]] = field(default_factory=dict)

    def add(
        self,
        queries: Sequence[Query],
        tables: Mapping[str, Candidates],
        corpus: Corpus,
        qrels: Qrels,
        ignored: Ints | None = None,
        passed: Mapping[str, Candidates] | None = None,
    ) -> None:
        """Add a batch of queries that went through the pipeline.

        Args:
            queries: The n queries.
            tables: Each list by name, without ignored documents.
            corpus: The corpus of the documents.
            qrels: Judgments of the queries.
            ignored: Position of a document to leave out for each query, int64 [n].
            passed: Candidates that passed each filter's threshold, by name, before its ``top_k``.
        """
        rows, positions = [], []
        for row, query in enumerate(queries):
            for document, grade in qrels.get(query.id, {}).items():
                if grade <= 0:
                    continue
                position = corpus.position(document)
                if ignored is not None and position == ignored[row]:
                    continue
                rows.append(row)
                positions.append(-1 if position is None else position)
                self._query.append(query.id)
                self._document.append(document)
        row_of, position_of = np.asarray(rows, dtype=np.int64), np.asarray(positions, dtype=np.int64)
        self._known.append(position_of >= 0)
        columns = [columns_of(tables[name].documents, position_of, row_of) for name in self._names]
        self._ranks.append(np.stack(columns) + 1)
        for name, table in (passed or {}).items():
            self._passed.setdefault(name, []).append(columns_of(table.documents, position_of, row_of) >= 0)

    @property
    def _names(self) -> Sequence[str]:
        return self.stages if self.lists is None else self.lists

    @property
    def keys(self) -> list[tuple[str, str]]:
        """(query id, document id) of each relevant document."""
        return list(zip(self._query, self._document, strict=True))

    def ranks(self) -> dict[tuple[str, str], list[int | None]]:
        """Ranks in each list by (query id, document id) of a relevant document; None where it is missing."""
        nothing = np.zeros((len(self._names), 0), dtype=np.int64)
        ranks = np.concatenate([nothing, *self._ranks], axis=1)
        columns = ([rank or None for rank in column] for column in ranks.T.tolist())
        return dict(zip(self.keys, columns, strict=True))

    def passed(self) -> dict[str, dict[tuple[str, str], bool]]:
        """By filter, whether its threshold passed each relevant document, by (query id, document id)."""
        return {
            name: dict(zip(self.keys, np.concatenate(parts).tolist(), strict=True))
            for name, parts in self._passed.items()
        }

    def lost_at(self) -> dict[tuple[str, str], str]:
        """The stage to blame by (query id, document id), for each relevant document that was not returned."""
        present, in_corpus = self._tables()
        blamed: dict[tuple[str, str], str] = {}
        for column in np.flatnonzero(~present[-1]).tolist():
            there = np.flatnonzero(present[:, column])
            stage = self.stages[int(there[-1]) + 1 if len(there) else 0] if in_corpus[column] else NOT_IN_CORPUS
            blamed[self._query[column], self._document[column]] = stage
        return blamed

    def summary(self, measure: Any, qrels: Qrels) -> Losses:
        """Count the relevant documents left and lost at each stage.

        Args:
            measure: The parsed headline measure.
            qrels: Judgments of the queries.
        """
        present, _ = self._tables()
        blamed = list(self.lost_at().values())
        stages = []
        for index, name in enumerate(self.stages):
            left = [key for key, there in zip(self.keys, present[index].tolist(), strict=True) if there]
            values = list(oracle(measure, qrels, left).values())
            stages.append(
                StageLosses(
                    name=name,
                    left=int(present[index].sum()),
                    recall=self._recall(present[index], qrels),
                    lost=blamed.count(name),
                    oracle=float(np.mean(values)),
                )
            )
        return Losses(
            relevant=len(self._query),
            measure=str(measure),
            stages=stages,
            not_in_corpus=blamed.count(NOT_IN_CORPUS),
        )

    def _tables(self) -> tuple[Bools, Bools]:
        """Presence after each stage, bool [stages, relevant], and in the corpus, bool [relevant]."""
        nothing = np.zeros((len(self.stages), 0), dtype=bool)
        rows = [self._names.index(name) for name in self.stages]
        present = np.concatenate([nothing, *(ranks[rows] > 0 for ranks in self._ranks)], axis=1)
        return present, np.concatenate([nothing[0], *self._known])

    def _recall(self, present: Bools, qrels: Qrels) -> float:
        """Mean recall over the queries that have relevant documents."""
        share: dict[str, list[bool]] = {}
        for query, there in zip(self._query, present.tolist(), strict=True):
            share.setdefault(query, []).append(there)
        return float(np.mean([np.mean(flags) for flags in share.values()])) if share else 0.0


def oracle(measure: Any, qrels: Qrels, left: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Value of a measure by query id for a perfect ranking of only these relevant documents.

    Args:
        measure: The parsed measure.
        qrels: Judgments of the queries.
        left: (query id, document id) of relevant documents.
    """
    perfect: dict[str, dict[str, float]] = {}
    for query, document in left:  # a perfect order: by grade
        perfect.setdefault(query, {})[document] = float(qrels[query][document])
    return per_query([measure], qrels, perfect)[str(measure)]
