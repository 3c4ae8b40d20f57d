"""Documents and corpora from wherever they are."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.arguments import refuses_unknown
from rag.corpus.copies import folded, note_copies
from rag.corpus.corpus import Corpus
from rag.corpus.readers.converting import converted_documents, is_document
from rag.corpus.readers.documents import Fields, documents_of
from rag.corpus.readers.folders import files_of
from rag.corpus.readers.given import documents_given, is_table
from rag.corpus.readers.hub import hub_rows
from rag.corpus.readers.reading import OnError, Reading
from rag.corpus.readers.rows import TABLES, iter_rows
from rag.corpus.readers.saved import documents_in_index, is_index
from rag.errors import DataError, system_message
from rag.formats.base import format_of
from rag.formats.registry import suffixes
from rag.formats.units import Unit
from rag.remarks import Remarks
from rag.types import Document

if TYPE_CHECKING:
    from rag.store.store import Store

__all__ = ["corpus_of", "read_corpus", "read_documents"]


@refuses_unknown
def read_corpus(
    source: Any,
    *,
    id_field: str | None = None,
    text_field: str | None = None,
    title_field: str | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    columns: Sequence[str] | None = None,
    on_error: OnError = "report",
    unit: Unit = "file",
    store: Store | None = None,
    fold_duplicates: bool = False,
    path: Path | None = None,
    advance: Callable[[int], None] | None = None,
    drop_fields: Collection[str] = (),
) -> Corpus:
    """Read documents into a :class:`Corpus`, whose ``remarks`` say what was not read or has no text.

    The arguments are those of :func:`read_documents` and :meth:`Corpus.from_documents`; ``fold_duplicates`` keeps one
    of documents that are almost the same: see :func:`rag.corpus.copies.folded`.

    Raises:
        DataError: Something cannot be read, two documents have one id, or there is none.
    """
    if isinstance(source, Corpus):
        if not drop_fields:
            return source
        source = source.documents(range(len(source)))
    reading = Reading(separator, encoding, columns, on_error, unit=unit, store=store)
    documents = _documents(source, Fields(id_field, text_field, title_field), reading)
    corpus = corpus_of(documents, reading, path=path, advance=advance, drop_fields=drop_fields)
    if fold_duplicates:
        return folded(corpus)
    if reading.n_converted and unit == "file":  # short sections are often the same
        note_copies(corpus)
    return corpus


def corpus_of(
    documents: Iterable[Document],
    reading: Reading,
    *,
    path: Path | None = None,
    advance: Callable[[int], None] | None = None,
    drop_fields: Collection[str] = (),
) -> Corpus:
    """Make a corpus of documents while they are read, with the remarks from reading.

    Args:
        documents: Documents, read one at a time.
        reading: The options they are read with.
        path: As for :meth:`Corpus.from_documents`.
        advance: Likewise.
        drop_fields: Likewise.

    Raises:
        DataError: As for :func:`read_corpus`.
    """

    def refuse(error: DataError) -> None:
        reading.fail(DataError(f"{reading.where}: {error}") if reading.where else error)
        reading.n_read -= 1

    try:
        corpus = Corpus.from_documents(documents, path=path, advance=advance, refuse=refuse, drop_fields=drop_fields)
    except DataError as error:
        if reading.n_skipped:
            raise DataError("; ".join([str(error), *reading.finish().messages])) from None
        raise
    corpus.remarks = Remarks([*reading.finish(), *corpus.remarks])
    return corpus


@refuses_unknown
def read_documents(
    source: Any,
    *,
    id_field: str | None = None,
    text_field: str | None = None,
    title_field: str | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    columns: Sequence[str] | None = None,
    on_error: OnError = "report",
    unit: Unit = "file",
    store: Store | None = None,
    remarks: Remarks | None = None,
) -> Iterator[Document]:
    """Documents of a source, one at a time.

    Args:
        source: Any of those in the table of :mod:`rag.corpus.readers`.
        id_field: Column that holds the id, when it has another name; ``a.b`` is the field ``b`` of an object ``a``.
        text_field: Column that holds the text, likewise.
        title_field: Column that holds the title, likewise.
        separator: Character between the cells of CSV and TSV files; a comma, in TSV a tab, by default.
        encoding: Encoding of text files, one of Python's names.
        columns: Names of the columns of a CSV or TSV file whose first line is a row already.
        on_error: What happens at a row or file that cannot be read: see :data:`~rag.corpus.readers.reading.OnError`.
        unit: What is one document: a ``file``, a ``section`` of it, or a ``page``.
        store: Where conversions of PDF, HTML and other formats are kept, so that a file is read once.
        remarks: Gets, once all documents were taken, what was left out.

    Raises:
        ConfigError: An option has a value that it cannot have.
        DataError: The source is missing, unreadable or of no known format, or one of its rows is wrong (the message
            says which line).
    """
    noticed = Remarks() if remarks is None else remarks
    reading = Reading(separator, encoding, columns, on_error, unit, store, noticed)
    documents = _documents(source, Fields(id_field, text_field, title_field), reading)

    def until_the_end() -> Iterator[Document]:
        yield from documents
        reading.finish()

    return until_the_end()


def _documents(source: Any, fields: Fields, reading: Reading) -> Iterator[Document]:
    if isinstance(source, (str, Path)):
        if str(source).startswith("hf:"):
            return documents_of(hub_rows(str(source)), *fields, reading)
        if is_index(path := _path(source)):
            return documents_in_index(path)
        return _of_files(_located(path, reading), fields, reading)
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, Path)) for item in source):
        return _of_files(_listed(source, reading), fields, reading)
    if is_table(source) or (isinstance(source, Iterable) and not isinstance(source, (bytes, Mapping))):
        return documents_given(source, fields, reading)
    raise DataError(f"cannot read documents from a {type(source).__name__}")


# -- from paths to files --------------------------------------------------------------------------------------------

_File = tuple[Path, str]
"""A file, and what it is called where it is a document: its path below the folder or pattern that was named."""


def _path(source: str | Path) -> Path:
    return Path(os.path.expanduser(source))  # noqa: PTH111 - Path's own raises for a user that is not there


def _located(source: str | Path, reading: Reading) -> list[_File]:
    """The files that a path, a folder or a pattern names."""
    path = _path(source)
    if is_index(path):
        raise DataError(f"{path}: is a saved pipeline, which cannot be one of several sources: name it alone")
    try:
        exists = path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise DataError(f"{str(path)[:200]}: cannot be read: {system_message(error)}") from None
    if path.is_dir():
        files = files_of(path, reading)
        return [(file, _below(file, path)) for file in files]
    if exists:
        return [(path, path.name)]
    if glob.has_magic(str(path)):
        fixed = Path(*path.parts[: next(n for n, part in enumerate(path.parts) if glob.has_magic(part))])
        matches = map(Path, sorted(glob.glob(str(path), recursive=True)))  # noqa: PTH207 - also absolute patterns
        files = [match for match in matches if match.is_file()]
        if not files:
            raise DataError(f"{path}: no file matches")
        return [(file, _below(file, fixed)) for file in files]
    raise DataError(f"{path}: no such file or folder (a dataset on the Hub is written hf:owner/name)")


def _listed(sources: Sequence[str | Path], reading: Reading) -> list[_File]:
    """The files that several sources name, each once."""
    if any(str(source).startswith("hf:") for source in sources) and len(sources) > 1:
        raise DataError("a dataset on the Hub cannot be part of a list of files")
    groups: list[list[_File]] = []
    for source in sources:
        try:
            groups.append(_located(source, reading))
        except DataError as error:
            reading.fail(error, unit="files")
    files = {file.absolute(): (file, name) for group in groups for file, name in group}
    names = [name for _, name in files.values()]
    if len(set(names)) < len(names):  # texts of one name in several folders
        root = Path(os.path.commonpath([file.parent for file in files]))
        return [(file, _below(absolute, root)) for absolute, (file, _) in files.items()]
    return list(files.values())


def _below(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _of_files(files: Sequence[_File], fields: Fields, reading: Reading) -> Iterator[Document]:
    return chain.from_iterable(_of_file(file, name, fields, reading, len(files) == 1) for file, name in files)


def _of_file(path: Path, name: str, fields: Fields, reading: Reading, alone: bool) -> Iterator[Document]:
    try:
        suffix = format_of(path)
        if suffix in TABLES:
            yield from documents_of(iter_rows(path, reading), *fields, reading)
        elif is_document(name):
            yield from converted_documents(path, name, reading)
        elif suffix in (".yaml", ".yml"):
            raise DataError(
                f"{path}: expected documents; rag datasets convert makes a folder of them from a dataset file"
            )
        else:
            raise DataError(f"{path}: unknown format '{suffix}' (valid: {', '.join(sorted({*TABLES, *suffixes()}))})")
    except DataError as error:  # of rows that are skipped there is none
        reading.fail(error, unit="documents" if is_document(name) and not alone else "files")
