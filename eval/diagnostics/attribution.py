"""Where relevant documents are lost: after which stage each is gone, and what a perfect stage could still win."""

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
"""Stands for a stage where a document is to blame that no stage could find."""


@dataclass
class Attribution:
    """Follows every relevant document through the stages, batch by batch.

    A document is lost at the first stage after which it is gone and does not come back: the retriever has not found it,
    a filter has cut it, a reranker's budget has left it out. A stage that searches on (``cur``) may find again what the
    retriever missed; then nothing is lost there.

    Args:
        stages: The pipeline's steps by name, in order, as in a trace.
        lists: Everything whose ranks are wanted: the stages, and before each what its parts found. None: the stages.
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
        """Look at queries that went through the pipeline.

        Args:
            queries: n of them.
            tables: Each list by name, without what is ignored.
            corpus: Whose documents.
            qrels: Judgments.
            ignored: Position of a document that does not count, for each query, int64 [n].
            passed: Of each filter by name, what its threshold let pass, whatever it then kept.
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
        """(query id, document id) of every relevant document."""
        return list(zip(self._query, self._document, strict=True))

    def ranks(self) -> dict[tuple[str, str], list[int | None]]:
        """Rank in each list by (query id, document id) of a relevant document; None where it is not there."""
        nothing = np.zeros((len(self._names), 0), dtype=np.int64)
        ranks = np.concatenate([nothing, *self._ranks], axis=1)
        columns = ([rank or None for rank in column] for column in ranks.T.tolist())
        return dict(zip(self.keys, columns, strict=True))

    def passed(self) -> dict[str, dict[tuple[str, str], bool]]:
        """Of each filter, which relevant documents its threshold let pass, by (query id, document id)."""
        return {
            name: dict(zip(self.keys, np.concatenate(parts).tolist(), strict=True))
            for name, parts in self._passed.items()
        }

    def lost_at(self) -> dict[tuple[str, str], str]:
        """The stage to blame by (query id, document id), for relevant documents that the pipeline does not return."""
        found, known = self._tables()
        blamed: dict[tuple[str, str], str] = {}
        for column in np.flatnonzero(~found[-1]).tolist():
            there = np.flatnonzero(found[:, column])
            stage = self.stages[int(there[-1]) + 1 if len(there) else 0] if known[column] else NOT_IN_CORPUS
            blamed[self._query[column], self._document[column]] = stage
        return blamed

    def summary(self, measure: Any, qrels: Qrels) -> Losses:
        """Count the relevant documents that are left and lost, stage by stage.

        Args:
            measure: Parsed; the headline.
            qrels: Judgments.
        """
        found, _ = self._tables()
        blamed = list(self.lost_at().values())
        stages = []
        for number, name in enumerate(self.stages):
            left = [key for key, there in zip(self.keys, found[number].tolist(), strict=True) if there]
            values = list(oracle(measure, qrels, left).values())
            stages.append(
                StageLosses(
                    name=name,
                    found=int(found[number].sum()),
                    recall=self._recall(found[number], qrels),
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
        """What is there after each stage, bool [stages, relevant]; what the corpus has, bool [relevant]."""
        nothing = np.zeros((len(self.stages), 0), dtype=bool)
        rows = [self._names.index(name) for name in self.stages]
        found = np.concatenate([nothing, *(ranks[rows] > 0 for ranks in self._ranks)], axis=1)
        return found, np.concatenate([nothing[0], *self._known])

    def _recall(self, found: Bools, qrels: Qrels) -> float:
        """Mean over the queries that have anything relevant."""
        share: dict[str, list[bool]] = {}
        for query, there in zip(self._query, found.tolist(), strict=True):
            share.setdefault(query, []).append(there)
        return float(np.mean([np.mean(one) for one in share.values()])) if share else 0.0


def oracle(measure: Any, qrels: Qrels, left: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Value of a measure by query id if nothing but these relevant documents were there, in perfect order.

    Args:
        measure: Parsed.
        qrels: Judgments.
        left: (query id, document id) of relevant documents.
    """
    perfect: dict[str, dict[str, float]] = {}
    for query, document in left:  # a perfect order: by grade
        perfect.setdefault(query, {})[document] = float(qrels[query][document])
    return per_query([measure], qrels, perfect)[str(measure)]
