"""Tables of judgments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.corpus.readers import row_id
from rag.corpus.readers.reading import OnError
from rag.errors import ConfigError, DataError
from rag.eval.datasets.qrels import Judgments, read_qrels
from rag.eval.datasets.tables.base import Delimiter, Table, cell_of
from rag.remarks import Remarks

__all__ = ["QrelsTable"]


class QrelsTable(Table):
    """Judgments: which documents answer which question, and how well.

    Args:
        path: A file with BEIR's three columns (query, document, grade) or TREC's four, or any table whose columns are
            named below; relative to the dataset file. A mapping gives a file for each split.
        query: Column with the query's id.
        document: Column with the document's id. Where it is empty, nothing answers the query.
        grade: Column with the grade, a whole number, relevant when above 0. Without it every pair listed has grade 1.
        split: Column with the name of the split. Without it all are ``test``, or what the queries say.
        columns: Names of the columns of a CSV or TSV file whose first line is a judgment already.
        delimiter: Between the columns of a CSV file, such as ``;`` or ``tab``; by default a comma, in TSV a tab.
        encoding: Of a text file, one of Python's names.
        on_error: At a row that cannot be read: ``stop``, or ``skip`` it and count it; ``report`` stops.
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
        on_error: OnError = "report",
    ) -> None:
        if (query is None) != (document is None):
            raise ConfigError("name both columns, 'query' and 'document', or neither", parameter="query")
        for name, value in (("grade", grade), ("split", split), ("columns", columns), ("delimiter", delimiter)):
            if value is not None and query is None:
                raise ConfigError("needs the columns 'query' and 'document' too", parameter=name)
        if isinstance(path, dict) and split is not None:
            raise ConfigError("the files are already named by split", parameter="split")
        self.path = path
        self.query = query
        self.document = document
        self.grade = grade
        self.split = split
        self.columns = columns
        self.delimiter = delimiter
        self.encoding = encoding
        self.on_error = on_error

    def read(self, folder: Path, remarks: Remarks) -> dict[str | None, Judgments]:
        """Judgments by split; None is the key of those without one. Paths are relative to ``folder``; what is skipped
        goes into ``remarks``.
        """
        if isinstance(self.path, str):
            return self._read(folder / Path(self.path).expanduser(), None, remarks)
        by_split: dict[str | None, Judgments] = {}
        for split, path in self.path.items():
            try:
                by_split |= self._read(folder / Path(path).expanduser(), split, remarks)
            except ConfigError as error:
                parameter = f"path.{split}" if error.parameter == "path" else error.parameter
                raise ConfigError(error.mistakes[0].message, parameter=parameter) from None
        return by_split

    def _read(self, path: Path, split: str | None, remarks: Remarks) -> dict[str | None, Judgments]:
        reading = self._reading(self.on_error)
        if self.query is None or self.document is None:
            if not path.is_file():
                raise ConfigError(f"no such file: '{path}'", parameter="path")
            judged = read_qrels(path, reading)
            remarks.extend(reading.finish())
            return {split: judged}
        by_split: dict[str | None, Judgments] = {}
        for where, row in self._rows(path, reading=reading):
            try:
                bare = self.document in row and row[self.document] in (None, "")
                document = "" if bare else row_id(row, self.document, where)
                grade = None if self.grade is None else row.get(self.grade)
                if self.grade is not None and grade is None and not bare:
                    raise DataError(f"{where}: the grade '{self.grade}' is empty")
                name = split if self.split is None else cell_of(row, self.split, where, "split")
                judged = by_split.setdefault(name, Judgments())
                given = None if bare and grade in (None, "") else grade
                judged.add(row_id(row, self.query, where), document, given, where)
            except DataError as error:
                reading.fail(error)
            else:
                reading.n_read += 1
        remarks.extend(reading.finish())
        return by_split
