"""What a dataset is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rag.context import Training
from rag.corpus.corpus import Corpus
from rag.errors import DataError, did_you_mean
from rag.types import Query

__all__ = ["Dataset", "Qrels", "Split"]

Qrels = Mapping[str, Mapping[str, int]]
"""Grade by document id by query id. A grade above 0 is relevant."""


@dataclass(frozen=True)
class Split:
    """Queries with their judgements.

    Args:
        queries: Those that are judged; measures are means over them.
        qrels: Their judgements; none for a query that is known to have nothing relevant.
    """

    queries: Sequence[Query]
    qrels: Qrels


@dataclass(frozen=True)
class Dataset:
    """A corpus and judged queries in splits.

    Args:
        name: What it is called in reports.
        corpus: The documents.
        splits: By name: ``train``, ``dev``, ``test``, ...
        notes: What was noticed while reading, one line each; goes into reports.
    """

    name: str
    corpus: Corpus
    splits: Mapping[str, Split]
    notes: Sequence[str] = field(default_factory=tuple)

    def split(self, name: str) -> Split:
        """A split by name.

        Raises:
            DataError: There is none of that name, or it has no judged query.
        """
        if name not in self.splits:
            raise DataError(f"dataset '{self.name}' has no split '{name}'{did_you_mean(name, self.splits)}")
        split = self.splits[name]
        if not split.queries:
            raise DataError(
                f"split '{name}' of dataset '{self.name}' has no query with a judgement: nothing to measure"
            )
        return split

    def training(self, reported: str) -> Training | None:
        """The ``train`` split to learn from, unless it is the one that is reported on; ``train-with-nulls`` for a split
        of that kind, where the dataset has it. The ``dev`` split comes with it, to choose with, unless it is the one
        reported on.
        """
        name = "train-with-nulls" if reported.endswith("-with-nulls") and "train-with-nulls" in self.splits else "train"
        if reported == name or name not in self.splits or not self.splits[name].queries:
            return None
        dev = self.splits.get("dev")
        if reported in (name, "dev") or dev is None or not dev.queries:
            return Training(self.splits[name].queries, self.splits[name].qrels)
        return Training(self.splits[name].queries, self.splits[name].qrels, Training(dev.queries, dev.qrels))
