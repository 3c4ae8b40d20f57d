"""Writing generations: the rows first, then the alias that says they are all there."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from rag.candidates import Ints, Vectors
from rag.errors import ArtifactError, DataError, RagError, ServerError
from rag.progress import Progress
from rag.retrievers.indexes.milvus.columns import LONGEST, MOST_VALUES, columns_of, stored_fields
from rag.retrievers.indexes.milvus.connection import MilvusServer
from rag.retrievers.indexes.milvus.contents import Content, VectorContent
from rag.retrievers.indexes.milvus.generations import (
    FORMAT,
    LIVING,
    Generation,
    begun,
    clean,
    drop,
    give_up,
    keep,
    made,
    marks_of,
    new_base,
    remove,
    writing,
)
from rag.retrievers.indexes.milvus.reading import rows_by_id
from rag.retrievers.indexes.remote.fields import Layout
from rag.retrievers.indexes.remote.rows import Change, Held, fields_of, row_hash
from rag.retrievers.indexes.remote.writing import NewRows, Writer

__all__ = ["MilvusWriter"]

logger = logging.getLogger("rag.retrievers.indexes")

_MOST_COLUMNS = 59
"""Columns for fields: Milvus takes 64 in all, if not set up otherwise."""

_SENT = 1000
"""Rows in a message, which must stay below 64 MB."""


class MilvusWriter(Writer[Generation]):
    """Writes the collections of an index.

    Args:
        server: The server.
        name: Of the collections.
        content: What rows hold.
        keep_hours: How long generations stay that folders gave up.
    """

    label = "Milvus"
    most_columns = _MOST_COLUMNS

    def __init__(self, server: MilvusServer, name: str, content: Content, *, keep_hours: float) -> None:
        self.server, self.name, self.content, self.keep_hours = server, name, content, keep_hours

    def keep(self, own: Generation) -> None:
        self.server.run("a generation cannot be kept", lambda client: keep(client, own))

    def give_up(self, generations: Sequence[Generation]) -> None:
        self.server.run("a generation cannot be given up", lambda client: give_up(client, generations))

    # -- within -------------------------------------------------------------------------------------------------------

    def _check(self, contents: Any) -> int:
        return self.content.check(contents)

    def _first(self, rows: NewRows, contents: Any, dimension: int, progress: Progress, opened: Any) -> Held[Generation]:
        clean(self.server, self.name, self.keep_hours)
        base = new_base(self.name)
        with self._created(base, rows.layout, dimension, rows.generation):
            self._write(base, rows, contents, rows.positions, progress)
            held = self._made(base, rows, dimension)
        self.server.run("cannot be written", lambda client: client.flush(base))  # its graph is built from now on
        opened(held)
        return held

    def _next(
        self,
        held: Held[Generation],
        change: Change,
        rows: NewRows,
        added: Vectors | None,
        progress: Progress,
        opened: Any,
    ) -> Held[Generation]:
        own = held.generation
        with writing(self.server, own.base):
            clean(self.server, self.name, self.keep_hours, but=own)
            if own.generation not in self.server.run("cannot be read", lambda client: marks_of(client, own.base)):
                raise ArtifactError(
                    f"{self.server}: generation {own.generation} of {own.base} is not there: it was given up (an "
                    "update or a rollback elsewhere). Open the newest folder, or index again"
                )
            base = self._following(held, rows.layout, progress)
            contents = self._contents(own, change.moved_from, added)
            self._rewrite(base, change.gone, rows.generation)
            self._write(base, rows, contents, np.arange(len(rows.positions)), progress)
            changed = self._made(base, rows, own.dimension)
        opened(changed)
        return changed

    def _made(self, base: str, rows: NewRows, dimension: int) -> Held[Generation]:
        """Say that a generation is complete, after counting it."""
        digest = Held.digest(rows.ids, rows.hashes)
        generation = Generation(base, rows.generation, rows.total, rows.last, dimension, digest)

        def count_and_name(client: Any) -> None:
            count = client.query(
                generation.base, filter=generation.visible, output_fields=["count(*)"], consistency_level="Strong"
            )[0]["count(*)"]
            if count != generation.rows:
                raise ServerError(
                    f"{self.server}: {generation.base} has {count} rows where {generation.rows} were written"
                )
            made(client, generation)

        self.server.run("cannot be written", count_and_name)
        return Held(generation, rows.layout, rows.ids, rows.hashes)

    def _following(self, held: Held[Generation], layout: Layout, progress: Progress) -> str:
        """The base of the generation after ours, without what an interrupted write left. Where another came after ours
        already, or there are columns that the collection lacks, our rows are copied to a base of their own.
        """
        own = held.generation
        marks = self.server.run("cannot be read", lambda client: marks_of(client, own.base))
        later = [number for number in marks if number > own.generation]
        if any(marks[number].gone is None and not marks[number].is_unneeded(0) for number in later):
            logger.warning("another folder has a later generation of %s: its rows are copied", own.base)
            return self._copied(held, layout, progress)
        if columns_of(layout).keys() != columns_of(held.layout).keys():
            logger.warning("there are fields that %s has no columns for: its rows are copied", own.base)
            return self._copied(held, layout, progress)

        def taken_back(client: Any) -> list[Any]:
            remove(client, own.base, marks, later)
            client.delete(own.base, filter=f"born > {own.generation}")
            dead = client.query(
                own.base,
                filter=f"died > {own.generation} and died < {LIVING}",
                output_fields=["id"],
                consistency_level="Strong",
            )
            return [row["id"] for row in dead]

        revived = self.server.run("cannot be written", taken_back)
        self._rewrite(own.base, np.array(revived, dtype=np.int64), LIVING)
        return own.base

    def _copied(self, held: Held[Generation], layout: Layout, progress: Progress) -> str:
        base = new_base(self.name)
        empty = dict.fromkeys(columns_of(layout))
        living = held.ids[held.ids >= 0]
        with (
            self._created(base, layout, held.generation.dimension, held.generation.generation + 1),
            progress("copying rows (milvus)", len(living)) as advance,
        ):
            for first in range(0, len(living), _SENT):
                rows = rows_by_id(self.server, held.generation.base, living[first : first + _SENT], ["*"])
                self._send(base, [{**empty, **self._own(row), "died": LIVING} for row in rows])
                advance(len(rows))
        return base

    @contextmanager
    def _created(self, base: str, layout: Layout, dimension: int, number: int) -> Iterator[None]:
        """Make a collection for a generation, and remove it if it cannot be filled."""
        self._create(base, layout, dimension, number)
        try:
            yield
        except BaseException:
            with suppress(RagError):
                self.server.run("cannot be removed", lambda client: drop(client, base))
            raise

    def _create(self, base: str, layout: Layout, dimension: int, number: int) -> None:
        columns = columns_of(layout)
        if len(columns) > _MOST_COLUMNS:
            raise DataError(
                f"the documents' metadata takes {len(columns)} columns, a collection has room for {_MOST_COLUMNS}: "
                "leave fields out (--drop-field, drop_fields)"
            )
        is_lite = self.server.is_lite

        def create(client: Any) -> None:
            from pymilvus import DataType

            schema = client.create_schema(
                auto_id=False, enable_dynamic_field=False, description=f"rag-pipelines, format {FORMAT}"
            )
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("born", DataType.INT64)
            schema.add_field("died", DataType.INT64)
            index = client.prepare_index_params()
            self.content.define(schema, index, dimension)
            for name, column in columns.items():
                kind = column.rpartition(" ")[2]
                options: dict[str, Any] = {"max_length": LONGEST} if kind == "VARCHAR" else {}
                if column.startswith("ARRAY"):
                    options |= {"element_type": DataType[kind], "max_capacity": MOST_VALUES}
                    kind = "ARRAY"
                schema.add_field(name, DataType[kind], nullable=True, **options)
                if kind != "ARRAY" or not is_lite:
                    index.add_index(name, index_type="INVERTED")
            client.create_collection(base, schema=schema, index_params=index)
            begun(client, base, number)

        self.server.run("a collection cannot be made", create)

    def _write(self, base: str, rows: NewRows, contents: Any, at: Ints, progress: Progress) -> None:
        """Write rows: the vectors of their passages are those at these places."""
        with progress("writing rows (milvus)", len(rows.positions)) as advance:
            for first in range(0, len(rows.positions), _SENT):
                block = rows.positions[first : first + _SENT]
                values, places = fields_of(rows.passages, block)
                fields = [stored_fields(rows.layout, own) for own in values]
                contained = self.content.values(rows.passages, block, contents, at[first : first + _SENT])
                sent, digests = [], []
                for id, position, value in zip(itertools.count(rows.next_id + first), places, contained, strict=False):
                    row = {"id": id, "born": rows.generation, "died": LIVING, self.content.column: value}
                    sent.append(row | fields[position])
                    digests.append(row_hash(fields[position], self.content.packed(value)))
                self._send(base, sent)
                rows.noted(first, digests)
                advance(len(block))

    def _send(self, base: str, rows: list[Any]) -> None:
        # Not insert: a row that is sent again after a connection was lost must not be there twice.
        self.server.run("cannot be written", lambda client: client.upsert(base, rows))

    def _rewrite(self, base: str, ids: Ints, died: int) -> None:
        """Note in which generation rows died."""
        for first in range(0, len(ids), _SENT):
            rows = rows_by_id(self.server, base, ids[first : first + _SENT], ["*"])
            self._send(base, [{**self._own(row), "died": died} for row in rows])

    def _own(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row as it is written: without what the server made of it."""
        made_there = self.content.searched if self.content.searched != self.content.column else None
        return {name: value for name, value in row.items() if name != made_there}

    def _contents(self, own: Generation, moved_from: Ints, added: Vectors | None) -> Vectors | None:
        """Vectors of rows that get new fields, then those that came; None for texts."""
        if not isinstance(self.content, VectorContent):
            return None
        rows = rows_by_id(self.server, own.base, moved_from, ["id", self.content.column])
        stay = np.array([row[self.content.column] for row in rows], dtype=np.float32).reshape(-1, own.dimension)
        return stay if added is None else np.concatenate([stay, added])
