"""Small values by key in one SQLite file: vectors of texts, scores of pairs."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from zlib import crc32

from rag.errors import ArtifactError

__all__ = ["Values", "text_key"]

logger = logging.getLogger("rag.store")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "values" (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
_MOST = 500
"""Keys asked for in one statement; SQLite's least limit is 999."""


def text_key(text: str) -> bytes:
    """The key of a text: its SHA-256."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


class Values:
    """A map of bytes to bytes that several processes read and write at once; each value has a checksum.

    Written in WAL mode: a writer does not stop readers, and what was committed survives the death of the process.

    Args:
        path: The file; made when missing and ``write``.
        about: What the values are, kept with them.
        read: Whether what is there is used.
        write: Whether anything may be written.

    Raises:
        ArtifactError: The file cannot be opened or is damaged.
    """

    def __init__(self, path: Path, *, about: str, read: bool = True, write: bool = True) -> None:
        self.path = path
        self.read = read
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                with self._connection:
                    self._connection.executescript(_SCHEMA)
                    if not self._connection.execute("SELECT 1 FROM about").fetchone():
                        self._connection.execute("INSERT INTO about VALUES (?)", (about,))
                os.utime(path)
            elif path.exists():
                self._connection = _read_only(path)
        except (sqlite3.Error, OSError) as error:
            raise ArtifactError(f"{path}: cannot be opened: {error}") from None
        self.write = write

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values that are there, by key."""
        if self._connection is None or not self.read:
            return {}
        found: dict[bytes, bytes] = {}
        try:
            with self._lock:
                for first in range(0, len(keys), _MOST):
                    some = keys[first : first + _MOST]
                    marks = ",".join("?" * len(some))
                    statement = f'SELECT key, value FROM "values" WHERE key IN ({marks})'  # noqa: S608 - only marks
                    found.update(self._connection.execute(statement, some))
        except sqlite3.Error as error:
            raise ArtifactError(f"{self.path}: damaged: {error}") from None
        whole = {key: value[:-4] for key, value in found.items() if _is_whole(value)}
        if len(whole) < len(found):
            logger.warning("%s: %d values are damaged; they are computed again", self.path, len(found) - len(whole))
        return whole

    def put(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep values, all or none; one that is there already is replaced."""
        if self._connection is None or not self.write:
            return
        try:
            with self._lock, self._connection:
                rows = ((key, value + _checksum(value)) for key, value in items)
                self._connection.executemany('INSERT OR REPLACE INTO "values" VALUES (?, ?)', rows)
        except sqlite3.Error as error:
            raise ArtifactError(f"{self.path}: cannot be written: {error}") from None

    def __len__(self) -> int:
        if self._connection is None:
            return 0
        return int(self._connection.execute('SELECT COUNT(*) FROM "values"').fetchone()[0])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @staticmethod
    def about(path: Path) -> str:
        """What the values of a file are.

        Raises:
            ArtifactError: The file is damaged.
        """
        try:
            connection = _read_only(path)
            try:
                row = connection.execute("SELECT text FROM about").fetchone()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise ArtifactError(f"{path}: damaged: {error}") from None
        return str(row[0]) if row else ""

    @staticmethod
    def check(path: Path) -> None:
        """Read the whole file.

        Raises:
            ArtifactError: It is damaged.
        """
        try:
            connection = _read_only(path)
            try:
                answer = connection.execute("PRAGMA integrity_check").fetchone()[0]
                bad = sum(not _is_whole(value) for (value,) in connection.execute('SELECT value FROM "values"'))
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise ArtifactError(f"{path}: damaged: {error}") from None
        if answer != "ok":
            raise ArtifactError(f"{path}: damaged: {answer}")
        if bad:
            raise ArtifactError(f"{path}: damaged: the checksum of {bad} values is wrong")


def _checksum(value: bytes) -> bytes:
    return crc32(value).to_bytes(4, "little")


def _is_whole(value: bytes) -> bool:
    return len(value) >= 4 and _checksum(value[:-4]) == value[-4:]


def _read_only(path: Path) -> sqlite3.Connection:
    # Where nothing may be written, SQLite cannot make the files beside it that WAL needs, unless nobody else writes.
    immutable = "" if os.access(path.parent, os.W_OK) else "&immutable=1"
    return sqlite3.connect(f"file:{path}?mode=ro{immutable}", uri=True, timeout=60, check_same_thread=False)
