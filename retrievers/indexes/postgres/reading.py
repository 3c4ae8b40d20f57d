"""Searching a generation: exactly where few rows pass, by the graph where many do."""

from __future__ import annotations

import json
import math
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Floats, Ints, Vectors
from rag.conditions import Condition, condition_key
from rag.errors import ArtifactError, ServerError
from rag.retrievers.indexes.postgres.conditions import Where
from rag.retrievers.indexes.postgres.connection import Pool, Server
from rag.retrievers.indexes.postgres.records import Generation, Name, check_open
from rag.retrievers.indexes.postgres.rows import Storage
from rag.retrievers.indexes.remote.lists import Lists, checked_lists
from rag.retrievers.indexes.remote.rows import Held, row_hash

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["Reader"]

_TOGETHER = 256
"""Queries in one statement."""

_SHARED = 4
"""From this many queries on the rows that pass are collected once for all of them."""

_VISITED = 40
"""Rows that a graph compares for each candidate kept, as :class:`rag.retrievers.HNSW` counts them."""

_LARGEST_EF = 1000
"""That pgvector takes."""

_SENT = np.dtype([("id", ">i8"), ("score", ">f8")])
"""A row of an answer, as the server sends it."""

_EMPTY = np.empty(0, dtype=np.dtype([("id", np.int64), ("score", np.float32)]))

_EXACT_ALONE = """
select q.n, (select string_agg(int8send(r.id) || float8send(r.score), ''::bytea) from (
    select id, -(v <#> q.v) as score from {table} where {visible} and ({where})
    order by (v <#> q.v) + 0, id limit {k}) r)
from unnest(%(queries)s::{type}[]) with ordinality q(v, n)
"""

_EXACT = """
with passing as materialized (select id, v from {table} where {visible} and ({where}))
select q.n, (select string_agg(int8send(r.id) || float8send(r.score), ''::bytea) from (
    select id, -(v <#> q.v) as score from passing order by v <#> q.v, id limit {k}) r)
from unnest(%(queries)s::{type}[]) with ordinality q(v, n)
"""

_GRAPH_ALONE = """
select 1::int8, string_agg(int8send(r.id) || float8send(r.score), ''::bytea) from (
    select id, -(v <#> (%(queries)s::{type}[])[1]) as score from {table} where {visible} and ({where})
    order by v <#> (%(queries)s::{type}[])[1] limit {k}) r
"""
"""Of one query, for which nothing has to be joined: planned once where there is no condition."""

_GRAPH = """
select q.n, (select string_agg(int8send(r.id) || float8send(r.score), ''::bytea) from (
    select id, -(v <#> q.v) as score from {table} where {visible} and ({where}) order by v <#> q.v limit {k}) r)
from unnest(%(queries)s::{type}[]) with ordinality q(v, n)
"""


class Reader:
    """A generation that is open.

    Args:
        server: The database.
        name: The table.
        storage: Storage type of vectors.
        held: Contents of the index.
        ef_search: Candidates kept by a search.
        connections: Most at a time.
    """

    def __init__(
        self, server: Server, name: Name, storage: Storage, held: Held[Generation], *, ef_search: int, connections: int
    ) -> None:
        self.server, self.name, self.storage, self.held = server, name, storage, held
        self.ef_search, self.connections = ef_search, connections
        self._start()

    def _start(self) -> None:
        self._pool = Pool(self.server, self.connections, _Configured(self))
        self._passing = lru_cache(maxsize=1024)(self._estimated)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_pool", "_passing", "_label")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def open(self) -> None:
        """Connect.

        Raises:
            ServerError: The database cannot be reached.
            ArtifactError: The generation is not there.
        """
        self._pool.open()

    def close(self) -> None:
        """Give up the connections, and with them the generation."""
        self._pool.close()

    def search(self, vectors: Vectors, k: int, condition: Condition | None) -> tuple[Ints, Floats]:
        """Nearest keys int64 [q, k'] and inner products float32, best first; see
        :meth:`rag.retrievers.indexes.remote.base.Reader.search`.
        """
        where = Where(condition, self.held.layout) if condition else None
        few = self._passing(condition_key(condition)) if condition else self.held.generation.rows
        lists: Lists = []
        for first in range(0, len(vectors), _TOGETHER):
            block = vectors[first : first + _TOGETHER]
            lists += self._exact(block, k, where) if self._is_few(few, k) else self._graph(block, k, where)
        self._check_all_there(lists, k, condition)
        return checked_lists(self._label, lists, k, self.held.rows)

    def search_among(self, vectors: Vectors, k: int, rows: Ints) -> tuple[Ints, Floats]:
        """The same among given rows, exactly."""
        where = Where({}, self.held.layout)
        where.text, where.parameters = "id = any(%(among)s::int8[])", {"among": rows.tolist()}
        lists: Lists = []
        for first in range(0, len(vectors), _TOGETHER):
            lists += self._exact(vectors[first : first + _TOGETHER], k, where)
        return checked_lists(self._label, lists, k, self.held.rows)

    def vectors(self, rows: Ints) -> Vectors:
        """Vectors of rows, as they are stored, float32 [n, d].

        Raises:
            ArtifactError: A row is not there.
        """
        unique, inverse = np.unique(rows, return_inverse=True)
        sql = (
            f"select {self.storage.type}_send(v) from unnest(%s::int8[]) with ordinality w(id, n) "
            f"join {self._table} r on r.id = w.id order by w.n"
        )
        there = self._pool.run(
            "cannot be read", lambda connection: connection.execute(sql, [unique.tolist()], binary=True).fetchall()
        )
        if len(there) != len(unique):
            raise ArtifactError(f"{self._label} lacks {len(unique) - len(there)} rows: 'rag verify' says which")
        return self.storage.unpacked([bytes(vector) for (vector,) in there], self.held.generation.dimension)[inverse]

    def bytes(self) -> int:
        """Size of the table and its indexes."""
        sql = "select pg_total_relation_size(%s::regclass)"
        row = self._pool.run("cannot be read", lambda connection: connection.execute(sql, [self._table]).fetchone())
        return int(row[0]) if row else 0

    def verify(self) -> None:
        """Read all rows and compare them with the written hashes.

        Raises:
            ArtifactError: Rows are missing, were added or changed.
        """
        layout = self.held.layout.flat()
        ids, hashes = self.held.ids.tolist(), self.held.hashes
        expected = {id: (hashes[position].tobytes(), position) for position, id in enumerate(ids) if id >= 0}
        foreign, changed = 0, []
        names = "".join(f", {name}" for name in layout)
        sql = f"select id, {self.storage.type}_send(v){names} from {self._table} where {self.held.generation.visible}"
        with (
            self.server.connected() as connection,
            self.server.translated("cannot be read"),
            connection.transaction(),
            connection.cursor(name="verify", binary=True) as cursor,
        ):
            cursor.itersize = 2000
            for id, vector, *values in cursor.execute(sql):
                digest, position = expected.pop(id, (None, -1))
                if digest is None:
                    foreign += 1
                elif row_hash(dict(zip(layout, values, strict=True)), bytes(vector)) != digest:
                    changed.append(position)
        wrong = [
            f"{count} rows {fault}"
            for count, fault in (
                (len(expected), "are missing"),
                (foreign, "are not ours"),
                (len(changed), "were changed"),
            )
            if count
        ]
        if wrong:
            raise ArtifactError(
                f"{self._label} is damaged: of {self.held.generation.rows} rows {', '.join(wrong)}: index again"
            )

    def is_given_up(self) -> bool:
        """Whether a folder gave up the generation, so that a writer will remove it."""
        sql = f"select released is not null from {self.name.records} where key = %s"
        key = self.held.generation.key
        row = self._pool.run("cannot be asked", lambda connection: connection.execute(sql, [key]).fetchone())
        return bool(row and row[0])

    # -- within -------------------------------------------------------------------------------------------------------

    @cached_property
    def _table(self) -> str:
        return self.name.base(self.held.generation.base)

    @cached_property
    def _label(self) -> str:
        return f"{self.server}: the table {self._table}"

    def _is_few(self, passing: int, k: int) -> bool:
        """Whether comparing all rows that pass costs less than following links to them: a graph visits some rows for
        each candidate, and as many more as fewer pass.
        """
        visited = _VISITED * max(self.ef_search, k)
        return passing <= math.sqrt(visited * max(self.held.generation.rows, 1))

    def _estimated(self, key: str) -> int:
        """Estimated number of rows that pass a condition, from the server's statistics."""
        where = Where(json.loads(key), self.held.layout)
        visible = self.held.generation.visible
        sql = f"explain (format json) select 1 from {self._table} where {visible} and ({where.text})"
        row = self._pool.run("cannot be asked", lambda connection: connection.execute(sql, where.parameters).fetchone())
        assert row is not None
        return int(row[0][0]["Plan"]["Plan Rows"])

    def _exact(self, vectors: Vectors, k: int, where: Where | None) -> Lists:
        return self._asked(_EXACT if len(vectors) >= _SHARED else _EXACT_ALONE, vectors, k, where, None)

    def _graph(self, vectors: Vectors, k: int, where: Where | None) -> Lists:
        ef = min(_LARGEST_EF, max(self.ef_search, k))
        statement = _GRAPH if len(vectors) > 1 else _GRAPH_ALONE
        lists = self._asked(statement, vectors, k, where, None if ef == self.ef_search else ef)
        short = [row for row, (ids, _) in enumerate(lists) if len(ids) < k]
        if short:  # fewer pass than was thought, or they lie far from the query
            for row, again in zip(short, self._exact(vectors[short], k, where), strict=True):
                lists[row] = again
        return lists

    def _asked(self, statement: str, vectors: Vectors, k: int, where: Where | None, ef: int | None) -> Lists:
        sql = statement.format(
            table=self._table,
            visible=self.held.generation.visible,
            where="true" if where is None else where.text,
            type=self.storage.type,
            k=k,
        )
        parameters = {**(where.parameters if where else {}), "queries": QueryVectors(self.storage, vectors)}
        prepare = False if where else None  # a prepared plan would know nothing of the values of a condition

        def read(connection: Connection[Any]) -> list[Any]:
            cursor = connection.cursor(binary=True)
            if ef is None:
                return cursor.execute(sql, parameters, prepare=prepare).fetchall()
            with connection.transaction():
                connection.execute("select set_config('hnsw.ef_search', %s, true)", [str(ef)])
                return cursor.execute(sql, parameters, prepare=prepare).fetchall()

        lists: Lists = [(_EMPTY["id"], _EMPTY["score"])] * len(vectors)
        for n, packed in self._pool.run("cannot be searched", read):
            if not 1 <= n <= len(vectors):
                raise ArtifactError(f"{self._label} answered a query that was not sent")
            if packed:
                table = np.frombuffer(packed, dtype=_SENT).astype(_EMPTY.dtype)
                lists[n - 1] = table["id"], table["score"]
        return lists

    def _check_all_there(self, lists: Lists, k: int, condition: Condition | None) -> None:
        needed = min(k, self.held.generation.rows)
        if condition is None and any(len(ids) < needed for ids, _ in lists):
            raise ArtifactError(f"{self._label} has fewer rows than were written: 'rag verify' says more")


class QueryVectors:
    """Vectors that go to the server as one array.

    Args:
        storage: Storage type on the server.
        vectors: Float32 [q, d].
    """

    def __init__(self, storage: Storage, vectors: Vectors) -> None:
        self.storage, self.vectors = storage, vectors

    def packed(self, element: int) -> bytes:
        """The array in the server's binary form, of elements with this number of a type."""
        n, dimension = self.vectors.shape
        head = np.array([1, 0, element, n, 1], dtype=">i4").tobytes()
        size = 4 + dimension * np.dtype(self.storage.dtype).itemsize
        fields = [("size", ">i4"), ("d", ">i2"), ("zero", ">i2"), ("v", self.storage.dtype, (dimension,))]
        table = np.empty(n, dtype=fields)
        table["size"], table["d"], table["zero"], table["v"] = size, dimension, 0, self.vectors
        return head + table.tobytes()


class _Configured:
    """Makes a new connection one of a reader: settings, types, and the generation held open."""

    def __init__(self, reader: Reader) -> None:
        self.server, self.name, self.held = reader.server, reader.name, reader.held.generation
        self.type = reader.storage.type
        self.settings = {
            "hnsw.iterative_scan": "relaxed_order",
            "hnsw.ef_search": str(reader.ef_search),
            # Where the graph is asked, nothing else is to answer; and what compares all rows has no other way anyway.
            "enable_sort": "off",
            "enable_seqscan": "off",
            "jit": "off",
            "plan_cache_mode": "auto",
        }

    def __call__(self, connection: Connection[Any]) -> None:
        check_open(connection, self.server, self.name, self.held)
        for name, value in self.settings.items():
            connection.execute("select set_config(%s, %s, false)", [name, value])
        row = connection.execute("show hnsw.iterative_scan").fetchone()
        if row != ("relaxed_order",):  # a wrong value is a warning there, and gives short lists
            raise ServerError(f"{self.server}: does not take hnsw.iterative_scan = relaxed_order, but has {row}")
        oids = connection.execute("select oid, typarray from pg_type where typname = %s", [self.type]).fetchone()
        if oids is None:
            raise ServerError(f"{self.server}: its pgvector has no type {self.type}")
        connection.adapters.register_dumper(QueryVectors, _dumper(*oids))


def _dumper(element: int, array: int) -> Any:
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class QueryVectorsDumper(Dumper):
        oid = array
        format = Format.BINARY

        def dump(self, obj: QueryVectors) -> bytes:
            return obj.packed(element)

    return QueryVectorsDumper
