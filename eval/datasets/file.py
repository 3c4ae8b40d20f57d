"""Dataset files: your own tables as a dataset, in YAML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from rag.component import Component
from rag.config import build
from rag.config.source import Node, dump, read_source
from rag.errors import ConfigError, DataError, Location, Mistake
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.qrels import join, read_qrels
from rag.eval.datasets.tables import CorpusTable, QrelsTable, QueriesTable
from rag.types import Query

__all__ = ["DatasetFile", "check_dataset", "read_dataset_file"]

T = TypeVar("T")

_TABLES = ("corpus", "queries", "qrels")
_NOWHERE = Location("")


class DatasetFile(Component):
    """Documents, questions and judgements from files of your own, whatever their columns are called.

    Args:
        corpus: The documents.
        queries: The questions; perhaps with the documents that answer them.
        qrels: The judgements, where they are in files of their own.
        name: What it is called in reports; by default the file's name, or the folder's of a ``dataset.yaml``.
    """

    kind: ClassVar[str] = "dataset"
    type = "dataset"

    def __init__(
        self,
        *,
        corpus: CorpusTable,
        queries: QueriesTable,
        qrels: QrelsTable | None = None,
        name: str | None = None,
    ) -> None:
        if qrels is None and queries.relevant is None:
            raise ConfigError(
                "say which documents answer a question: 'relevant', a column of the queries, or 'qrels', a file",
                parameter="queries",
            )
        if qrels is not None and queries.relevant is not None:
            raise ConfigError("the queries have their judgements already, in 'relevant'", parameter="qrels")
        self.corpus = corpus
        self.queries = queries
        self.qrels = qrels
        self.name = name
        self.folder = Path()
        """What paths in it are relative to: where the file lies."""
        self.written: Node | None = None
        """What it was read from, for the places of mistakes."""

    def load(self, *, qrels: Path | None = None) -> Dataset:
        """Read the files.

        Args:
            qrels: A judgement file to use instead: one split, ``test``.

        Raises:
            ConfigError: A file is not there, or has no such column.
            DataError: A row is wrong, or nothing fits together.
        """
        notes: list[str] = []
        corpus = self._placed("corpus", lambda: self.corpus.read(self.folder, notes))
        rows = self._placed("queries", lambda: self.queries.read(self.folder))
        known = set(corpus.ids())
        queries = [query for _, query, _, _ in rows]
        if not queries:
            raise DataError(f"{self.queries.path}: there are no queries")
        splits: dict[str, Split] = {}
        if qrels is not None:
            splits["test"] = join(queries, read_qrels(qrels), known, "test", notes)
        elif self.qrels is not None:
            table = self.qrels
            by_split = self._placed("qrels", lambda: table.read(self.folder))
            for name, judged in by_split.items():
                for own, some in _by_split(rows, name).items():
                    kept = {one.id for one in some}
                    mine = judged if len(kept) == len(queries) else {q: j for q, j in judged.items() if q in kept}
                    splits[own] = join(some, mine, known, own, notes)
        else:
            judged = {query.id: grades for _, query, _, grades in rows if grades}
            if len(judged) < len(rows):
                notes.append(f"{len(rows) - len(judged)} queries name no document and are left out")
            for name, some in _by_split(rows, None).items():
                mine = {query.id: judged[query.id] for query in some if query.id in judged}
                splits[name] = join(some, mine, known, name, notes)
            notes += self._several(splits, known)
        self._check(splits, known)
        return Dataset(self.name or self._called(), corpus, splits, tuple(notes))

    def _called(self) -> str:
        """The file's name; the folder's, where it is just called a dataset."""
        stem = Path(self.written.location.file).stem if self.written else "dataset"
        return stem if stem != "dataset" else self.folder.resolve().name

    def _check(self, splits: dict[str, Split], known: set[str]) -> None:
        """Refuse judgements that all point elsewhere: a column or a separator is not what it is taken for."""
        named = [id for split in splits.values() for judged in split.qrels.values() for id in judged]
        if named and not known.intersection(named):
            hint = (
                "; several ids in one cell need 'separator'"
                if self.qrels is None and self.queries.separator is None
                else ""
            )
            raise DataError(
                f"no document that is judged, such as '{named[0]}', is in the corpus, with ids such as "
                f"'{min(known)}'{hint}"
            )

    def _several(self, splits: dict[str, Split], known: set[str]) -> list[str]:
        """Whether cells that are no id hold several, which nobody has said."""
        for judged in (judged for split in splits.values() for judged in split.qrels.values()):
            for id in judged:
                for mark in ";,| " if self.queries.separator is None and id not in known else "":
                    parts = [one.strip() for one in id.split(mark) if one.strip()]
                    if len(parts) > 1 and known.issuperset(parts):
                        return [
                            f"'{id}' is {len(parts)} documents: several ids in one cell need 'separator: \"{mark}\"'"
                        ]
        return []

    def _placed(self, table: str, read: Callable[[], T]) -> T:
        """What reading gives; a mistake in the table's arguments with its place in the file."""
        try:
            return read()
        except ConfigError as error:
            node = self.written
            steps = [table, *error.parameter.split(".")]
            for step in steps:
                if node is not None and isinstance(node.value, dict):
                    node = node.value.get(step, node)
            at = node.location if node is not None and node.location.file else None
            path = ".".join(step for step in steps if step)
            raise ConfigError([Mistake(error.mistakes[0].message, path, at)]) from None


def read_dataset_file(path: str | Path, *, overrides: Sequence[str] = ()) -> DatasetFile:
    """The dataset that a file describes, not yet read.

    Args:
        path: A YAML file of ``type: dataset``.
        overrides: Assignments such as ``queries.split=part``, made before anything is checked.

    Raises:
        ConfigError: Every mistake found, each with its place.
    """
    mistakes: list[Mistake] = []
    node = read_source(Path(path), overrides=overrides, mistakes=mistakes)
    if node is None:
        raise ConfigError(mistakes)
    if isinstance(node.value, dict):
        entries = {"type": Node("dataset", node.location)} | node.value
        before = len(mistakes)
        for name in _TABLES:
            table = entries.get(name)
            if table is None or (table.value is None and name == "qrels"):
                continue
            if isinstance(table.value, dict):  # which table it is, its place says
                entries[name] = replace(table, value={"type": Node(name, table.location)} | table.value)
            else:
                got = f", got '{table.value}'" if isinstance(table.value, str) else ""
                mistakes.append(
                    Mistake(f"expected a table, a mapping such as {{path: {name}.csv}}{got}", name, table.location)
                )
        if len(mistakes) > before:
            raise ConfigError(sorted(mistakes, key=lambda mistake: mistake.location or _NOWHERE))
        node = replace(node, value=entries)
    found = build(node, DatasetFile, mistakes=mistakes)
    if mistakes or not isinstance(found, DatasetFile):
        raise ConfigError(sorted(mistakes, key=lambda mistake: mistake.location or _NOWHERE))
    found.folder, found.written = Path(path).parent, node
    return found


def check_dataset(path: Path, *, overrides: Sequence[str] = (), resolved: bool = False) -> str:
    """What ``rag check`` says of a dataset file. The files it names are read too: that is what may be wrong with it."""
    file = read_dataset_file(path, overrides=overrides)
    dataset = file.load()
    if resolved:
        return dump(file.spec.to_config())
    splits = ", ".join(f"{name} {len(split.queries):,} queries" for name, split in sorted(dataset.splits.items()))
    notes = "".join(f"note: {note}\n" for note in dataset.notes)
    return f"{path}: ok ({len(dataset.corpus):,} documents; {splits})\n{notes}"


def _by_split(rows: Sequence[tuple[str, Query, str, Any]], name: str | None) -> dict[str, list[Query]]:
    """Queries by split: all of them under the name that is given, else by what they say."""
    if name is not None:
        return {name: [query for _, query, _, _ in rows]}
    found: dict[str, list[Query]] = {}
    for _, query, split, _ in rows:
        found.setdefault(split, []).append(query)
    return found
