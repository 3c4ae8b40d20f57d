"""The data types of a dataset: documents, queries, judgments and splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rag.corpus.corpus import Corpus
from rag.errors import DataError, did_you_mean
from rag.learning.training import Training
from rag.remarks import Remark, Remarks
from rag.types import Query

__all__ = ["Dataset", "Qrels", "Split"]

Qrels = Mapping[str, Mapping[str, int]]
"""Grades by document id by query id. A grade above 0 is relevant."""


@dataclass(frozen=True)
class Split:
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


@dataclass(frozen=True)
class Dataset:
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
