"""The data types of a dataset: documents, queries, judgments and splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.corpus.corpus import Corpus
from rag.display import Backend, Part, Shown, Table, brief, clipped, count, frame
from rag.errors import DataError, did_you_mean
from rag.learning.training import Training
from rag.remarks import Remark, Remarks
from rag.types import Query

__all__ = ["Dataset", "Qrels", "Split"]

_SHOWN = 5
"""Queries shown in a notebook."""

Qrels = Mapping[str, Mapping[str, int]]
"""Grades by document id by query id. A grade above 0 is relevant."""


@dataclass(frozen=True, repr=False)
class Split(Shown):
    """Queries with their judgments.

    Args:
        queries: The judged queries; measures are means over them.
        qrels: Their judgments; an empty mapping for a query known to have nothing relevant.
    """

    queries: Sequence[Query]
    qrels: Qrels

    @property
    def training(self) -> Training:
        """The queries that have a text, with their judgments, as training data."""
        return Training([query for query in self.queries if query.text.strip()], self.qrels)

    def to_dataframe(self, backend: Backend = "pandas") -> Any:
        """A data frame with a row for each judgment: ``query_id``, ``query``, ``document_id`` and ``grade``; queries
        without a judgment have one row without a document.

        Args:
            backend: ``pandas``, ``polars`` or ``pyarrow``.
        """
        import pyarrow as pa

        rows: list[tuple[str, str, str | None, int | None]] = []
        for query in self.queries:
            grades = self.qrels.get(query.id, {})
            rows += [(query.id, query.text, document, grade) for document, grade in grades.items()]
            rows += [] if grades else [(query.id, query.text, None, None)]
        schema = pa.schema(
            {"query_id": pa.string(), "query": pa.string(), "document_id": pa.string(), "grade": pa.int64()}
        )
        columns = zip(*rows, strict=True) if rows else [()] * 4
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        return frame(pa.Table.from_arrays(arrays, schema=schema), backend)

    def _summary(self) -> list[str]:
        grades = sum(len(self.qrels.get(query.id, {})) for query in self.queries)
        first = [f"first: {brief(query.text)}" for query in self.queries[:1]]
        return [f"Split: {count(len(self.queries), 'query', 'queries')}, {count(grades, 'judgment')}", *first]

    def _details(self) -> list[Part]:
        shown = self.queries[:_SHOWN]
        rows = [
            [query.id, clipped(query.text, 160), sum(grade > 0 for grade in self.qrels.get(query.id, {}).values())]
            for query in shown
        ]
        return [Table(["query", "text", "relevant"], rows, more=len(self.queries) - len(shown))]


@dataclass(frozen=True, repr=False)
class Dataset(Shown):
    """A corpus and judged queries in splits.

    Args:
        name: Name of the dataset in reports.
        corpus: The documents.
        splits: Splits by name: ``train``, ``dev``, ``test``, ...
        remarks: What was left out or conspicuous while reading; shown in reports.
    """

    name: str
    corpus: Corpus
    splits: Mapping[str, Split]
    remarks: Iterable[Remark] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "remarks", Remarks(self.remarks))

    @property
    def notes(self) -> tuple[str, ...]:
        """The messages of the remarks."""
        return tuple(remark.message for remark in self.remarks)

    def _summary(self) -> list[str]:
        splits = ", ".join(
            f"{name} ({count(len(split.queries), 'query', 'queries')})" for name, split in self.splits.items()
        )
        return [f"Dataset {self.name}: {count(self.corpus.n_alive, 'document')}", f"splits: {splits}", *self.notes[:3]]

    def _details(self) -> list[Part]:
        rows = [
            [name, len(split.queries), sum(len(grades) for grades in split.qrels.values()), _example(split)]
            for name, split in self.splits.items()
        ]
        notes = [Table(["remarks"], [[note] for note in self.notes])] if self.notes else []
        return [Table(["split", "queries", "judgments", "first query"], rows), *self.corpus._details(), *notes]

    def split(self, name: str) -> Split:
        """Return the split of a name.

        Raises:
            DataError: There is no such split, it has no judged query, none of its queries has a text, or none of the
                judged documents is in the corpus.
        """
        if name not in self.splits:
            raise DataError(f"dataset '{self.name}' has no split '{name}'{did_you_mean(name, self.splits)}")
        split = self.splits[name]
        fault = ""
        if not split.queries:
            fault = "has no query with a judgment"
        elif not any(query.text.strip() for query in split.queries):
            fault = "has no query with a text"
        else:
            named = [document for judged in split.qrels.values() for document in judged]
            if named and all(self.corpus.position(document) is None for document in named):
                fault = f"judges {len(set(named))} documents, such as '{named[0]}', none of which is in the corpus"
        if fault:
            said = "".join(f"; {note}" for note in self.notes if note.startswith(f"{name}: "))
            raise DataError(f"split '{name}' of dataset '{self.name}' {fault}: nothing to measure{said}")
        return split

    def training(self, reported: str) -> Training | None:
        """The training data for measuring on a split: the ``train`` split, or ``train-with-nulls`` where ``reported``
        is a split with nulls and the dataset has one; None where that split is the reported one. The ``dev`` split
        comes with it, for model selection, unless it is the reported one.
        """
        name = "train-with-nulls" if reported.endswith("-with-nulls") and "train-with-nulls" in self.splits else "train"
        if reported == name or name not in self.splits:
            return None
        training = self.splits[name].training
        if not training.queries:
            return None
        dev = self.splits["dev"].training if "dev" in self.splits and reported != "dev" else None
        return Training(training.queries, training.qrels, dev if dev is not None and dev.queries else None)


def _example(split: Split) -> str:
    return clipped(split.queries[0].text, 120) if split.queries else ""
