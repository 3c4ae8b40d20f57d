"""The generations of a table: their list, their users, and the removal of unused generations.

Every fit makes a table of its own (``papers_1``, ``papers_2``: its *base*), every update a generation of it: rows are
there from the generation they were ``born`` in until the one they ``died`` in. Each generation is a row of
``rag_generations``, written in the transaction that made it. Readers hold a shared advisory lock on theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.errors import ArtifactError, ServerError

if TYPE_CHECKING:
    from psycopg import Connection

    from rag.retrievers.indexes.postgres.connection import Server

__all__ = [
    "FORMAT",
    "LIVING",
    "Generation",
    "Name",
    "check_open",
    "is_idle",
    "mark_released",
    "mark_saved",
    "record",
]

FORMAT = 1
"""Of tables and generations; a reader refuses a higher one."""

LIVING = 2**31 - 1
"""``died`` of rows that are there still."""

_WRITERS = 0x7261_6702
"""Class of the advisory locks of writers."""

_READERS = "hashint8(to_regclass(%s)::oid::int8)"
"""Class of those of readers, of the table of the generations; they are numbered as these are."""

_CREATE = """
create table if not exists {records} (
    key int generated always as identity primary key,
    name text not null, base int not null, generation int not null, format int not null,
    rows int8 not null, next_id int8 not null, dimension int not null, digest text not null,
    saved bool not null default false, released timestamptz, made timestamptz not null default now(),
    unique (name, base, generation))
"""

logger = logging.getLogger("rag.retrievers.indexes")


@dataclass(frozen=True)
class Name:
    """A table of the pipeline's file: a name, perhaps with a schema before it.

    Args:
        text: Name as written by the user.
    """

    text: str

    @property
    def records(self) -> str:
        """The table of the generations, for SQL."""
        schema, _, _ = self.text.rpartition(".")
        return f'"{schema}".rag_generations' if schema else "rag_generations"

    def base(self, number: int) -> str:
        """The table with the rows of a fit, for SQL."""
        schema, _, name = self.text.rpartition(".")
        return f'"{schema}"."{name}_{number}"' if schema else f'"{name}_{number}"'

    @property
    def own(self) -> str:
        """The name without the schema."""
        return self.text.rpartition(".")[2]


@dataclass(frozen=True)
class Generation:
    """A version of a table's contents, as seen by a process that has opened it.

    Args:
        key: Its number among all.
        base: The fit whose rows they are.
        generation: Counts the updates of the base, from 1.
        rows: Number of rows.
        next_id: The number of the next row that is written.
        dimension: Dimension of the vectors.
        digest: Hash of all rows.
    """

    key: int
    base: int
    generation: int
    rows: int
    next_id: int
    dimension: int
    digest: str

    @property
    def visible(self) -> str:
        """The rows that are there, as SQL."""
        return f"born <= {self.generation} and died > {self.generation}"


@contextmanager
def writing(server: Server, name: Name) -> Iterator[Connection[Any]]:
    """The only writer of a table, while inside: others wait.

    Raises:
        ServerError: The database cannot be reached, or refuses.
    """
    with server.connected() as connection, server.translated(f"the table {name.text} cannot be written"):
        scalar = connection.execute("select pg_try_advisory_lock(%s, hashtext(%s))", [_WRITERS, name.text]).fetchone()
        if scalar is not None and not scalar[0]:
            logger.warning("waiting for another writer of the table %s", name.text)
            connection.execute("select pg_advisory_lock(%s, hashtext(%s))", [_WRITERS, name.text])
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s, 0)", [_WRITERS])
            if connection.execute("select to_regclass(%s)", [name.records]).fetchone() == (None,):
                connection.execute(_CREATE.format(records=name.records))
        newest = connection.execute(f"select max(format) from {name.records} where name = %s", [name.own]).fetchone()
        if newest and newest[0] is not None and newest[0] > FORMAT:
            raise ServerError(
                f"{server}: the table {name.text} is in format {newest[0]}, of a newer version; this one writes up to "
                f"{FORMAT}"
            )
        yield connection


def record(
    connection: Connection[Any],
    name: Name,
    base: int,
    generation: int,
    rows: int,
    next_id: int,
    dimension: int,
    digest: str,
) -> Generation:
    """Write down a generation, which this connection has open from now on."""
    row = connection.execute(
        f"insert into {name.records} (name, base, generation, format, rows, next_id, dimension, digest) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s) returning key",
        [name.own, base, generation, FORMAT, rows, next_id, dimension, digest],
    ).fetchone()
    assert row is not None
    connection.execute(f"select pg_advisory_lock_shared({_READERS}, %s)", [name.records, row[0]])
    return Generation(row[0], base, generation, rows, next_id, dimension, digest)


def check_open(connection: Connection[Any], server: Server, name: Name, known: Generation) -> None:
    """Open a generation, for as long as the connection lives.

    Raises:
        ArtifactError: It is not there any more, or is another's, or of a newer format.
    """
    connection.execute(f"select pg_advisory_lock_shared({_READERS}, %s)", [name.records, known.key])
    there = connection.execute("select to_regclass(%s), to_regclass(%s)", [name.records, name.base(known.base)])
    records, table = there.fetchone() or (None, None)
    row = None
    if records is not None:
        row = connection.execute(
            f"select format, name, base, generation, rows, dimension, digest from {name.records} where key = %s",
            [known.key],
        ).fetchone()
    lost = f"{server}: generation {known.generation} of the table {name.base(known.base)}"
    if row is None:
        raise ArtifactError(
            f"{lost} is not there: it was given up (an update or a rollback elsewhere), or this is another database. "
            "Open the newest folder, or index again"
        )
    if row[0] > FORMAT:
        raise ArtifactError(f"{lost} is in format {row[0]}, of a newer version; this one reads up to {FORMAT}")
    if row[1:] != (name.own, known.base, known.generation, known.rows, known.dimension, known.digest):
        raise ArtifactError(f"{lost} belongs to another index: this is another database, or it was overwritten")
    if table is None:
        raise ArtifactError(f"{lost} is missing, though its record exists: index again")


def is_idle(connection: Connection[Any], name: Name, key: int) -> bool:
    """Whether nobody has a generation open. Nobody opens it until the transaction ends, if so."""
    row = connection.execute(f"select pg_try_advisory_xact_lock({_READERS}, %s)", [name.records, key]).fetchone()
    return bool(row and row[0])


def mark_saved(connection: Connection[Any], name: Name, key: int) -> None:
    """Say that a folder holds a generation, or is about to."""
    connection.execute(f"update {name.records} set saved = true, released = null where key = %s", [key])


def mark_released(connection: Connection[Any], name: Name, keys: list[int]) -> None:
    """Say that the folder that held generations does not any more."""
    connection.execute(f"update {name.records} set released = now() where key = any(%s) and released is null", [keys])


def clean(connection: Connection[Any], name: Name, hours: float, *, but: int | None = None) -> None:
    """Remove what nobody needs: generations that were never saved, by processes that are gone, and those that folders
    gave up so many hours ago; unless somebody has them open.

    Args:
        connection: Connection of the only writer.
        name: The table.
        hours: Since a folder gave up a generation.
        but: A generation to keep.
    """
    rows = connection.execute(
        f"select key, base, generation, not saved or released < now() - %s * interval '1 hour' from {name.records} "
        "where name = %s order by base, generation",
        [hours, name.own],
    ).fetchall()
    unneeded = [(key, base) for key, base, _, old in rows if old and key != but]
    if not unneeded:
        return
    with connection.transaction():
        gone = [(key, base) for key, base in unneeded if is_idle(connection, name, key)]
        keys = [key for key, _ in gone]
        connection.execute(f"delete from {name.records} where key = any(%s)", [keys])
        for base in sorted({base for _, base in gone}):
            left = [generation for key, other, generation, _ in rows if other == base and key not in keys]
            if not left:
                connection.execute(f"drop table if exists {name.base(base)}")
                continue
            connection.execute(
                f"delete from {name.base(base)} r where not exists "
                "(select from unnest(%s::int[]) g(n) where r.born <= g.n and r.died > g.n)",
                [left],
            )
            connection.execute(
                f"update {name.base(base)} set died = %s where died > %s and died < %s", [LIVING, max(left), LIVING]
            )
