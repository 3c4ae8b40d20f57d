"""Tables of questions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from rag.corpus.readers import TABLES, format_of, iter_rows, row_id
from rag.corpus.readers.reading import OnError
from rag.errors import ConfigError, DataError
from rag.eval.datasets.qrels import grade_of
from rag.eval.datasets.queries import query_of
from rag.eval.datasets.tables.base import Delimiter, Table, cell_of
from rag.eval.datasets.topics import read_topics
from rag.remarks import Remarks
from rag.types import Query

__all__ = ["QueriesTable"]


class QueriesTable(Table):
    """Questions. All other columns become metadata, by which reports are sliced.

    Args:
        path: A JSONL, CSV, TSV or Parquet file, or TREC topics (``<top>`` or ``<topic number=...>``, any other suffix);
            relative to the dataset file.
        id: Column with the id; by default ``_id``, ``id``, ``query_id`` or ``qid``, otherwise the number of the row,
            from 1.
        text: Column with the question; by default ``text``, ``question`` or ``query``, in topics also ``title``.
        relevant: Column with the id of the document that answers it, or of several: a list in JSONL and Parquet, in
            text separated by ``separator``. An object gives grades, ``{"d1": 2, "d7": 1}``; otherwise each has grade 1.
            Rows with the same id and text are merged into one question with all their documents.
        separator: Separator of several ids in one cell, such as ``;``, with optional blanks around it. Without it a
            cell is taken as one id.
        empty: Meaning of an empty cell of ``relevant``: the question is ``unjudged`` and left out, or ``unanswerable``,
            so that nothing should be found.
        answer: Column with the reference answer, or a list of acceptable answers, for pipelines that write answers.
        split: Column with the name of the split. Without it all are ``test``.
        columns: Names of the columns of a CSV or TSV file whose first line is a question already.
        delimiter: Between the columns of a CSV file, such as ``;`` or ``tab``; by default a comma, in TSV a tab.
        encoding: Of a text file, one of Python's names.
        on_error: At a row that cannot be read: ``stop``, or ``skip`` it and count it; ``report`` stops.
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
        on_error: OnError = "report",
    ) -> None:
        if separator is not None and relevant is None:
            raise ConfigError("applies to the cells of 'relevant', which is not set", parameter="separator")
        if empty != "unjudged" and relevant is None:
            raise ConfigError("applies to the cells of 'relevant', which is not set", parameter="empty")
        if separator == "":
            raise ConfigError("must have at least one character", parameter="separator")
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
        self.on_error = on_error

    def read(self, folder: Path, remarks: Remarks) -> list[tuple[str, Query, str, dict[str, int]]]:
        """(where, query, split, grade by document) of every question; paths are relative to ``folder``. A question that
        nothing answers has the empty id with grade 0. What is skipped goes into ``remarks``.
        """
        reading = self._reading(self.on_error)
        path = folder / Path(self.path).expanduser()
        topics = format_of(path) not in TABLES
        rows = self._rows(path, read_topics if topics else iter_rows, reading)
        at, first = next(rows)
        id = self.id or next((name for name in ("_id", "id", "query_id", "qid") if name in first), None)
        usual = ("text", "question", "query", *(["title"] if topics else []))
        text = self.text or next((name for name in usual if name in first), "text")
        if text not in first and "turns" not in first:
            raise ConfigError(
                f"missing 'text', the column of '{path}' with the question (columns: {', '.join(map(str, first))})",
                parameter="text",
            )
        used = {id, text, self.relevant, self.answer, self.split, "metadata", "turns"}
        queries: dict[str, tuple[str, Query, str, dict[str, int]]] = {}
        for number, (where, row) in enumerate(chain([(at, first)], rows), 1):
            try:
                name = str(number) if id is None else row_id(row, id, where)
                others = [str(column) for column in row if column not in used]
                query = query_of(row, name, where, text=text, others=others)
                if self.answer is not None:
                    query = replace(query, metadata={**query.metadata, **_answers(row.get(self.answer), where)})
                split = "test" if self.split is None else cell_of(row, self.split, where, "split")
                grades = {} if self.relevant is None else self._grades(row, where)
                if name in queries:
                    _, earlier, in_split, judged = queries[name]
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
                    queries[name] = (where, query, split, grades)
            except DataError as error:
                reading.fail(error)
            else:
                reading.n_read += 1
        remarks.extend(reading.finish())
        return list(queries.values())

    def _grades(self, row: Mapping[str, Any], location: str) -> dict[str, int]:
        value = row.get(self.relevant or "")
        grades: dict[str, int] = {}
        if isinstance(value, dict):
            grades = {str(id): grade_of(grade, location) for id, grade in value.items() if grade is not None}
        elif isinstance(value, str):
            parts = re.split(rf"\s*{re.escape(self.separator)}\s*", value) if self.separator else [value]
            grades = {part: 1 for part in parts if part.strip()}
        elif value is not None:
            items = value if isinstance(value, (list, tuple)) else [value]
            grades = {row_id({"relevant": item}, "relevant", location): 1 for item in items}
        return grades or ({"": 0} if self.empty == "unanswerable" else {})


def _answers(value: Any, location: str) -> dict[str, list[str]]:
    """Reference answers in the form that :mod:`rag.eval.measures.answers` reads."""
    if value in (None, ""):
        return {}
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, (str, int, float)) and not isinstance(text, bool) for text in texts):
        raise DataError(f"{location}: the answer must be a text or a list of texts, got {value!r:.60}")
    return {"answers": [str(text) for text in texts]}
