"""Writing generations: each in one transaction, so that it is there whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Ints, Vectors
from rag.errors import DataError
from rag.progress import Progress
from rag.retrievers.indexes.postgres.conditions import TYPES
from rag.retrievers.indexes.postgres.connection import Server
from rag.retrievers.indexes.postgres.records import (
    LIVING,
    Generation,
    Name,
    check_open,
    clean,
    is_idle,
    mark_released,
    mark_saved,
    record,
    writing,
)
from rag.retrievers.indexes.postgres.rows import COPY_TYPES, MOST_COLUMNS, Storage, rows_of
from rag.retrievers.indexes.remote.fields import Layout
from rag.retrievers.indexes.remote.rows import Change, Held
from rag.retrievers.indexes.remote.writing import NewRows, Writer

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["PostgresWriter"]

logger = logging.getLogger("rag.retrievers.indexes")

_BUILD_MEMORY = 1 << 30
"""Bytes that building a graph may take on the server; a larger one is built on disk from there on."""

_ROOM = "with (fillfactor = 80)"
"""For a row that dies in its own page: its vector need not be put into the graph again."""

_MANY = 1000
_SHARE = 0.2
"""More new rows than both, as a number and as a share of the old ones, are written with all others to a table of their
own: a row that enters a graph costs six times one of a graph that is built at once (3.0 and 0.5 ms at 200,000 rows)."""


class PostgresWriter(Writer[Generation]):
    """Writes the table of an index.

    Args:
        server: The database.
        name: The table.
        storage: Storage type of vectors.
        m: Links of the graph.
        ef_construction: Candidates kept while it is built.
        keep_hours: How long generations stay that folders gave up.
    """

    label = "index 'pgvector'"
    most_columns = MOST_COLUMNS

    def __init__(
        self, server: Server, name: Name, storage: Storage, *, m: int, ef_construction: int, keep_hours: float
    ) -> None:
        self.server, self.name, self.storage = server, name, storage
        self.m, self.ef_construction, self.keep_hours = m, ef_construction, keep_hours

    def keep(self, own: Generation) -> None:
        with self.server.connected() as connection, self.server.translated("a generation cannot be kept"):
            mark_saved(connection, self.name, own.key)

    def give_up(self, generations: Sequence[Generation]) -> None:
        with self.server.connected() as connection, self.server.translated("a generation cannot be given up"):
            mark_released(connection, self.name, [generation.key for generation in generations])

    # -- within -------------------------------------------------------------------------------------------------------

    def _check(self, contents: Vectors) -> int:
        self.storage.check(contents)
        return int(contents.shape[1])

    def _first(
        self, rows: NewRows, contents: Vectors, dimension: int, progress: Progress, opened: Any
    ) -> Held[Generation]:
        with writing(self.server, self.name) as connection:
            clean(connection, self.name, self.keep_hours)
            with connection.transaction():
                base = self._next_base(connection)
                table = self.name.base(base)
                self._create(connection, table, rows.layout, dimension)
                self._copy(connection, table, rows, contents, rows.positions, progress)
                self._index(connection, table, rows, dimension, progress)
                made = self._recorded(connection, base, rows, dimension)
            connection.execute(f"analyze {table}")
            opened(made)
        return made

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
        with writing(self.server, self.name) as connection:
            check_open(connection, self.server, self.name, own)
            clean(connection, self.name, self.keep_hours, but=own.key)
            with connection.transaction():
                many = len(rows.positions) > max(_MANY, _SHARE * own.rows)
                base, is_copy = self._following(connection, held, change.gone, copied=many)
                table = self.name.base(base)
                self._widen(connection, table, held.layout, rows.layout, indexed=not is_copy)
                vectors = self._vectors(connection, self.name.base(own.base), change.moved_from, own.dimension)
                if added is not None:
                    vectors = np.concatenate([vectors, added])
                if not is_copy:
                    sql = f"update {table} set died = %s where id = any(%s)"
                    connection.execute(sql, [rows.generation, change.gone.tolist()])
                self._copy(connection, table, rows, vectors, np.arange(len(vectors)), progress)
                if is_copy:
                    self._index(connection, table, rows, own.dimension, progress)
                made = self._recorded(connection, base, rows, own.dimension)
            if is_copy or len(rows.positions) + len(change.gone) > 0.1 * own.rows:
                connection.execute(f"analyze {table}")
            opened(made)
        return made

    def _recorded(self, connection: Connection[Any], base: int, rows: NewRows, dimension: int) -> Held[Generation]:
        made = record(
            connection,
            self.name,
            base,
            rows.generation,
            rows.total,
            rows.last,
            dimension,
            Held.digest(rows.ids, rows.hashes),
        )
        return Held(made, rows.layout, rows.ids, rows.hashes)

    def _next_base(self, connection: Connection[Any]) -> int:
        row = connection.execute(
            f"select coalesce(max(base), 0) + 1 from {self.name.records} where name = %s", [self.name.own]
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _following(
        self, connection: Connection[Any], held: Held[Generation], gone: Ints, *, copied: bool
    ) -> tuple[int, bool]:
        """Base of the generation after ours, and whether it is new: a copy of the rows that stay, without indexes.
        Where another came after ours already, it is taken back when no folder and nobody has it, and else the rows are
        copied.
        """
        own = held.generation
        later = connection.execute(
            f"select key, saved and released is null from {self.name.records} "
            "where name = %s and base = %s and generation > %s",
            [self.name.own, own.base, own.generation],
        ).fetchall()
        table = self.name.base(own.base)
        if any(in_use for _, in_use in later) or not all(is_idle(connection, self.name, key) for key, _ in later):
            logger.warning(
                "another folder, or a process, has a later generation of %s: its rows are copied to a table of their "
                "own",
                table,
            )
            copied = True
        elif later:
            connection.execute(f"delete from {self.name.records} where key = any(%s)", [[key for key, _ in later]])
            connection.execute(f"delete from {table} where born > %s", [own.generation])
            connection.execute(
                f"update {table} set died = %s where died > %s and died < %s", [LIVING, own.generation, LIVING]
            )
        base = own.base
        if copied:
            base = self._next_base(connection)
            copy = self.name.base(base)
            connection.execute(
                f"create table {copy} (like {table} including defaults including storage including comments) {_ROOM}"
            )
            fields = "".join(f", {name}" for name in held.layout.flat())
            # Not copied and then updated: the new index would wait until all older transactions have ended.
            connection.execute(
                f"insert into {copy} (id, born, died, v{fields}) select id, born, {LIVING}, v{fields} from {table} "
                f"where {own.visible} and id <> all(%s)",
                [gone.tolist()],
            )
        return base, copied

    def _create(self, connection: Connection[Any], table: str, layout: Layout, dimension: int) -> None:
        fields = "".join(f", {name} {TYPES[suffix]}" for name, (_, suffix) in layout.flat().items())
        connection.execute(
            f"create table {table} (id int8 not null, born int4 not null, died int4 not null, "
            f"v {self.storage.type}({dimension}) not null{fields}) {_ROOM}"
        )
        # Where a row fits a page, its vector stays in it: one that lies outside is fetched for each comparison.
        connection.execute(f"alter table {table} alter column v set storage main")
        self._comment(connection, table, layout, layout.flat())

    def _comment(self, connection: Connection[Any], table: str, layout: Layout, names: Iterable[str]) -> None:
        from psycopg import sql

        for name in names:
            field = sql.Literal(repr(layout.flat()[name][0])).as_string(connection)
            connection.execute(f"comment on column {table}.{name} is {field}")

    def _index(
        self, connection: Connection[Any], table: str, rows: NewRows, dimension: int, progress: Progress
    ) -> None:
        each = dimension * (4 if self.storage.type == "vector" else 2) + 8 * self.m + 200
        memory = min(max(64 << 20, int(1.3 * rows.total * each)), _BUILD_MEMORY)
        with progress("building the index (pgvector)", None):
            connection.execute(f"set local maintenance_work_mem = '{memory >> 10}kB'")
            connection.execute(f"create unique index on {table} (id)")
            for name, (_, suffix) in rows.layout.flat().items():
                self._field_index(connection, table, name, suffix)
            connection.execute(
                f"create index on {table} using hnsw (v {self.storage.type}_ip_ops) "
                f"with (m = {self.m}, ef_construction = {self.ef_construction})"
            )

    def _field_index(self, connection: Connection[Any], table: str, name: str, suffix: str) -> None:
        if suffix in ("tl", "o"):
            return
        method = "gin" if suffix.endswith("a") else "btree"
        connection.execute(f"create index on {table} using {method} ({name})")

    def _widen(self, connection: Connection[Any], table: str, before: Layout, after: Layout, *, indexed: bool) -> None:
        new = {name: suffix for name, (_, suffix) in after.flat().items() if name not in before.flat()}
        for name, suffix in new.items():
            connection.execute(f"alter table {table} add column if not exists {name} {TYPES[suffix]}")
            if indexed:
                self._field_index(connection, table, name, suffix)
        self._comment(connection, table, after, new)

    def _copy(
        self, connection: Connection[Any], table: str, rows: NewRows, vectors: Vectors, at: Ints, progress: Progress
    ) -> None:
        """Write rows: the vectors of their passages are those at these places."""
        flat, digests = rows.layout.flat(), []
        names = ", ".join(["id", "born", "died", "v", *flat])
        types = ["int8", "int4", "int4", "bytea", *(COPY_TYPES[suffix] for _, suffix in flat.values())]
        with (
            progress("writing vectors (pgvector)", len(rows.positions)) as advance,
            connection.cursor() as cursor,
            cursor.copy(f"copy {table} ({names}) from stdin (format binary)") as copy,
        ):
            copy.set_types(types)
            written = rows_of(rows.layout, rows.passages, rows.positions, vectors, at, self.storage)
            for n, (row, digest) in enumerate(written):
                copy.write_row([rows.next_id + n, rows.generation, LIVING, *row])
                digests.append(digest)
                if not n % 1024:
                    advance(min(1024, len(rows.positions) - n))
        rows.noted(0, digests)

    def _vectors(self, connection: Connection[Any], table: str, ids: Ints, dimension: int) -> Vectors:
        """Vectors of rows that get new fields, as they are stored, float32 [n, d]."""
        if not len(ids):
            return np.empty((0, dimension), dtype=np.float32)
        rows = connection.execute(
            f"select w.n, {self.storage.type}_send(v) from unnest(%s::int8[]) with ordinality w(id, n) "
            f"join {table} r on r.id = w.id order by w.n",
            [ids.tolist()],
            binary=True,
        ).fetchall()
        if len(rows) != len(ids):
            raise DataError(f"{self.server}: {table} lacks {len(ids) - len(rows)} rows: see 'rag verify'")
        return self.storage.unpacked([bytes(vector) for _, vector in rows], dimension)
