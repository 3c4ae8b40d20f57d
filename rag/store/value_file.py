"""The SQLite file of values: its table, its rows, and what counts as damage."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from rag.errors import ArtifactError

__all__ = [
    "FORMAT",
    "checksum",
    "inode",
    "is_damage",
    "is_whole",
    "open_read_only",
    "open_writable",
    "rows_after",
    "rows_of",
]

FORMAT = 2
"""Version of the table, SQLite's ``user_version``. 1 had no ``seconds``."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "values" (key BLOB PRIMARY KEY, value BLOB NOT NULL, seconds REAL NOT NULL DEFAULT 0)
    WITHOUT ROWID;
"""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
"""SQLite's codes for a file whose content is wrong."""


class _Connection(sqlite3.Connection):
    """Closed where nobody refers to it any more, such as that of a store outside ``with``; Python 3.13 would warn."""

    def __del__(self) -> None:
        self.close()


def rows_after(connection: sqlite3.Connection, *, key: bytes) -> list[tuple[bytes, bytes, float]]:
    """The first 2,000 rows with a greater key, in the order of the keys."""
    statement = 'SELECT key, value, seconds FROM "values" WHERE key > ? ORDER BY key LIMIT 2000'
    return connection.execute(statement, (key,)).fetchall()


def rows_of(connection: sqlite3.Connection, *, keys: Sequence[bytes]) -> list[tuple[bytes, bytes, float]]:
    """Rows with these keys, in any order."""
    marks = ",".join("?" * len(keys))
    return connection.execute(f'SELECT key, value, seconds FROM "values" WHERE key IN ({marks})', keys).fetchall()  # noqa: S608


def open_writable(path: Path, description: str) -> sqlite3.Connection:
    """Open a file to read and write; it is made, or brought to this format, if need be.

    Raises:
        ArtifactError: It is of a newer format.
    """
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False, factory=_Connection)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise ArtifactError(
                f"{path}: written in format {version} by a newer version; this one reads up to {FORMAT}"
            )
        if version < FORMAT:
            with connection:  # in one transaction, by the first process
                connection.execute("BEGIN IMMEDIATE")
                _migrate(connection, description)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, description: str) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
        return  # another process was quicker
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    columns = [row[1] for row in connection.execute('PRAGMA table_info("values")')]
    if "seconds" not in columns:
        connection.execute('ALTER TABLE "values" ADD COLUMN seconds REAL NOT NULL DEFAULT 0')
    if not connection.execute("SELECT 1 FROM about").fetchone():
        connection.execute("INSERT INTO about VALUES (?)", (description,))
    connection.execute(f"PRAGMA user_version={FORMAT}")


def inode(path: Path) -> int:
    """Which file has the name now; 0 for none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def is_damage(error: Exception) -> bool:
    """Whether the file's content is at fault, and not a lock, the disk or a missing right."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    primary = code & 0xFF
    lost = primary == sqlite3.SQLITE_ERROR and str(error).startswith(("no such", "table"))  # its schema is gone
    return lost or primary in _DAMAGED or code == sqlite3.SQLITE_IOERR_SHORT_READ


def checksum(value: bytes) -> bytes:
    """What stands behind a value in its row."""
    return crc32(value).to_bytes(4, "little")


def is_whole(value: bytes) -> bool:
    """Whether a value, with its checksum, is as it was written."""
    return len(value) >= 4 and checksum(value[:-4]) == value[-4:]


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a file to read it."""
    # Where nothing may be written, SQLite cannot make the files beside it that WAL needs, unless nobody else writes.
    immutable = "" if os.access(path.parent, os.W_OK) else "&immutable=1"
    address = f"file:{path}?mode=ro{immutable}"
    return sqlite3.connect(address, uri=True, timeout=60, check_same_thread=False, factory=_Connection)
