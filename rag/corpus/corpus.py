"""The documents of a pipeline: an Arrow file, memory-mapped, so that a million of them cost no memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rag.candidates import Bools, Ints
from rag.corpus.documents_file import (
    FORMER,
    REMARKS,
    ROWS,
    corpus_schema,
    documents_in,
    joined,
    made_of,
    without_named_fields,
    write_documents,
)
from rag.corpus.fields import Fields, kinds_by_field
from rag.display import Part, Shown, Table, clipped, count
from rag.errors import ArtifactError, DataError
from rag.metadata import json_text
from rag.remarks import Remark, Remarks
from rag.store.fingerprint import fingerprint_texts
from rag.types import Document

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Corpus"]

_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")
"""Folders where Linux and macOS name the files that a process has open."""

_FEW = 1000
"""Up to so many values are read one by one, in a tenth of the time that Arrow needs to take them from some batches."""
_SHOWN = 5
"""Documents shown in a notebook."""


class Corpus(Shown):
    """Documents by position, in the order they were given.

    A document that was deleted keeps its position, and its text, until the corpus is written without it: see
    :attr:`alive`. Its id may be there again, at a later position.

    Made by :meth:`from_documents` (or the readers, :func:`rag.corpus.read_corpus`); kept by :meth:`write`, read back
    by :meth:`open`.
    """

    def __init__(self, table: pa.Table, alive: Bools | None = None, remarks: Iterable[Remark] = ()) -> None:
        self._table = table
        self.alive = alive
        """Which documents were not deleted, bool [n]; None when none was."""
        self.remarks = Remarks(remarks)
        """What was left out while the documents were read, and which have no text; kept by :meth:`write`."""
        self._positions: dict[str, int] | None = None
        self._batches = table.to_batches()
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])[:-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return Corpus, (self._table, self.alive, tuple(self.remarks))

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        path: Path | None = None,
        advance: Callable[[int], None] | None = None,
        refuse: Callable[[DataError], None] | None = None,
        drop_fields: Collection[str] = (),
    ) -> Corpus:
        """Write documents to an Arrow file as they come and map it into memory.

        Args:
            documents: Consumed once; never all in memory.
            path: The file to write. Default: a temporary file that is removed with the corpus.
            advance: Called with the number of documents of each batch written.
            refuse: Called with the error of an invalid document, which is left out unless this raises; None raises it.
            drop_fields: Fields of the metadata to leave out; those of nested mappings with dots.

        Raises:
            DataError: No documents, a repeated id, metadata that is not JSON, or an object that is not a
                :class:`Document` with string id and text.
        """
        import pyarrow as pa

        if isinstance(drop_fields, str):
            raise DataError(f"drop_fields takes a list of names, got the text {drop_fields!r}")
        if drop_fields:
            documents = without_named_fields(documents, drop_fields)

        if path is not None:
            try:
                remarks = write_documents(documents, str(path), advance, refuse)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            corpus = cls.open(path)
            corpus.remarks = remarks
            return corpus
        with tempfile.TemporaryFile(prefix="rag-corpus-") as handle:
            remarks = write_documents(documents, pa.PythonFile(handle, mode="w"), advance, refuse)
            handle.flush()
            names = (f"{folder}/{handle.fileno()}" for folder in _DESCRIPTORS)
            # Without another name for the file, as on Windows, it is read into memory.
            corpus = cls._map(next((name for name in names if Path(name).exists()), handle))
            corpus.remarks = remarks
            return corpus

    @classmethod
    def open(cls, path: Path) -> Corpus:
        """Map a file written by :meth:`write` or :meth:`from_documents`.

        Raises:
            ArtifactError: No such file, or not a corpus file.
        """
        return cls._map(str(path))

    @classmethod
    def _map(cls, source: Any) -> Corpus:
        import pyarrow as pa

        try:
            mapped = pa.memory_map(source) if isinstance(source, str) else source
            table = pa.ipc.open_file(mapped).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"{source} is not a corpus file: {error}") from None
        if table.schema.names != corpus_schema().names:
            raise ArtifactError(f"{source} is not a corpus file: its columns are {', '.join(table.schema.names)}")
        about = table.schema.metadata or {}
        remarks = map(Remark.from_dict, json.loads(about.get(REMARKS, b"[]")))
        former = {FORMER: about[FORMER]} if FORMER in about else None
        return cls(table.replace_schema_metadata(former), remarks=remarks)

    def write(self, path: Path) -> None:
        """Write the corpus as one Arrow file."""
        import pyarrow as pa

        about = dict(self._table.schema.metadata or {})
        if self.remarks:
            about[REMARKS] = json.dumps(self.remarks.as_dicts(), ensure_ascii=False).encode()
        table = self._table.replace_schema_metadata(about or None)
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=ROWS)

    # -- changing: a new corpus each time ------------------------------------------------------------------------------

    def with_alive(self, alive: Bools | None) -> Corpus:
        """The same documents with a mark of those that are not deleted."""
        return Corpus(self._table, None if alive is None or alive.all() else alive, self.remarks)

    def with_metadata(self, metadata: Mapping[int, Mapping[str, Any]]) -> Corpus:
        """The same documents with other metadata at some positions."""
        import pyarrow as pa

        ids = self.ids(np.array(list(metadata)))
        texts = {position: json_text(value, id) for id, (position, value) in zip(ids, metadata.items(), strict=True)}
        schema = self._remembering(np.array(list(metadata)))
        batches = list(self._batches)
        owners = np.searchsorted(self._starts, np.array(sorted(texts)), side="right") - 1
        for owner in np.unique(owners).tolist():
            start, batch = int(self._starts[owner]), batches[owner]
            column = batch.column("metadata").to_pylist()
            column = [texts.get(start + row, value) for row, value in enumerate(column)]
            column_index = batch.schema.get_field_index("metadata")
            batches[owner] = batch.set_column(column_index, "metadata", pa.array(column, pa.string()))
        batches = [batch.replace_schema_metadata(schema.metadata) for batch in batches]
        return Corpus(pa.Table.from_batches(batches, schema=schema), self.alive, self.remarks)

    def living(self) -> Corpus:
        """Only the documents that were not deleted, at new positions, in the same order."""
        import pyarrow as pa

        if self.alive is None:
            return self
        spans = zip(self._batches, self._starts, [*self._starts[1:], len(self)], strict=True)
        kept = [batch.filter(pa.array(self.alive[a:b])) for batch, a, b in spans]
        return Corpus(joined(self._remembering(np.flatnonzero(~self.alive)), kept), remarks=self.remarks)

    def rows(self, positions: Ints) -> Corpus:
        """The documents at these positions, as a corpus of their own."""
        return Corpus(self._take(positions))

    def followed_by(self, other: Corpus) -> Corpus:
        """These documents, then those of another."""
        former = {**other._former, **self._former}
        batches = [*self._batches, *other._batches]
        grown = Corpus(joined(corpus_schema(former), batches), remarks=[*self.remarks, *other.remarks])
        if self.alive is not None:
            grown.alive = np.concatenate([self.alive, np.ones(len(other), dtype=bool)])
        return grown

    # -- reading ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def n_alive(self) -> int:
        """Documents that were not deleted."""
        return len(self) if self.alive is None else int(self.alive.sum())

    def __getitem__(self, position: int) -> Document:
        return self.documents([position])[0]

    def __iter__(self) -> Iterator[Document]:
        for batch in self._table.to_batches():
            yield from documents_in(batch)

    def _summary(self) -> list[str]:
        deleted = [f"of which {len(self) - self.n_alive:,} are deleted"] if self.n_alive < len(self) else []
        first = [f"first: {document!r}" for document in self.documents(range(min(len(self), 1)))]
        return [f"Corpus: {count(len(self), 'document')}", *deleted, *first, *self._noted()]

    def _noted(self) -> list[str]:
        messages = [remark.message for remark in self.remarks]
        return messages if len(messages) < 3 else [*messages[:2], f"and {count(len(messages) - 2, 'more remark')}"]

    def _details(self) -> list[Part]:
        shown = self.documents(range(min(len(self), _SHOWN)))
        rows = [[document.id, clipped(document.text, 240), clipped(", ".join(document.metadata))] for document in shown]
        return [Table(["document", "text", "metadata"], rows, more=len(self) - len(shown))]

    def documents(self, positions: Sequence[int] | Ints) -> list[Document]:
        """The documents at these positions, in this order."""
        names = ("id", "text", "metadata")
        if len(positions) > _FEW:
            return made_of(*(self._values(name, positions) for name in names))
        places = self._places(positions)  # looked for once
        return made_of(*([self._columns[name][owner][row].as_py() for owner, row in places] for name in names))

    def ids(self, positions: Sequence[int] | Ints | None = None) -> list[str]:
        """Ids at these positions; all of them by default."""
        return self._values("id", positions)

    def texts(self, positions: Sequence[int] | Ints | None = None) -> list[str]:
        """Texts at these positions; all of them by default."""
        return self._values("text", positions)

    def iter_texts(self) -> Iterator[list[str]]:
        """All texts, a record batch at a time, for large corpora."""
        for batch in self._table.to_batches():
            yield batch.column("text").to_pylist()

    def lengths(self) -> Ints:
        """Length of every text in characters, int64 [n]."""
        import pyarrow.compute as pc

        lengths = pc.call_function("utf8_length", [self._table["text"]])
        return np.asarray(lengths.to_numpy(), dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ids and metadata, which filters and judgments refer to; not of the texts."""
        columns = (batch.column(name) for name in ("id", "metadata") for batch in self._batches)
        return fingerprint_texts(text for column in columns for text in column.to_pylist())

    @cached_property
    def fields(self) -> Fields:
        """The metadata by column, for filters; read when first asked for."""
        return Fields(self._metadata_texts(), self.ids, self.alive, self._former)

    def metadata_texts(self, positions: Ints) -> list[str]:
        """Metadata at these positions, as JSON."""
        return self._values("metadata", positions)

    def _metadata_texts(self) -> Iterator[str]:
        return (text for batch in self._batches for text in batch.column("metadata").to_pylist())

    @property
    def _former(self) -> dict[str, list[str]]:
        """Kinds of the fields of removed documents, by name."""
        known = (self._table.schema.metadata or {}).get(FORMER)
        return {} if known is None else cast("dict[str, list[str]]", json.loads(known))

    def _remembering(self, positions: Ints) -> pa.Schema:
        """The schema, in which fields of documents that go are remembered: filters name them as before."""
        former = {name: set(kinds) for name, kinds in self._former.items()}
        for name, kinds in kinds_by_field(self.metadata_texts(positions)).items():
            former.setdefault(name, set()).update(kinds)
        return corpus_schema({name: sorted(kinds) for name, kinds in sorted(former.items())})

    def sorted_by(self, field: str) -> Corpus:
        """The same documents, ordered by a number or a date in their metadata; those without it come last.

        Raises:
            DataError: No document has the field, or it does not hold one number or one date for each document.
        """
        order = self.fields.field(field).order()
        blocks = (order[first : first + ROWS] for first in range(0, len(order), ROWS))
        corpus = Corpus.from_documents(document for block in blocks for document in self.documents(block))
        corpus.remarks = self.remarks
        return corpus

    def position(self, document_id: str) -> int | None:
        """Position of an id, or None if no document has it, or only a deleted one."""
        if self._positions is None:
            ids = self.ids()
            alive = range(len(ids)) if self.alive is None else np.flatnonzero(self.alive).tolist()
            self._positions = {ids[position]: position for position in alive}
        return self._positions.get(document_id)

    def _values(self, name: str, positions: Sequence[int] | Ints | None) -> list[str]:
        """A column at these positions; all of it by default."""
        if positions is None:
            return cast("list[str]", self._table[name].to_pylist())
        if len(positions) > _FEW:
            return cast("list[str]", self._take(positions, [name])[name].to_pylist())
        batches = self._columns[name]
        return [batches[owner][row].as_py() for owner, row in self._places(positions)]

    def _places(self, positions: Sequence[int] | Ints) -> list[tuple[int, int]]:
        """Record batch and row of each position."""
        where = np.asarray(positions, dtype=np.int64)
        if (where < 0).any():
            raise IndexError(f"positions of documents begin with 0, got {where.min()}")
        owners = np.searchsorted(self._starts, where, side="right") - 1
        return list(zip(owners.tolist(), (where - self._starts[owners]).tolist(), strict=True))

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        """The record batches of each column."""
        return {name: [batch.column(name) for batch in self._batches] for name in self._table.schema.names}

    def _take(self, positions: Sequence[int] | Ints, columns: list[str] | None = None) -> Any:
        import pyarrow as pa

        positions = np.asarray(positions, dtype=np.int64)
        table = self._table if columns is None else self._table.select(columns)
        if not len(positions):
            return table.slice(0, 0)
        # Batch by batch: Arrow's own take on a table first copies whole columns of text, whatever is asked for.
        order = np.argsort(positions, kind="stable")
        ascending = positions[order]
        owner = np.searchsorted(self._starts, ascending, side="right") - 1
        cuts = [0, *(np.flatnonzero(np.diff(owner)) + 1), len(owner)]
        pieces = []
        for first, last in pairwise(cuts):
            batch, start = self._batches[owner[first]], self._starts[owner[first]]
            batch = batch if columns is None else batch.select(columns)
            pieces.append(batch.take(pa.array(ascending[first:last] - start)))
        return pa.Table.from_batches(pieces).take(pa.array(np.argsort(order)))
