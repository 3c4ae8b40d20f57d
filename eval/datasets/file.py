"""Dataset files: YAML files that describe your own tables as a dataset."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from rag.component import Component
from rag.config import build
from rag.config.source import Node, dump, read_source
from rag.errors import ConfigError, DataError, Mistake, Mistakes, RagError
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.joined import joined
from rag.eval.datasets.qrels import Judgments, read_qrels
from rag.eval.datasets.tables.corpus import CorpusTable
from rag.eval.datasets.tables.qrels import QrelsTable
from rag.eval.datasets.tables.queries import QueriesTable
from rag.remarks import Remarks
from rag.store.store import Store
from rag.types import Query

__all__ = ["DatasetFile", "check_dataset", "read_dataset_file"]

T = TypeVar("T")

_TABLES = ("corpus", "queries", "qrels")
_UNMATCHED = ("documents_absent", "queries_unknown")
"""Codes of remarks on ids that fit nothing: what is measured is then less than what was meant."""


class DatasetFile(Component):
    """Documents, questions and judgments from your own files, with any column names.

    Args:
        corpus: The documents.
        queries: The questions; optionally with the documents that answer them.
        qrels: The judgments, if they are in files of their own.
        name: Name of the dataset in reports; by default the file's name, or the folder's for a ``dataset.yaml``.
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
                "missing judgments: name 'relevant', a column of the queries, or 'qrels', a file",
                parameter="queries",
            )
        if qrels is not None and queries.relevant is not None:
            raise ConfigError("the queries already have judgments, in 'relevant'", parameter="qrels")
        self.corpus = corpus
        self.queries = queries
        self.qrels = qrels
        self.name = name
        self.folder = Path()
        """The folder of the file; paths in the file are relative to it."""
        self.written: Node | None = None
        """The YAML node that was read, for the locations of mistakes."""

    def load(self, *, qrels: Path | None = None, store: Store | None = None) -> Dataset:
        """Read the files.

        Args:
            qrels: Judgment file to use instead, as the split ``test``.
            store: Artifact store that keeps what was read of documents.

        Raises:
            ConfigError: A file is missing, or lacks a column.
            DataError: A row is malformed, or none of the judged documents is in the corpus.
        """
        remarks = Remarks()
        corpus = self._placed("corpus", lambda: self.corpus.read(self.folder, remarks, store=store))
        rows = self._placed("queries", lambda: self.queries.read(self.folder, remarks))
        queries = [query for _, query, _, _ in rows]
        if not queries:
            raise DataError(f"{self.queries.path}: no queries")
        parts: dict[str, tuple[list[Query], Judgments]] = {}
        if qrels is not None:
            parts["test"] = (queries, read_qrels(qrels))
        elif self.qrels is not None:
            table = self.qrels
            by_split = self._placed("qrels", lambda: table.read(self.folder, remarks))
            for name, judged in by_split.items():
                for own, part in _by_split(rows, name).items():
                    part_ids = {query.id for query in part}
                    parts[own] = (part, judged if len(part_ids) == len(queries) else judged.of(part_ids))
        else:
            for name, part in _by_split(rows, None).items():
                parts[name] = (part, Judgments())
            for location, query, name, grades in rows:
                for document, grade in grades.items():
                    parts[name][1].add(query.id, document, grade, location)
            self._several(parts, frozenset(corpus.ids()), remarks)
        bare = self.qrels is None and self.queries.relevant is not None and self.queries.separator is None
        hint = "; several ids in one cell need 'separator'" if bare else ""
        return joined(self.name or self._called(), corpus, parts, remarks=remarks, hint=hint)

    def _called(self) -> str:
        """The file's name, or the folder's if the file is named ``dataset``."""
        stem = Path(self.written.location.file).stem if self.written else "dataset"
        return stem if stem != "dataset" else self.folder.resolve().name

    def _several(
        self, parts: Mapping[str, tuple[Any, Judgments]], document_ids: Collection[str], remarks: Remarks
    ) -> None:
        """Add a remark when cells that are no id hold several ids although no separator is set."""
        if self.queries.separator is not None:
            return
        cells = [id for _, judgments in parts.values() for id in judgments.documents_at if id not in document_ids]
        for mark in ";,| ":
            held = [id for id in cells if _all_in(document_ids, id.split(mark))]
            if held:
                n = len(held[0].split(mark))
                message = f"'{held[0]}' is {n} documents: several ids in one cell need 'separator: \"{mark}\"'"
                remarks.add("cells_of_several", message, count=len(held), total=len(cells), examples=held)

    def _placed(self, table: str, read: Callable[[], T]) -> T:
        """Call a reader; a mistake in the table's arguments gets its location in the file."""
        try:
            return read()
        except ConfigError as error:
            raise ConfigError(
                [self._at(table, replace(mistake, path=error.parameter)) for mistake in error.mistakes[:1]]
            ) from None

    def _at(self, table: str, mistake: Mistake) -> Mistake:
        """A mistake in a table's arguments with its location in the file."""
        node = self.written
        steps = [step for step in (table, *mistake.path.split(".")) if step]
        for step in steps:
            if node is not None and isinstance(node.value, dict):
                node = node.value.get(step, node)
        return Mistake(mistake.message, ".".join(steps), node.location if node and node.location.file else None)

    def with_others(self, error: RagError) -> RagError:
        """Combine an error in reading the files with all other mistakes in the tables."""
        tables = {"corpus": self.corpus, "queries": self.queries, "qrels": self.qrels}
        mistakes = [
            self._at(name, mistake) for name, table in tables.items() if table for mistake in table.look(self.folder)
        ]
        said = error.mistakes if isinstance(error, ConfigError) else (Mistake(str(error)),)
        mistakes += [mistake for mistake in said if mistake not in mistakes]
        return error if len(mistakes) == 1 else Mistakes(mistakes).error()


def read_dataset_file(path: str | Path, *, overrides: Sequence[str] = ()) -> DatasetFile:
    """Parse a dataset file, without reading the tables it names.

    Args:
        path: A YAML file with ``type: dataset``.
        overrides: Assignments such as ``queries.split=part``, applied before validation.

    Raises:
        ConfigError: All mistakes, each with its location.
    """
    mistakes = Mistakes()
    node = read_source(Path(path), overrides=overrides, mistakes=mistakes)
    if node is None:
        raise mistakes.error()
    if isinstance(node.value, dict):
        entries = {"type": Node("dataset", node.location)} | node.value
        before = len(mistakes)
        for name in _TABLES:
            table = entries.get(name)
            if table is None or (table.value is None and name == "qrels"):
                continue
            if isinstance(table.value, dict):  # the key says which table it is
                entries[name] = replace(table, value={"type": Node(name, table.location)} | table.value)
            else:
                got = f", got '{table.value}'" if isinstance(table.value, str) else ""
                mistakes.add(f"expected a table, a mapping such as {{path: {name}.csv}}{got}", name, table.location)
        wrong = {mistake.path for mistake in mistakes[before:]}
        entries = {name: item for name, item in entries.items() if name not in wrong}
        node = replace(node, value=entries)
        others = Mistakes()
        build(node, DatasetFile, mistakes=others)
        missing = {f"missing argument '{name}' of 'dataset'" for name in wrong}
        mistakes += [mistake for mistake in others if mistake.message not in missing]
    dataset_file = build(node, DatasetFile, mistakes=mistakes) if not mistakes else None
    if mistakes or not isinstance(dataset_file, DatasetFile):
        raise mistakes.error()
    dataset_file.folder, dataset_file.written = Path(path).parent, node
    return dataset_file


def check_dataset(path: Path, *, overrides: Sequence[str] = (), resolved: bool = False) -> str:
    """Check a dataset file for ``rag check``, with the files it names, and return the message to print."""
    from rag.cli.store import open_store

    file = read_dataset_file(path, overrides=overrides)
    try:
        with open_store(None) as store:
            dataset = file.load(store=store)
    except (ConfigError, DataError) as error:
        raise file.with_others(error) from None
    if resolved:
        return dump(file.spec.to_config())
    splits = ", ".join(f"{name} {len(split.queries):,} queries" for name, split in sorted(dataset.splits.items()))
    said = {remark.message for remark in dataset.corpus.remarks}  # while they were read
    remarks = [remark for remark in dataset.remarks if remark.message not in said]
    wrong = "".join(f"warning: {remark}\n" for remark in remarks if remark.code in _UNMATCHED)
    notes = "".join(f"note: {remark}\n" for remark in remarks if remark.code not in _UNMATCHED)
    return f"{wrong}{path}: ok ({len(dataset.corpus):,} documents; {splits})\n{notes}"


def _all_in(document_ids: Collection[str], parts: Sequence[str]) -> bool:
    """Whether there are several parts and all of them are document ids."""
    named = [part.strip() for part in parts if part.strip()]
    return len(named) > 1 and all(part in document_ids for part in named)


def _by_split(rows: Sequence[tuple[str, Query, str, Any]], name: str | None) -> dict[str, list[Query]]:
    """Group queries by split: all under ``name`` if it is given, else by the split in each row."""
    if name is not None:
        return {name: [query for _, query, _, _ in rows]}
    by_split: dict[str, list[Query]] = {}
    for _, query, split, _ in rows:
        by_split.setdefault(split, []).append(query)
    return by_split
