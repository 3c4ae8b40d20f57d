"""The tables that a dataset file names: documents, queries and judgements, with the columns that hold what."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from rag.component import Component
from rag.corpus.corpus import Corpus
from rag.corpus.readers import (
    DELIMITED,
    ID_FIELDS,
    TABLES,
    TEXT_FIELDS,
    Reading,
    corpus_of,
    documents_of,
    format_of,
    header_of,
    iter_rows,
    lifted,
    other_separator,
    read_corpus,
    row_id,
)
from rag.errors import ConfigError, DataError, Mistake, did_you_mean
from rag.eval.datasets.qrels import Judgements, grade_of, read_qrels
from rag.eval.datasets.queries import query_of
from rag.eval.datasets.topics import read_topics
from rag.remarks import Remarks
from rag.types import Query

__all__ = ["CorpusTable", "QrelsTable", "QueriesTable", "Table"]

Rows = Iterator[tuple[str, Mapping[str, Any]]]
Delimiter = Annotated[str, Field(min_length=1, max_length=3)] | None

_NO_COLUMNS = {"path", "separator", "empty", "columns", "delimiter", "encoding"}
"""Arguments of tables that are no names of columns."""


class Table(Component):
    """A file, and which of its columns hold what."""

    kind: ClassVar[str] = "table"

    columns: Sequence[str] | None
    delimiter: str | None
    encoding: str

    def _reading(self) -> Reading:
        """How the file is read."""
        try:
            return Reading(self.delimiter, self.encoding, self.columns)
        except ConfigError as error:
            name = "delimiter" if error.parameter == "separator" else error.parameter
            raise ConfigError(error.mistakes[0].message, parameter=name) from None

    def _rows(
        self, path: Path, read: Callable[[Path, Reading], Rows] = iter_rows, reading: Reading | None = None
    ) -> Rows:
        """The rows of a file that has the columns this table names.

        Raises:
            ConfigError: It is not there, or lacks a column; the argument at fault is named.
        """
        if not path.is_file():
            raise ConfigError(f"there is no file '{path}'", parameter="path")
        for name in ("columns", "delimiter"):
            if self.spec.arguments[name] is not None and format_of(path) not in DELIMITED:
                raise ConfigError(f"is for CSV and TSV files, and '{path}' is none", parameter=name)
        reading = reading or self._reading()
        if format_of(path) in DELIMITED and self.columns is None and (header := header_of(path, reading)):
            self._check(dict.fromkeys(header), path)  # before a row stumbles over the wrong delimiter
        named = [self.spec.arguments[name] for name in self.spec.parameters if name not in _NO_COLUMNS]
        rows = lifted(read(path, reading), named)
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path}: is empty")
        self._check(first[1], path)
        return chain([first], rows)

    @classmethod
    def _refine_schema(cls, schema: dict[str, Any]) -> None:
        for one in schema["anyOf"]:
            one["required"] = [name for name in one["required"] if name != "type"]  # its place in the file says it

    def look(self, folder: Path) -> list[Mistake]:
        """What is wrong with the files and columns that are named, by their first rows; paths are relative to
        ``folder``.
        """
        given = self.spec.arguments["path"]
        found: list[Mistake] = []
        for at, name in {"path": given}.items() if isinstance(given, str) else given.items():
            path = folder / Path(name).expanduser()
            if name.startswith("hf:") or path.is_dir() or (path.is_file() and path.suffix.lower() not in TABLES):
                continue
            try:
                self._rows(path)
            except ConfigError as error:
                place = at if isinstance(given, str) else f"path.{at}"
                found += [replace(one, path=place if one.path == "path" else one.path) for one in error.mistakes]
            except DataError:
                pass  # reading it says so
        return found

    def _check(self, row: Mapping[str, Any], path: Path) -> None:
        found = []
        for name in self.spec.parameters:
            column = self.spec.arguments[name]
            if name not in _NO_COLUMNS and column is not None and column not in row:
                hint = did_you_mean(column, [str(one) for one in row])
                hint += f"{mark} with 'delimiter'" if (mark := other_separator(row)) else ""
                found.append(Mistake(f"'{path}' has no column '{column}'{hint}", name))
        if found:
            raise ConfigError(found, parameter=found[0].path)


class CorpusTable(Table):
    """Documents. Columns that are not named become metadata.

    Args:
        path: Where documents are read from (see :mod:`rag.corpus.readers`): a JSONL, JSON, CSV, TSV or Parquet file, a
            folder, a pattern such as ``parts/*.jsonl``, ``hf:owner/name``, or a list of files; relative to the dataset
            file.
        id: Column with the id; by default ``_id``, ``id``, ``doc_id`` or ``docid``.
        text: Column with the text; by default ``text``, ``contents``, ``content`` or ``body``.
        title: Column with the title, which is put before the text; by default ``title``, where there is one.
        columns: Names of the columns of a CSV or TSV file whose first line is a document already.
        delimiter: Between the columns of a CSV file, such as ``;`` or ``tab``; by default a comma, in TSV a tab.
        encoding: Of a text file, one of Python's names.
    """

    type = "corpus"

    def __init__(
        self,
        path: str | list[str],
        *,
        id: str | None = None,
        text: str | None = None,
        title: str | None = None,
        columns: Sequence[str] | None = None,
        delimiter: Delimiter = None,
        encoding: str = "utf-8",
    ) -> None:
        self.path = path
        self.id = id
        self.text = text
        self.title = title
        self.columns = columns
        self.delimiter = delimiter
        self.encoding = encoding

    def read(self, folder: Path, remarks: Remarks) -> Corpus:
        """The documents; paths are relative to ``folder``. What is noticed goes into ``remarks``."""
        if isinstance(self.path, list) or self.path.startswith("hf:") or glob.has_magic(self.path):
            return self._read(folder)
        path = folder / Path(self.path).expanduser()
        if not path.exists():
            raise ConfigError(f"there is no file or folder '{path}'", parameter="path")
        if format_of(path) in TABLES:
            reading = self._reading()
            rows = self._rows(path, reading=reading)
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

            corpus = corpus_of(documents_of(watched(), self.id, self.text, self.title, reading), reading)
            if bare:
                message = f"{len(bare)} documents have no text in '{column}' (such as {bare[0]})"
                remarks.add("cells_empty", message, count=len(bare), total=len(corpus), examples=bare)
            return corpus
        return self._read(folder)

    def _read(self, folder: Path) -> Corpus:
        paths = self.path if isinstance(self.path, list) else [self.path]
        sources = [path if path.startswith("hf:") else folder / Path(path).expanduser() for path in paths]
        return read_corpus(
            sources if isinstance(self.path, list) else sources[0],
            id_field=self.id,
            text_field=self.text,
            title_field=self.title,
            separator=self.delimiter,
            encoding=self.encoding,
            columns=self.columns,
        )


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
        separator: Between several ids in one cell, such as ``;``, with or without blanks beside it. Without it a cell
            is one id, as it is written.
        empty: What an empty cell of ``relevant`` says: that the question is ``unjudged`` and left out, or that it is
            ``unanswerable``, so that nothing should be found.
        answer: Column with the answer itself, or a list of texts any of which is right, for pipelines that write
            answers.
        split: Column with the name of the split. Without it all are ``test``.
        columns: Names of the columns of a CSV or TSV file whose first line is a question already.
        delimiter: Between the columns of a CSV file, such as ``;`` or ``tab``; by default a comma, in TSV a tab.
        encoding: Of a text file, one of Python's names.
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
        empty: Literal["unjudged", "unanswerable"] = "unjudged",
        answer: str | None = None,
        split: str | None = None,
        columns: Sequence[str] | None = None,
        delimiter: Delimiter = None,
        encoding: str = "utf-8",
    ) -> None:
        if separator is not None and relevant is None:
            raise ConfigError("is for the cells of 'relevant', which is not given", parameter="separator")
        if empty != "unjudged" and relevant is None:
            raise ConfigError("is for the cells of 'relevant', which is not given", parameter="empty")
        if separator == "":
            raise ConfigError("must be a character or more", parameter="separator")
        self.path = path
        self.id = id
        self.text = text
        self.relevant = relevant
        self.separator = separator
        self.empty = empty
        self.answer = answer
        self.split = split
        self.columns = columns
        self.delimiter = delimiter
        self.encoding = encoding

    def read(self, folder: Path) -> list[tuple[str, Query, str, dict[str, int]]]:
        """(where, query, split, grade by document) of every question; paths are relative to ``folder``. A question that
        nothing answers has the empty id with grade 0.
        """
        path = folder / Path(self.path).expanduser()
        topics = format_of(path) not in TABLES
        rows = self._rows(path, read_topics if topics else iter_rows)
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
                for document, grade in grades.items():
                    if judged.setdefault(document, grade) != grade:
                        raise DataError(
                            f"{where}: document '{document}' is judged {grade} for query '{name}', before "
                            f"{judged[document]}"
                        )
                if len(judged) > 1:
                    judged.pop("", None)
            else:
                found[name] = (where, query, split, grades)
        return list(found.values())

    def _grades(self, row: Mapping[str, Any], where: str) -> dict[str, int]:
        value = row.get(self.relevant or "")
        found: dict[str, int] = {}
        if isinstance(value, dict):
            found = {str(id): grade_of(grade, where) for id, grade in value.items() if grade is not None}
        elif isinstance(value, str):
            parts = re.split(rf"\s*{re.escape(self.separator)}\s*", value) if self.separator else [value]
            found = {part: 1 for part in parts if part.strip()}
        elif value is not None:
            items = value if isinstance(value, (list, tuple)) else [value]
            found = {row_id({"relevant": item}, "relevant", where): 1 for item in items}
        return found or ({"": 0} if self.empty == "unanswerable" else {})


class QrelsTable(Table):
    """Judgements: which document answers which question, and how well.

    Args:
        path: A file of BEIR's three columns (query, document, grade) or TREC's four, or any table whose columns are
            named below; relative to the dataset file. A mapping names a file for each split.
        query: Column with the query's id.
        document: Column with the document's id. Where it is empty, nothing answers the query.
        grade: Column with the grade, a whole number, relevant when above 0. Without it every pair listed has grade 1.
        split: Column with the name of the split. Without it all are ``test``, or what the queries say.
        columns: Names of the columns of a CSV or TSV file whose first line is a judgement already.
        delimiter: Between the columns of a CSV file, such as ``;`` or ``tab``; by default a comma, in TSV a tab.
        encoding: Of a text file, one of Python's names.
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
        encoding: str = "utf-8",
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
        self.encoding = encoding

    def read(self, folder: Path) -> dict[str | None, Judgements]:
        """Judgements by split; None is the key of those without one. Paths are relative to ``folder``."""
        if isinstance(self.path, str):
            return self._read(folder / Path(self.path).expanduser(), None)
        found: dict[str | None, Judgements] = {}
        for split, path in self.path.items():
            try:
                found |= self._read(folder / Path(path).expanduser(), split)
            except ConfigError as error:
                place = f"path.{split}" if error.parameter == "path" else error.parameter
                raise ConfigError(error.mistakes[0].message, parameter=place) from None
        return found

    def _read(self, path: Path, split: str | None) -> dict[str | None, Judgements]:
        if self.query is None or self.document is None:
            if not path.is_file():
                raise ConfigError(f"there is no file '{path}'", parameter="path")
            return {split: read_qrels(path)}
        found: dict[str | None, Judgements] = {}
        for where, row in self._rows(path):
            bare = self.document in row and row[self.document] in (None, "")
            document = "" if bare else row_id(row, self.document, where)
            grade = None if self.grade is None else row.get(self.grade)
            if self.grade is not None and grade is None and not bare:
                raise DataError(f"{where}: the grade '{self.grade}' is empty")
            name = split if self.split is None else _cell(row, self.split, where, "split")
            found.setdefault(name, Judgements()).add(
                row_id(row, self.query, where), document, None if bare and grade in (None, "") else grade, where
            )
        return found


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
