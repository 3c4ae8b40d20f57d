"""Tables of documents."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from rag.corpus.corpus import Corpus
from rag.corpus.readers import ID_FIELDS, TABLES, TEXT_FIELDS, corpus_of, documents_of, format_of, read_corpus
from rag.corpus.readers.reading import OnError
from rag.errors import ConfigError
from rag.eval.datasets.tables.base import Delimiter, Rows, Table
from rag.formats.units import Unit
from rag.remarks import Remarks
from rag.store.store import Store

__all__ = ["CorpusTable"]


class CorpusTable(Table):
    """Documents. All other columns become metadata.

    Args:
        path: A JSONL, JSON, CSV, TSV or Parquet file, a folder, a pattern such as ``parts/*.jsonl``, ``hf:owner/name``,
            or a list of files (see :mod:`rag.corpus.readers`); relative to the dataset file.
        id: Column with the id; by default ``_id``, ``id``, ``doc_id`` or ``docid``.
        text: Column with the text; by default ``text``, ``contents``, ``content`` or ``body``.
        title: Column with the title, which is put before the text; by default ``title``, where there is one.
        columns: Names of the columns of a CSV or TSV file whose first line is a document already.
        delimiter: Between the columns of a CSV file, such as ``;`` or ``tab``; by default a comma, in TSV a tab.
        encoding: Of a text file, one of Python's names.
        on_error: At a row or file that cannot be read: ``stop``, or ``skip`` it and count it; ``report`` stops at a row
            and goes past a file that is one of several documents.
        unit: What is one document of PDF, HTML and other files: a ``file``, a ``section`` of it, or a ``page``.
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
        on_error: OnError = "report",
        unit: Unit = "file",
    ) -> None:
        self.path = path
        self.id = id
        self.text = text
        self.title = title
        self.columns = columns
        self.delimiter = delimiter
        self.encoding = encoding
        self.on_error = on_error
        self.unit = unit

    def read(self, folder: Path, remarks: Remarks, *, store: Store | None = None) -> Corpus:
        """Read the documents; paths are relative to ``folder``. Remarks are added to ``remarks``."""
        if isinstance(self.path, list) or self.path.startswith("hf:") or glob.has_magic(self.path):
            return self._read(folder, store)
        path = folder / Path(self.path).expanduser()
        if not path.exists():
            raise ConfigError(f"no such file or folder: '{path}'", parameter="path")
        if format_of(path) in TABLES:
            reading = self._reading(self.on_error)
            rows = self._rows(path, reading=reading)
            first_location, first = next(rows)
            for parameter, named, usual in (("id", self.id, ID_FIELDS), ("text", self.text, TEXT_FIELDS)):
                if named is None and not any(name in first for name in (*usual, "turns")):
                    raise ConfigError(
                        f"missing '{parameter}', the column of '{path}' with it (columns: "
                        f"{', '.join(map(str, first))})",
                        parameter=parameter,
                    )
            column = self.text or next((name for name in TEXT_FIELDS if name in first), None)
            bare: list[str] = []

            def watched() -> Rows:
                for location, row in chain([(first_location, first)], rows):
                    if column is not None and row.get(column) in (None, "") and not row.get("turns"):
                        bare.append(location)
                    yield location, row

            corpus = corpus_of(documents_of(watched(), self.id, self.text, self.title, reading), reading)
            if bare:
                message = f"{len(bare)} documents have no text in '{column}' (such as {bare[0]})"
                remarks.add("cells_empty", message, count=len(bare), total=len(corpus), examples=bare)
            return corpus
        return self._read(folder, store)

    def _read(self, folder: Path, store: Store | None) -> Corpus:
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
            on_error=self.on_error,
            unit=self.unit,
            store=store,
        )
