"""Reading documents from wherever they are.

===========================  =====================================================================================
source                       documents
===========================  =====================================================================================
BEIR folder                  lines of its ``corpus.jsonl``
``*.jsonl``, ``*.ndjson``    one JSON object a line
``*.csv``, ``*.tsv``         one a row, first line names the columns
``*.parquet``                one a row
folder                       its ``.txt``, ``.md``, ``.markdown`` and ``.rst`` files, none that is hidden; the id is the
                             relative path
``hf:NAME[@CONFIG][#SPLIT]`` rows of a dataset on the Hugging Face Hub (split: ``train``, or the only one)
``datasets.Dataset``         its rows
list of ``Document``         as they are
===========================  =====================================================================================

Rows have an id (``_id``, ``id``, ``doc_id`` or ``docid``), a text (``text``, ``contents``, ``content`` or ``body``) and
perhaps a ``title``, which is put before the text on a line of its own. A row with the ``turns`` of a conversation needs
no text: theirs is taken, one turn a line. An object under ``metadata``, or the text of one, and all other fields become
the document's metadata.
"""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from rag.conversation import render, turns_of
from rag.corpus.corpus import Corpus
from rag.errors import DataError
from rag.spec.arguments import refuses_unknown
from rag.types import Document

__all__ = [
    "TABLES",
    "documents_of",
    "iter_jsonl",
    "iter_lines",
    "iter_rows",
    "read_corpus",
    "read_documents",
    "row_id",
]

logger = logging.getLogger("rag.corpus")

ID_FIELDS = ("_id", "id", "doc_id", "docid")
TEXT_FIELDS = ("text", "contents", "content", "body")
TEXT_SUFFIXES = {".txt", ".md", ".markdown", ".rst"}
TABLES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Suffixes of files that hold rows."""

csv.field_size_limit(1 << 30)  # a document may be longer than the module's default of 128 KiB


@refuses_unknown
def read_corpus(
    source: Any,
    *,
    id_field: str | None = None,
    text_field: str | None = None,
    title_field: str | None = None,
    path: Path | None = None,
    advance: Callable[[int], None] | None = None,
    drop_fields: Collection[str] = (),
) -> Corpus:
    """Read documents into a :class:`Corpus`. See :func:`read_documents` and :meth:`Corpus.from_documents`."""
    if isinstance(source, Corpus) and not drop_fields:
        return source
    documents = read_documents(source, id_field=id_field, text_field=text_field, title_field=title_field)
    return Corpus.from_documents(documents, path=path, advance=advance, drop_fields=drop_fields)


@refuses_unknown
def read_documents(
    source: Any, *, id_field: str | None = None, text_field: str | None = None, title_field: str | None = None
) -> Iterator[Document]:
    """Documents of a source, one at a time.

    Args:
        source: Any of those in the table above.
        id_field: Column that holds the id, when it has another name.
        text_field: Column that holds the text, when it has another name.
        title_field: Column that holds the title, when it has another name.

    Raises:
        DataError: The source is missing, unreadable or of no known format, or one of its rows is wrong (the message
            says which line).
    """
    if isinstance(source, (str, Path)):
        text = str(source)
        if text.startswith("hf:"):
            return documents_of(_hub_rows(text), id_field, text_field, title_field)
        path = Path(os.path.expanduser(source))  # noqa: PTH111 - Path's own raises for a user that is not there
        return _from_path(path, id_field, text_field, title_field)
    if hasattr(source, "features") and hasattr(source, "column_names"):  # datasets.Dataset, without importing it
        return documents_of(
            ((f"row {number}", row) for number, row in enumerate(source)), id_field, text_field, title_field
        )
    if isinstance(source, Iterable):
        return iter(source)
    raise DataError(f"cannot read documents from a {type(source).__name__}")


def _from_path(path: Path, id_field: str | None, text_field: str | None, title_field: str | None) -> Iterator[Document]:
    try:
        exists = path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise DataError(f"{str(path)[:200]}: cannot be read: {error.strerror}") from None
    if not exists:
        raise DataError(f"{path}: no such file or folder (a dataset on the Hub is written hf:owner/name)")
    if path.is_dir():
        if (path / "corpus.jsonl").is_file():
            return documents_of(iter_jsonl(path / "corpus.jsonl"), id_field, text_field, title_field)
        files = sorted(p for p in path.rglob("*") if _is_text(p.relative_to(path)) and p.is_file())
        if not files:
            raise DataError(
                f"{path}: the folder has neither a corpus.jsonl nor any {', '.join(sorted(TEXT_SUFFIXES))} file"
            )
        return (Document(p.relative_to(path).as_posix(), _read_text(p), {"path": str(p)}) for p in files)
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return documents_of(iter_rows(path), id_field, text_field, title_field)
    if suffix in TEXT_SUFFIXES:
        return iter([Document(path.name, _read_text(path), {"path": str(path)})])
    if suffix in (".yaml", ".yml"):
        raise DataError(f"{path}: documents are wanted; of a dataset file, rag datasets convert makes a folder of them")
    raise DataError(f"{path}: unknown format '{suffix}' (valid: {', '.join(sorted({*TABLES, *TEXT_SUFFIXES}))})")


def iter_rows(
    path: Path, *, columns: Sequence[str] | None = None, delimiter: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, row) of every row of a JSONL, CSV, TSV or Parquet file.

    Args:
        path: The file; its suffix is one of :data:`TABLES`.
        columns: Names of the columns of a CSV or TSV file whose first line is a row already.
        delimiter: Between the columns of such a file; by default a comma, in TSV a tab.

    Raises:
        DataError: Unreadable, or a row is wrong; the message says where.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _csv_rows(path, delimiter or ("," if suffix == ".csv" else "\t"), columns)
    return _parquet_rows(path) if suffix == ".parquet" else iter_jsonl(path)


def _is_text(path: Path) -> bool:
    """By its name; nothing hidden, such as what lies under ``.git``."""
    return path.suffix.lower() in TEXT_SUFFIXES and not any(part.startswith(".") for part in path.parts)


def iter_jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    """(``file:line``, value) of every line that is not blank.

    Raises:
        DataError: Unreadable file, a line that is not UTF-8 or not JSON, or no object.
    """
    for where, line in iter_lines(path):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            raise DataError(f"{where}: not JSON that can be read: {error}") from None
        if not isinstance(value, dict):
            raise DataError(f"{where}: expected a JSON object, got {line.strip()[:60]}")
        yield where, value


def iter_lines(path: Path, *, blank: bool = False) -> Iterator[tuple[str, str]]:
    """(``file:line``, line) of every line that is not blank, or of all.

    Raises:
        DataError: Unreadable file, or a line that is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = _decode(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, f"{path}:{number}")
                if blank or line.strip():
                    yield f"{path}:{number}", line
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"not valid UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}"
        utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise DataError(f"{where}: {what}{' (it looks like UTF-16)' if utf16 else ''}; save it as UTF-8") from None


def _read_text(path: Path) -> str:
    try:
        return _decode(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _csv_rows(path: Path, delimiter: str, columns: Sequence[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(
        (line for _, line in iter_lines(path, blank=True)), columns, delimiter=delimiter
    )  # a quoted text may have some
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row:
                raise DataError(f"{where}: more values than {'there are' if columns else 'the first line has'} columns")
            if any(value and value.strip() for value in row.values()):
                yield where, row
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}") from None


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        number = 0
        for batch in pq.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                yield f"{path}: row {number}", row
                number += 1
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from None


def _hub_rows(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    from datasets import Dataset, load_dataset

    rest, _, split = name.removeprefix("hf:").partition("#")
    repository, _, config = rest.partition("@")
    try:
        loaded = load_dataset(repository, config or None, split=split or None)
    except Exception as error:  # the Hub's client raises many kinds
        raise DataError(
            f"{name}: cannot load the dataset: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
        ) from error
    if not isinstance(loaded, Dataset):
        splits = list(loaded)
        if "train" not in splits and len(splits) != 1:
            raise DataError(f"{name}: has the splits {', '.join(map(str, splits))}; choose one: {name}#{splits[0]}")
        loaded = loaded["train" if "train" in splits else splits[0]]
    return ((f"{name}: row {number}", row) for number, row in enumerate(loaded))


def documents_of(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    id_field: str | None,
    text_field: str | None,
    title_field: str | None = None,
) -> Iterator[Document]:
    """The documents of (where, row) pairs; see :func:`read_documents`."""
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    where, row = first
    id_column = _column(row, id_field, ID_FIELDS, where, "id")
    spoken = text_field is None and row.get("turns") and not any(name in row for name in TEXT_FIELDS)
    text_column = "text" if spoken else _column(row, text_field, TEXT_FIELDS, where, "text")
    if title_field is not None and title_field not in row:
        raise DataError(f"{where}: no title field '{title_field}'; it has: {', '.join(map(str, row))}")
    for where, row in chain([first], rows):
        id = row_id(row, id_column, where)
        text = row.get(text_column)
        if text is None and row.get("turns"):
            try:
                text = render(turns_of(row["turns"]))
            except DataError as error:
                raise DataError(f"{where}: {error}") from None
        if not isinstance(text, str):
            if text is not None or text_column not in row:
                got = "is missing" if text_column not in row else f"must be a string, got {text!r:.60}"
                raise DataError(f"{where}: '{text_column}' {got}")
            text = ""
        metadata = {
            k: v for k, v in row.items() if k not in (id_column, text_column) and not (v is None or _is_blank(v))
        }
        inner = _object_of(metadata.get("metadata"))
        if inner is not None:
            del metadata["metadata"]
            metadata |= inner
        if title_field is not None and title_field in metadata:
            metadata["title"] = metadata.pop(title_field)
        title = metadata.get("title")
        if isinstance(title, str) and title:
            text = f"{title}\n{text}" if text else title
        yield Document(id, text, metadata)


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value


def _object_of(value: Any) -> dict[str, Any] | None:
    """The object that a value is, or that it is the JSON text of; None for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return dict(value) if isinstance(value, Mapping) else None


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


def _column(row: Mapping[str, Any], wanted: str | None, usual: tuple[str, ...], where: str, what: str) -> str:
    for name in (wanted,) if wanted else usual:
        if name in row:
            return name
    tried = wanted or " or ".join(usual)
    raise DataError(
        f"{where}: no {what} field '{tried}' (--{what}-field names another); it has: {', '.join(map(str, row))}"
    )
