"""CSV and TSV.

CSV is read strictly: a quoted cell may hold separators and line ends, a quote inside it is written twice, and a quote
that is never closed or text behind a closing quote is an error. In TSV a line is a row: a quote is a character like any
other, except that a cell that opens and closes with one is taken without the two. Every row has as many cells as the
first.
"""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rag.corpus.readers.lines import format_of, iter_lines
from rag.corpus.readers.reading import Reading
from rag.errors import DataError

__all__ = ["DELIMITED", "header_of", "iter_delimited", "other_separator"]

DELIMITED = (".csv", ".tsv")
"""Suffixes of files that hold cells."""

csv.field_size_limit(1 << 30)  # a document may be longer than the module's default of 128 KiB


def iter_delimited(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, str]]]:
    """(``file:line``, row) of every row; the line is the one in which the row begins. Blank lines are no rows, and
    rows with nothing but empty cells are counted in ``reading``.

    Raises:
        DataError: A row is wrong, or the first line does not name the columns.
    """
    tabs, separator = _rules(path, reading)
    columns = reading.columns
    for location, cells in _rows(path, reading):
        if columns is None:
            columns = _header(cells, location)
            continue
        if tabs and len(cells) > len(columns):
            cells = _with_quotes(cells, separator, len(columns))
        if len(cells) != len(columns):
            reading.fail(DataError(f"{location}: {_miscounted(cells, columns, tabs=tabs, named=reading.columns)}"))
        elif any(cell.strip() for cell in cells):
            yield location, dict(zip(columns, cells, strict=True))
        else:
            reading.n_blank += 1


def header_of(path: Path, reading: Reading) -> list[str]:
    """Names of the columns as the first line has them; nothing for a file without any line.

    Raises:
        DataError: It does not name columns.
    """
    first = next(_rows(path, reading), None)
    return _header(first[1], first[0]) if first else []


def other_separator(columns: Iterable[object]) -> str:
    """A hint for a message, when a single column looks as if it was several with another separator; else empty."""
    names = [str(column) for column in columns]
    mark = next((mark for mark in ";|\t," if len(names) == 1 and mark in names[0]), None)
    return f"; are columns separated by {mark!r}? then say so" if mark else ""


def _rules(path: Path, reading: Reading) -> tuple[bool, str]:
    tabs = format_of(path) == ".tsv"
    return tabs, reading.separator or ("\t" if tabs else ",")


def _rows(path: Path, reading: Reading) -> Iterator[tuple[str, list[str]]]:
    tabs, separator = _rules(path, reading)
    return (_tab_rows if tabs else _csv_rows)(path, separator, reading)


def _header(cells: Sequence[str], location: str) -> list[str]:
    columns = [cell if cell.strip() else f"column {n}" for n, cell in enumerate(cells, 1)]
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise DataError(f"{location}: two columns are called '{twice[0]}'")
    if any("\r" in name for name in columns):
        raise DataError(f"{location}: lines end with a carriage return alone: save the file with line feeds")
    return columns


def _miscounted(cells: Sequence[str], columns: Sequence[str], *, tabs: bool, named: Sequence[str] | None) -> str:
    more = "more" if len(cells) > len(columns) else "fewer"
    hint = other_separator(columns)
    if tabs and any(cell.startswith('"') != cell.endswith('"') for cell in cells):
        hint = "; in TSV a line is a row: a file with line ends inside quotes is CSV, separated by tabs"
    of = "there are" if named else "the first line has"
    return f"{more} values than {of} columns ({len(cells)} instead of {len(columns)}){hint}"


# -- tabs -----------------------------------------------------------------------------------------------------------


def _tab_rows(path: Path, separator: str, reading: Reading) -> Iterator[tuple[str, list[str]]]:
    for location, line in iter_lines(path, blank=True, reading=reading):
        line = line.removesuffix("\n").removesuffix("\r")
        if not line.strip(" "):
            continue
        cells = line.split(separator)
        yield location, [_unquoted(cell) for cell in cells] if '"' in line else cells


def _unquoted(cell: str) -> str:
    """The inside of a cell that opens and closes with a quote, where all quotes inside are doubled."""
    if len(cell) < 2 or cell[0] != '"' or cell[-1] != '"':
        return cell
    inside = cell[1:-1]
    return inside.replace('""', '"') if '"' not in inside.replace('""', "") else cell


def _with_quotes(cells: list[str], separator: str, n: int) -> list[str]:
    """Cells of a line that has too many, joined again where quotes enclose separators; unchanged if that is not it."""
    try:
        joined = next(csv.reader([separator.join(cells)], delimiter=separator, strict=True), cells)
    except csv.Error:
        return cells
    return joined if len(joined) == n else cells


# -- CSV ------------------------------------------------------------------------------------------------------------


class _Source:
    """Lines for a CSV reader, which remembers those of the row that is being read."""

    def __init__(self, lines: Iterator[tuple[str, str]]) -> None:
        self._lines = lines
        self._again: deque[tuple[str, str]] = deque()
        self.row: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.row.append(self._again.popleft() if self._again else next(self._lines))
        return self.row[-1][1]

    def give_back(self) -> None:
        """Make all lines of the row but its first come again."""
        self._again.extendleft(reversed(self.row[1:]))


def _csv_rows(path: Path, separator: str, reading: Reading) -> Iterator[tuple[str, list[str]]]:
    source = _Source(iter_lines(path, blank=True, reading=reading))
    while True:
        rows = csv.reader(source, delimiter=separator, strict=True)
        try:
            while True:
                source.row.clear()
                cells = next(rows)
                if cells and not (len(cells) == 1 and not source.row[0][1].strip()):
                    yield source.row[0][0], cells
        except StopIteration:
            return
        except csv.Error as error:
            reading.fail(DataError(_wrong(str(error), source.row)))
            source.give_back()  # the quote at fault may have swallowed whole rows


def _wrong(reason: str, row: Sequence[tuple[str, str]]) -> str:
    first, last = row[0][0], row[-1][0]
    if "unexpected end of data" in reason:
        return f"{first}: a quote in the row that begins here is never closed"
    if "new-line character" in reason:
        return (
            f"{last}: a carriage return inside a cell without quotes: save the file with line feeds, or quote the cell"
        )
    if "expected after" in reason:
        since = "" if first == last else f", in the row that begins at {first}"
        return f"{last}: text behind a closing quote{since} (a quote inside a quoted cell is written twice)"
    return f"{last}: {reason}"
