"""Base class of the tables named in a dataset file: documents, queries and judgments, each with its columns."""

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

_NO_COLUMNS = {"path", "separator", "empty", "columns", "delimiter", "encoding", "on_error", "unit"}
"""Arguments of tables that are no names of columns."""


class Table(Component):
    """A file and the meaning of its columns."""

    kind: ClassVar[str] = "table"

    columns: Sequence[str] | None
    delimiter: str | None
    encoding: str

    def _reading(self, on_error: OnError = "report") -> Reading:
        """How the file is read."""
        try:
            return Reading(self.delimiter, self.encoding, self.columns, on_error)
        except ConfigError as error:
            name = "delimiter" if error.parameter == "separator" else error.parameter
            raise ConfigError(error.mistakes[0].message, parameter=name) from None

    def _rows(
        self, path: Path, read: Callable[[Path, Reading], Rows] = iter_rows, reading: Reading | None = None
    ) -> Rows:
        """Iterate over the rows of a file, after checking that it has the named columns.

        Raises:
            ConfigError: The file is missing, or lacks a column; the mistake names the argument.
        """
        if not path.is_file():
            raise ConfigError(f"no such file: '{path}'", parameter="path")
        for name in ("columns", "delimiter"):
            if self.spec.arguments[name] is not None and format_of(path) not in DELIMITED:
                raise ConfigError(f"is for CSV and TSV files, and '{path}' is neither", parameter=name)
        reading = reading or self._reading()
        if format_of(path) in DELIMITED and self.columns is None and (header := header_of(path, reading)):
            self._check(dict.fromkeys(header), path)  # before a row fails because of the wrong delimiter
        named = [self.spec.arguments[name] for name in self.spec.parameters if name not in _NO_COLUMNS]
        rows = lifted(read(path, reading), named)
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path}: is empty")
        self._check(first[1], path)
        return chain([first], rows)

    @classmethod
    def _refine_schema(cls, schema: dict[str, Any]) -> None:
        for variant in schema["anyOf"]:
            variant["required"] = [
                name for name in variant["required"] if name != "type"
            ]  # implied by the key in the file

    def look(self, folder: Path) -> list[Mistake]:
        """Check the named files and columns by their first rows and return the mistakes; paths are relative to
        ``folder``.
        """
        paths = self.spec.arguments["path"]
        mistakes = Mistakes()
        for at, name in {"path": paths}.items() if isinstance(paths, str) else paths.items():
            path = folder / Path(name).expanduser()
            if name.startswith("hf:") or path.is_dir() or (path.is_file() and path.suffix.lower() not in TABLES):
                continue
            try:
                self._rows(path)
            except ConfigError as error:
                key = at if isinstance(paths, str) else f"path.{at}"
                mistakes += [
                    replace(mistake, path=key if mistake.path == "path" else mistake.path) for mistake in error.mistakes
                ]
            except DataError:
                pass  # reported when the file is read
        return mistakes

    def _check(self, row: Mapping[str, Any], path: Path) -> None:
        mistakes = []
        for name in self.spec.parameters:
            column = self.spec.arguments[name]
            if name not in _NO_COLUMNS and column is not None and column not in row:
                hint = did_you_mean(column, [str(name) for name in row])
                hint += f"{mark} with 'delimiter'" if (mark := other_separator(row)) else ""
                mistakes.append(Mistake(f"'{path}' has no column '{column}'{hint}", name))
        if mistakes:
            raise ConfigError(mistakes, parameter=mistakes[0].path)


def cell_of(row: Mapping[str, Any], column: str, location: str, role: str) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{location}: the {role} '{column}' must be a name, got {value!r:.60}")
    return value.strip()
