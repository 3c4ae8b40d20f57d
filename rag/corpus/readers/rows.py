"""Rows of tables, whatever the format of the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag.corpus.readers.delimited import DELIMITED, iter_delimited
from rag.corpus.readers.lines import format_of
from rag.corpus.readers.objects import iter_json, iter_jsonl
from rag.corpus.readers.reading import Reading
from rag.errors import DataError

__all__ = ["TABLES", "iter_rows", "lifted", "row_id"]

TABLES = (".jsonl", ".ndjson", ".json", *DELIMITED, ".parquet")
"""Suffixes of files that hold rows; all but Parquet may be packed (``.csv.gz``)."""


def iter_rows(path: Path, reading: Reading | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where, row) of every row of a file whose :func:`format_of` is one of :data:`TABLES`.

    Raises:
        DataError: Unreadable, or a row is wrong; the message says where.
    """
    reading = reading or Reading()
    suffix = format_of(path)
    if suffix in DELIMITED:
        return iter_delimited(path, reading)
    if suffix == ".parquet":
        return _parquet_rows(path)
    return iter_json(path, reading) if suffix == ".json" else iter_jsonl(path, reading)


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        n = 0
        for batch in pq.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                yield f"{path}: row {n}", row
                n += 1
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from None


def lifted(
    rows: Iterable[tuple[str, Mapping[str, Any]]], names: Iterable[str | None]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows in which nested fields that are named with dots, such as ``content.body``, stand at the top under that name.
    They are gone from where they were; a field whose own name has dots stays as it is.
    """
    paths = {name: name.split(".") for name in names if name and "." in name}
    for location, row in rows:
        for name, steps in paths.items():
            value: Any = row
            for step in steps if name not in row else ():
                if not isinstance(value, Mapping) or step not in value:
                    break
                value = value[step]
            else:
                if name not in row:
                    row = _without(row, steps) | {name: value}
        yield location, row


def _without(row: Mapping[str, Any], steps: Sequence[str]) -> dict[str, Any]:
    """A copy of a row without a nested field, nor what held nothing else."""
    first, rest = steps[0], steps[1:]
    inner = _without(row[first], rest) if rest else {}
    return {name: inner if name == first else value for name, value in row.items() if name != first or inner}


def row_id(row: Mapping[str, Any], column: str, where: str) -> str:
    """The id in a row as a string; whole numbers are taken as written.

    Raises:
        DataError: It is missing, empty or something else.
    """
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        got = "is missing" if column not in row else f"must be a non-empty string, got {value!r:.60}"
        raise DataError(f"{where}: the id '{column}' {got}")
    return value
