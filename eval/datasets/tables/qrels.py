"""Tables of judgments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.corpus.readers import row_id
from rag.errors import ConfigError, DataError
from rag.eval.datasets.qrels import Judgments, read_qrels
from rag.eval.datasets.tables.base import Delimiter, Table, cell_of

__all__ = ["QrelsTable"]


class QrelsTable(Table):
    """Judgments: which documents answer which question, and how well.

    Args:
        path: A file with BEIR's three columns (query, document, grade) or TREC's four, or any table whose columns are
            named below; relative to the dataset file. A mapping gives a file for each split.
        query: Column with the query's id.
        document: Column with the document's id. An empty cell says that nothing answers the query.
        grade: Column with the grade, a whole number, relevant if above 0. Without it every listed pair has grade 1.
        split: Column with the name of the split. Without it all are ``test``, or in the splits of the queries.
        columns: Names of the columns of a CSV or TSV file without a header line.
        delimiter: Separator of the columns of a CSV file, such as ``;`` or ``tab``; by default a comma, in TSV a tab.
        encoding: Encoding of a text file, by Python's name.
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

    def read(self, folder: Path) -> dict[str | None, Judgments]:
        """Read judgments by split; the key None holds those without a split. Paths are relative to ``folder``."""
        if isinstance(self.path, str):
            return self._read(folder / Path(self.path).expanduser(), None)
        by_split: dict[str | None, Judgments] = {}
        for split, path in self.path.items():
            try:
                by_split |= self._read(folder / Path(path).expanduser(), split)
            except ConfigError as error:
                parameter = f"path.{split}" if error.parameter == "path" else error.parameter
                raise ConfigError(error.mistakes[0].message, parameter=parameter) from None
        return by_split

    def _read(self, path: Path, split: str | None) -> dict[str | None, Judgments]:
        if self.query is None or self.document is None:
            if not path.is_file():
                raise ConfigError(f"there is no file '{path}'", parameter="path")
            return {split: read_qrels(path)}
        by_split: dict[str | None, Judgments] = {}
        for location, row in self._rows(path):
            bare = self.document in row and row[self.document] in (None, "")
            document = "" if bare else row_id(row, self.document, location)
            grade = None if self.grade is None else row.get(self.grade)
            if self.grade is not None and grade is None and not bare:
                raise DataError(f"{location}: the grade '{self.grade}' is empty")
            name = split if self.split is None else cell_of(row, self.split, location, "split")
            by_split.setdefault(name, Judgments()).add(
                row_id(row, self.query, location), document, None if bare and grade in (None, "") else grade, location
            )
        return by_split
