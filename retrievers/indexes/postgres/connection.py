"""Connections to a PostgreSQL server with pgvector: made, checked, pooled; and errors that tell no password."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from rag.config import has_credentials, revealed
from rag.errors import ConfigError, MissingExtraError, Mistakes, ServerError

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

T = TypeVar("T")

__all__ = ["Pool", "Server", "check_arguments"]

_OLDEST = (0, 8)
"""The first pgvector that goes on scanning when a filter leaves too few rows."""

logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())  # what fails is said by ServerError


def check_arguments(url: str, table: str) -> Mistakes:
    """What is wrong with arguments: an address with a password in it, which would stand in every file that the pipeline
    is written to; a name that SQL would have to quote, or that leaves no room for a number.
    """
    mistakes = Mistakes()
    if has_credentials(url):
        mistakes.add(
            "has a password in it, which would stand in files: write ${DATABASE_URL}, with the address in that "
            "environment variable (or leave the password to PGPASSWORD or ~/.pgpass)",
            "url",
        )
    if not re.fullmatch(r"([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,50}", table):
        mistakes.add(
            f"must be a name of small letters, digits and _ (with a schema before a dot, if any), got '{table}'",
            "table",
        )
    return mistakes


class Server:
    """A database, by its address.

    Args:
        url: Address as in the pipeline, with its variables.
        timeout: Seconds to wait for a connection, and for an answer.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.timeout = timeout

    @cached_property
    def _conninfo(self) -> dict[str, Any]:
        """Connection parameters for libpq. Never shown."""
        psycopg = _psycopg()
        from psycopg.conninfo import conninfo_to_dict

        address = revealed(self.url, "url")
        if address.startswith("postgresql+psycopg://"):  # as SQLAlchemy has it
            address = "postgresql" + address.removeprefix("postgresql+psycopg")
        options: dict[str, Any] = {}
        with contextlib.suppress(psycopg.Error):  # its message quotes the address
            options = dict(conninfo_to_dict(address))
        shown = "".join(str(options.get(name) or "") for name in ("host", "dbname", "user"))
        if not options or "@" in shown or not str(options.get("port") or 5432).replace(",", "").isdecimal():
            raise ConfigError(  # a password with special characters may be anywhere in it
                "is not the address of a database: write postgresql://USER@HOST:PORT/DATABASE, with %-codes "
                "for special "
                "characters",
                parameter="url",
            )
        return options

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "timeout": self.timeout}

    def __str__(self) -> str:
        options = self._conninfo
        host = options.get("host") or os.environ.get("PGHOST") or "localhost"
        port = options.get("port") or os.environ.get("PGPORT") or 5432
        name = options.get("dbname") or os.environ.get("PGDATABASE") or options.get("user") or "the default database"
        return f"PostgreSQL at {host}:{port}/{name}"

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Errors of the database as ours, without a password.

        Raises:
            ServerError: The database cannot be reached, or refuses.
        """
        psycopg = _psycopg()
        try:
            yield
        except psycopg.Error as error:
            lost = isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08")[:3] in ("08", "080", "57P")
            raise ServerError(f"{self}: {doing}: {self._said(error)}", lost=lost) from None

    @contextmanager
    def connected(self, *, seconds: float | None = None) -> Iterator[Connection[Any]]:
        """A connection of its own, in autocommit; ``seconds`` bounds each statement, None bounds none.

        Raises:
            ServerError: The database cannot be reached, or refuses; or pgvector is not there, or too old.
        """
        with self.translated("cannot be connected to"):
            connection = self._connect(seconds)
        try:
            yield connection
        finally:
            connection.close()

    def _connect(self, seconds: float | None) -> Connection[Any]:
        connection: Connection[Any] = _psycopg().connect(**self.arguments, autocommit=True)
        try:
            self.check(connection)
            if seconds is not None:
                connection.execute("select set_config('statement_timeout', %s, false)", [f"{int(seconds * 1000)}ms"])
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of psycopg's ``connect``. Contains the password."""
        wait = max(2, int(self.timeout))
        alive = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        return {"connect_timeout": wait, "application_name": "rag", **alive, **self._conninfo}

    def check(self, connection: Connection[Any]) -> None:
        """Refuse a database that lacks a required version or extension.

        Raises:
            ServerError: It lacks one.
        """
        row = connection.execute("select extversion from pg_extension where extname = 'vector'").fetchone()
        if row is None:
            raise ServerError(
                f"{self}: has no pgvector: install it there, and 'create extension vector' in this database (by its "
                "owner)"
            )
        version = tuple(int(part) for part in re.findall(r"\d+", row[0])[:2])
        if version < _OLDEST:
            raise ServerError(
                f"{self}: has pgvector {row[0]}, and older than 0.8 gives short lists under a filter: update it, "
                "and 'alter extension vector update'"
            )
        connection.execute("select '[1]'::vector")  # loads the library: its settings are checked from then on

    def _said(self, error: Exception) -> str:
        diagnostic = getattr(error, "diag", None)
        message = " ".join((getattr(diagnostic, "message_primary", None) or str(error)).split())
        password = self._conninfo.get("password") or os.environ.get("PGPASSWORD")
        message = message.replace(str(password), "...") if password else message
        hints = {
            "42501": "give the role the rights that docs/scale.md names",
            "53100": "the server's disk is full",
            "53200": "the server's memory, or its /dev/shm, is full",
            "57014": "raise 'timeout' if it only takes long",
        }
        hint = hints.get(getattr(error, "sqlstate", None) or "")
        return f"{message}: {hint}" if hint else message


class Pool:
    """Connections that threads share. Opened when first asked for, in each process; closed when it is forgotten.

    Args:
        server: The database.
        size: Most connections at a time.
        configure: Called with each new connection.
    """

    def __init__(self, server: Server, size: int, configure: Callable[[Connection[Any]], None]) -> None:
        self.server = server
        self.size = size
        self._configure = configure
        self._pool: tuple[int, ConnectionPool[Any]] | None = None
        self._lock = threading.Lock()

    def run(self, doing: str, read: Callable[[Connection[Any]], T]) -> T:
        """What ``read`` gives with a connection, which is in autocommit. It is called again where the connection was
        lost, since those that are kept idle die with a server that is restarted.

        Raises:
            ServerError: The database cannot be reached, or refuses.
        """
        try:
            return self._run(doing, read)
        except ServerError as error:
            if not error.lost:
                raise
        self._probe()
        self._open().check()
        return self._run(doing, read)

    def _run(self, doing: str, read: Callable[[Connection[Any]], T]) -> T:
        from psycopg_pool import PoolTimeout

        with self.server.translated(doing):
            pool = self._open()
            try:
                taken = pool.getconn()
            except PoolTimeout:
                self._probe()
                raise ServerError(
                    f"{self.server}: {doing}: all connections were busy for {self.server.timeout:g} s: raise "
                    "'connections' or 'timeout'"
                ) from None
            try:
                return read(taken)
            finally:
                pool.putconn(taken)

    def _probe(self) -> None:
        """Open a new connection, to get the error message if there is a fault."""
        with self.server.connected() as connection:
            self._configure(connection)

    def open(self) -> None:
        """Connect, to report a fault at once.

        Raises:
            RagError: The database cannot be reached, or what ``configure`` raises.
        """
        self.run("cannot be connected to", lambda connection: None)

    def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            _close(*self._pool)
            self._pool = None

    def _open(self) -> ConnectionPool[Any]:
        with self._lock:
            if self._pool is None or self._pool[0] != os.getpid():
                from psycopg_pool import ConnectionPool

                with self.server.connected(seconds=self.server.timeout) as first:  # fails at once, with a reason
                    self._configure(first)
                    pool = ConnectionPool(
                        kwargs={**self.server.arguments, "autocommit": True},
                        min_size=1,
                        max_size=self.size,
                        timeout=self.server.timeout,
                        reconnect_timeout=self.server.timeout,
                        configure=partial(_prepare, self.server, self._configure),
                        open=True,
                        name="rag",
                    )
                    weakref.finalize(self, _close, os.getpid(), pool)
                    pool.wait(self.server.timeout)  # what the first connection holds is held by another now
                self._pool = os.getpid(), pool
            return self._pool[1]


def _prepare(server: Server, configure: Callable[[Connection[Any]], None], connection: Connection[Any]) -> None:
    """Make a new connection one of a pool. Knows nothing of the pool, which could not be forgotten otherwise."""
    server.check(connection)
    connection.execute("select set_config('statement_timeout', %s, false)", [f"{int(server.timeout * 1000)}ms"])
    configure(connection)


def _close(process: int, pool: ConnectionPool[Any]) -> None:
    if process == os.getpid():
        pool.close(timeout=2)


def _psycopg() -> Any:
    try:
        import psycopg
        import psycopg_pool
    except ImportError:
        raise MissingExtraError("the index 'pgvector'", package="psycopg", extra="pgvector") from None
    return psycopg if psycopg_pool else None
