"""The tables that a dataset file names: documents, queries and judgements, with the columns that hold what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from rag.component import Component
from rag.corpus.corpus import Corpus
from rag.corpus.readers import ID_FIELDS, TABLES, TEXT_FIELDS, documents_of, iter_rows, read_corpus, row_id
from rag.errors import ConfigError, DataError, did_you_mean
from rag.eval.datasets.base import Qrels
from rag.eval.datasets.qrels import grade_of, read_qrels
from rag.eval.datasets.queries import query_of
from rag.eval.datasets.topics import read_topics
from rag.types import Query

__all__ = ["CorpusTable", "QrelsTable", "QueriesTable", "Table"]

Rows = Iterator[tuple[str, Mapping[str, Any]]]
Delimiter = Annotated[str, Field(min_length=1, max_length=1)] | None


class Table(Component):
    """A file, and which of its columns hold what."""

    kind: ClassVar[str] = "table"

    columns: Sequence[str] | None
    delimiter: str | None

    def _rows(self, path: Path, read: Callable[[Path], Rows] | None = None) -> Rows:
        """The rows of a file that has the columns this table names.

        Raises:
            ConfigError: It is not there, or lacks a column; the argument at fault is named.
        """
        if not path.is_file():
            raise ConfigError(f"there is no file '{path}'", parameter="path")
        for name in ("columns", "delimiter"):
            if self.spec.arguments[name] is not None and path.suffix.lower() not in (".csv", ".tsv"):
                raise ConfigError(f"is for CSV and TSV files, and '{path}' is none", parameter=name)
        rows = iter(read(path) if read else iter_rows(path, columns=self.columns, delimiter=self.delimiter))
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path}: is empty")
        self._check(first[1], path)
        return chain([first], rows)

    def _check(self, row: Mapping[str, Any], path: Path) -> None:
        for name in self.spec.parameters:
            column = self.spec.arguments[name]
            if name not in ("path", "separator", "columns", "delimiter") and column is not None and column not in row:
                hint = did_you_mean(column, [str(one) for one in row])
                between = next((mark for mark in ";|\t" if len(row) == 1 and mark in str(next(iter(row)))), None)
                hint += f"; are columns divided by {between!r}? then say so with 'delimiter'" if between else ""
                raise ConfigError(f"'{path}' has no column '{column}'{hint}", parameter=name)


class CorpusTable(Table):
    """Documents. Columns that are not named become metadata.

    Args:
        path: A JSONL, CSV, TSV or Parquet file, a folder of texts, a BEIR folder, or ``hf:owner/name``; relative to the
            dataset file.
        id: Column with the id; by default ``_id``, ``id``, ``doc_id`` or ``docid``.
        text: Column with the text; by default ``text``, ``contents``, ``content`` or ``body``.
        title: Column with the title, which is put before the text; by default ``title``, where there is one.
        columns: Names of the columns of a CSV or TSV file whose first line is a document already.
        delimiter: Between the columns of a CSV file, such as ``;``; by default a comma, in TSV a tab.
    """

    type = "corpus"

    def __init__(
        self,
        path: str,
        *,
        id: str | None = None,
        text: str | None = None,
        title: str | None = None,
        columns: Sequence[str] | None = None,
        delimiter: Delimiter = None,
    ) -> None:
        self.path = path
        self.id = id
        self.text = text
        self.title = title
        self.columns = columns
        self.delimiter = delimiter

    def read(self, folder: Path, notes: list[str]) -> Corpus:
        """The documents; paths are relative to ``folder``. What is noticed goes into ``notes``."""
        if self.path.startswith("hf:"):
            return read_corpus(self.path, id_field=self.id, text_field=self.text, title_field=self.title)
        path = folder / Path(self.path).expanduser()
        if not path.exists():
            raise ConfigError(f"there is no file or folder '{path}'", parameter="path")
        if path.suffix.lower() in TABLES:
            rows = self._rows(path)
            where, first = next(rows)
            for parameter, given, usual in (("id", self.id, ID_FIELDS), ("text", self.text, TEXT_FIELDS)):
                if given is None and not any(name in first for name in (*usual, "turns")):
                    raise ConfigError(
                        f"say which column of '{path}' is the {parameter}: {parameter}: NAME (it has: "
                        f"{', '.join(map(str, first))})",
                        parameter=parameter,
                    )
            column = self.text or next((name for name in TEXT_FIELDS if name in first), None)
            bare: list[str] = []

            def watched() -> Rows:
                for place, row in chain([(where, first)], rows):
                    if column is not None and row.get(column) in (None, "") and not row.get("turns"):
                        bare.append(place)
                    yield place, row

            corpus = Corpus.from_documents(documents_of(watched(), self.id, self.text, self.title))
            if bare:
                notes.append(f"{len(bare)} documents have no text in '{column}' (such as {bare[0]})")
            return corpus
        return read_corpus(path, id_field=self.id, text_field=self.text, title_field=self.title)


class QueriesTable(Table):
    """Questions. Columns that are not named become metadata, by which reports slice.

    Args:
        path: A JSONL, CSV, TSV or Parquet file, or TREC topics (``<top>`` or ``<topic number=...>``, any other suffix);
            relative to the dataset file.
        id: Column with the id; by default ``_id``, ``id``, ``query_id`` or ``qid``, and where there is none of these
            the number of the row, from 1.
        text: Column with the question; by default ``text``, ``question`` or ``query``, of topics ``title`` too.
        relevant: Column with the id of the document that answers it, or several: a list in JSONL and Parquet, in text
            parted by ``separator``. An object gives grades, ``{"d1": 2, "d7": 1}``; else each has grade 1. Rows with
            one id and one text are one question with the documents of all of them.
        separator: Between several ids in one cell, such as ``;``. Without it a cell is one id.
        answer: Column with the answer itself, or a list of texts any of which is right, for pipelines that write
            answers.
        split: Column with the name of the split. Without it all are ``test``.
        columns: Names of the columns of a CSV or TSV file whose first line is a question already.
        delimiter: Between the columns of a CSV file, such as ``;``; by default a comma, in TSV a tab.
    """

    type = "queries"

    def __init__(
        self,
        path: str,
        *,
        id: str | None = None,
        text: str | None = None,
        relevant: str | None = None,
        separator: str | None = None,
        answer: str | None = None,
        split: str | None = None,
        columns: Sequence[str] | None = None,
        delimiter: Delimiter = None,
    ) -> None:
        if separator is not None and relevant is None:
            raise ConfigError("is for the cells of 'relevant', which is not given", parameter="separator")
        if separator == "":
            raise ConfigError("must be a character or more", parameter="separator")
        self.path = path
        self.id = id
        self.text = text
        self.relevant = relevant
        self.separator = separator
        self.answer = answer
        self.split = split
        self.columns = columns
        self.delimiter = delimiter

    def read(self, folder: Path) -> list[tuple[str, Query, str, dict[str, int]]]:
        """(where, query, split, grade by document) of every question; paths are relative to ``folder``."""
        path = folder / Path(self.path).expanduser()
        topics = path.suffix.lower() not in TABLES
        rows = self._rows(path, read_topics if topics else None)
        at, first = next(rows)
        id = self.id or next((name for name in ("_id", "id", "query_id", "qid") if name in first), None)
        usual = ("text", "question", "query", *(["title"] if topics else []))
        text = self.text or next((name for name in usual if name in first), "text")
        if text not in first and "turns" not in first:
            raise ConfigError(
                f"say which column of '{path}' is the question: text: NAME (it has: {', '.join(map(str, first))})",
                parameter="text",
            )
        used = {id, text, self.relevant, self.answer, self.split, "metadata", "turns"}
        found: dict[str, tuple[str, Query, str, dict[str, int]]] = {}
        for number, (where, row) in enumerate(chain([(at, first)], rows), 1):
            name = str(number) if id is None else row_id(row, id, where)
            others = [str(one) for one in row if one not in used]
            query = query_of(row, name, where, text=text, others=others)
            if self.answer is not None:
                query = replace(query, metadata={**query.metadata, **_answers(row.get(self.answer), where)})
            split = "test" if self.split is None else _cell(row, self.split, where, "split")
            grades = {} if self.relevant is None else self._grades(row, where)
            if name in found:
                _, earlier, in_split, judged = found[name]
                if self.relevant is None or (earlier.text, in_split) != (query.text, split):
                    raise DataError(f"{where}: two queries have the id '{name}'")
                judged |= grades
            else:
                found[name] = (where, query, split, grades)
        return list(found.values())

    def _grades(self, row: Mapping[str, Any], where: str) -> dict[str, int]:
        value = row.get(self.relevant or "")
        if value in (None, ""):
            return {}
        if isinstance(value, dict):
            return {str(id): grade_of(grade, where) for id, grade in value.items() if grade is not None}
        if isinstance(value, str):
            parts = [one.strip() for one in value.split(self.separator)] if self.separator else [value.strip()]
            return {one: 1 for one in parts if one}
        items = value if isinstance(value, (list, tuple)) else [value]
        return {row_id({"relevant": one}, "relevant", where): 1 for one in items}


class QrelsTable(Table):
    """Judgements: which document answers which question, and how well.

    Args:
        path: A file of BEIR's three columns (query, document, grade) or TREC's four, or any table whose columns are
            named below; relative to the dataset file. A mapping names a file for each split.
        query: Column with the query's id.
        document: Column with the document's id.
        grade: Column with the grade, a whole number, relevant when above 0. Without it every pair listed has grade 1.
        split: Column with the name of the split. Without it all are ``test``, or what the queries say.
        columns: Names of the columns of a CSV or TSV file whose first line is a judgement already.
        delimiter: Between the columns of a CSV file, such as ``;``; by default a comma, in TSV a tab.
    """

    type = "qrels"

    def __init__(
        self,
        path: str | dict[str, str],
        *,
        query: str | None = None,
        document: str | None = None,
        grade: str | None = None,
        split: str | None = None,
        columns: Sequence[str] | None = None,
        delimiter: Delimiter = None,
    ) -> None:
        if (query is None) != (document is None):
            raise ConfigError("name both columns, 'query' and 'document', or neither", parameter="query")
        for name, value in (("grade", grade), ("split", split), ("columns", columns), ("delimiter", delimiter)):
            if value is not None and query is None:
                raise ConfigError("needs the columns 'query' and 'document' too", parameter=name)
        if isinstance(path, dict) and split is not None:
            raise ConfigError("the files are named by split already", parameter="split")
        self.path = path
        self.query = query
        self.document = document
        self.grade = grade
        self.split = split
        self.columns = columns
        self.delimiter = delimiter

    def read(self, folder: Path) -> dict[str | None, Qrels]:
        """Judgements by split; None is the key of those without one. Paths are relative to ``folder``."""
        if isinstance(self.path, str):
            return self._read(folder / Path(self.path).expanduser(), None)
        found: dict[str | None, Qrels] = {}
        for split, path in self.path.items():
            try:
                found |= self._read(folder / Path(path).expanduser(), split)
            except ConfigError as error:
                place = f"path.{split}" if error.parameter == "path" else error.parameter
                raise ConfigError(error.mistakes[0].message, parameter=place) from None
        return found

    def _read(self, path: Path, split: str | None) -> dict[str | None, Qrels]:
        if self.query is None or self.document is None:
            if not path.is_file():
                raise ConfigError(f"there is no file '{path}'", parameter="path")
            return {split: read_qrels(path)}
        found: dict[str | None, dict[str, dict[str, int]]] = {}
        for where, row in self._rows(path):
            query, document = row_id(row, self.query, where), row_id(row, self.document, where)
            grade = 1 if self.grade is None else grade_of(row.get(self.grade), where)
            name = split if self.split is None else _cell(row, self.split, where, "split")
            earlier = found.setdefault(name, {}).setdefault(query, {}).setdefault(document, grade)
            if earlier != grade:
                raise DataError(
                    f"{where}: document '{document}' is judged {grade} for query '{query}', before {earlier}"
                )
        return dict(found)


def _answers(value: Any, where: str) -> dict[str, list[str]]:
    """What :mod:`rag.eval.answers` takes as references."""
    if value in (None, ""):
        return {}
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, (str, int, float)) and not isinstance(text, bool) for text in texts):
        raise DataError(f"{where}: the answer must be a text or a list of texts, got {value!r:.60}")
    return {"answers": [str(text) for text in texts]}


def _cell(row: Mapping[str, Any], column: str, where: str, what: str) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the {what} '{column}' must be a name, got {value!r:.60}")
    return value.strip()
