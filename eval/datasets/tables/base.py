"""The tables that a dataset file names: documents, queries and judgments, with the columns that hold what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from rag.component import Component
from rag.corpus.readers import (
    DELIMITED,
    TABLES,
    Reading,
    format_of,
    header_of,
    iter_rows,
    lifted,
    other_separator,
)
from rag.corpus.readers.reading import OnError
from rag.errors import ConfigError, DataError, Mistake, Mistakes, did_you_mean

__all__ = ["Delimiter", "Rows", "Table", "cell_of"]

Rows = Iterator[tuple[str, Mapping[str, Any]]]
Delimiter = Annotated[str, Field(min_length=1, max_length=3)] | None

_NO_COLUMNS = {"path", "separator", "empty", "columns", "delimiter", "encoding", "on_error"}
"""Arguments of tables that are no names of columns."""


class Table(Component):
    """A file, and which of its columns hold what."""

    kind: ClassVar[str] = "table"

    columns: Sequence[str] | None
    delimiter: str | None
    encoding: str

    def _reading(self, on_error: OnError = "stop") -> Reading:
        """How the file is read."""
        try:
            return Reading(self.delimiter, self.encoding, self.columns, on_error)
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
        found = Mistakes()
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


def cell_of(row: Mapping[str, Any], column: str, where: str, what: str) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the {what} '{column}' must be a name, got {value!r:.60}")
    return value.strip()
