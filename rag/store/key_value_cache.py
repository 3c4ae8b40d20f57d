"""Small values by key in one SQLite file: vectors of texts, scores of pairs, lists of candidates."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeVar

from rag.errors import ArtifactError
from rag.store.value_file import (
    FORMAT,
    checksum,
    inode,
    is_damage,
    is_whole,
    open_read_only,
    open_writable,
    rows_after,
    rows_of,
)

__all__ = ["FillResult", "KeyValueCache", "Transient", "text_key"]

logger = logging.getLogger("rag.store")

_MOST = 500
"""Keys asked for in one statement; SQLite's least limit is 999."""

T = TypeVar("T")

Blocks = Iterable[Sequence[tuple[int, bytes]]]


class Transient(list[tuple[int, bytes]]):
    """A block of values that are used once and not cached."""


def text_key(*texts: str) -> bytes:
    """The key of a text, or of several in order: a SHA-256."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    if len(encoded) == 1:
        return sha256(encoded[0]).digest()
    return sha256(b"".join(len(part).to_bytes(8, "little") + part for part in encoded)).digest()


@dataclass(frozen=True)
class FillResult:
    """The result of :meth:`KeyValueCache.fill`.

    Args:
        values: A value for each key, in order.
        n_computed: Number of values that were missing.
        seconds: Time that the cached values took when they were computed.
    """

    values: list[bytes]
    n_computed: int
    seconds: float


class KeyValueCache:
    """A map of bytes to bytes that several processes read and write at once; each value has a checksum.

    Written in WAL mode: a writer does not stop readers, and what was committed survives the death of the process.

    Args:
        path: The file; made when missing and ``write``.
        description: What the values are, kept with them.
        mode: ``use`` what is there; ``refresh`` trusts only what this object has put itself; ``only`` computes nothing.
        write: Whether anything may be written.
        lock: Makes the lock that :meth:`fill` holds while it computes, so that no two processes compute the same.

    Attributes:
        new: Keys of what this object has put; who sends it elsewhere empties the list.

    Raises:
        ArtifactError: The file cannot be opened, was written by a newer version, or is damaged and ``mode`` is
            ``only``. In the other modes a damaged file is set aside, as ``NAME.damaged.sqlite``, with a warning.
    """

    def __init__(
        self,
        path: Path,
        *,
        description: str,
        mode: Literal["use", "refresh", "only"] = "use",
        write: bool = True,
        lock: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.path = path
        self.mode = mode
        self.write = write
        self.description = description
        self.new: list[bytes] = []
        self._held = lock
        self._fresh: set[bytes] = set()
        self._cost = "seconds"
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._unreadable = False
        self._with_connection(lambda connection: None)
        if write:
            os.utime(path)  # when it was last used, for gc

    def fill(self, keys: Sequence[bytes], make: Callable[[list[int]], Blocks]) -> FillResult:
        """The values of these keys; missing ones are computed and cached.

        Args:
            keys: The keys, with repetitions.
            make: Called with the places in ``keys`` of what is missing, each key once, unless nothing is; yields blocks
                of (place, value). Each block is kept as it comes, so a kill loses at most one, unless it is
                :class:`Transient`.

        Raises:
            ArtifactError: Something is missing and ``mode`` is ``only``.
        """
        distinct = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))  # key -> its first place
        cached, seconds = self.get_timed(list(distinct))
        n_computed = 0
        if len(cached) < len(distinct):
            if self.mode == "only":
                lacking = len(distinct) - len(cached)
                raise ArtifactError(
                    f"{self.path}: lacks {lacking} of {len(distinct)} values ({self.description}), "
                    "and nothing may be computed"
                )
            # Who comes second finds what the first has computed in the meantime.
            with self.computing():
                later, more = self.get_timed([key for key in distinct if key not in cached])
                cached |= later
                seconds += more
                missing = sorted(index for key, index in distinct.items() if key not in cached)
                start = time.perf_counter()
                for block in make(missing) if missing else ():
                    took = (time.perf_counter() - start) / max(len(block), 1)
                    fresh = {keys[index]: value for index, value in block}
                    if not isinstance(block, Transient):
                        self.put(fresh.items(), seconds=took)
                    cached |= fresh
                    start = time.perf_counter()
                n_computed = len(missing)
        return FillResult([cached[key] for key in keys], n_computed, seconds)

    def computing(self) -> AbstractContextManager[object]:
        """The lock of the process that computes missing values; the others wait, then look again."""
        return self._held() if self.write else nullcontext()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The cached values by key."""
        return self.get_timed(keys)[0]

    def get_timed(self, keys: Sequence[bytes]) -> tuple[dict[bytes, bytes], float]:
        """The cached values by key, and the seconds that computing them took."""
        if self.mode == "refresh":
            keys = [key for key in keys if key in self._fresh]

        def read(connection: sqlite3.Connection) -> list[tuple[bytes, bytes, float]]:
            rows: list[tuple[bytes, bytes, float]] = []
            for first in range(0, len(keys), _MOST):
                chunk = keys[first : first + _MOST]
                marks = ",".join("?" * len(chunk))
                statement = f'SELECT key, value, {self._cost} FROM "values" WHERE key IN ({marks})'  # noqa: S608
                rows += connection.execute(statement, chunk)
            return rows

        rows = self._with_connection(read) or []
        whole = {key: value[:-4] for key, value, _ in rows if is_whole(value)}
        if len(whole) < len(rows):
            logger.warning("%s: %d values are damaged; they are computed again", self.path, len(rows) - len(whole))
        return whole, sum(seconds for key, _, seconds in rows if key in whole)

    def put(self, items: Iterable[tuple[bytes, bytes]], *, seconds: float = 0.0) -> None:
        """Cache values, all or none; an existing value is replaced.

        Args:
            items: Keys and values.
            seconds: Time that computing each value took.
        """
        if not self.write:
            return
        rows = [(key, value + checksum(value), seconds) for key, value in items]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany('INSERT OR REPLACE INTO "values" VALUES (?, ?, ?)', rows)

        self._with_connection(write)
        self.new += [key for key, _, _ in rows]
        if self.mode == "refresh":
            self._fresh.update(key for key, _, _ in rows)

    def rows(self, keys: Sequence[bytes] | None = None) -> Iterator[tuple[bytes, bytes, float]]:
        """Whole rows as they are kept: key, value with its checksum, seconds.

        Args:
            keys: Those of these keys; None for all, in the order of the keys.
        """
        for first in range(0, len(keys or ()), _MOST):
            assert keys is not None
            rows = self._with_connection(partial(rows_of, keys=keys[first : first + _MOST])) or []
            yield from (row for row in rows if is_whole(row[1]))
        if keys is not None:
            return
        after = b""
        while True:
            rows = self._with_connection(partial(rows_after, key=after)) or []
            yield from (row for row in rows if is_whole(row[1]))
            if not rows:
                return
            after = rows[-1][0]

    def add_rows(self, rows: Sequence[tuple[bytes, bytes, float]]) -> None:
        """Keep rows as :meth:`rows` gives them, except those that are damaged, or there already."""
        whole = [row for row in rows if is_whole(row[1])]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany('INSERT OR IGNORE INTO "values" VALUES (?, ?, ?)', whole)

        self._with_connection(write)

    def lock_with(self, lock: Callable[[], AbstractContextManager[object]]) -> None:
        """Take another lock than the one given at first."""
        self._held = lock

    def __len__(self) -> int:
        return (
            self._with_connection(
                lambda connection: int(connection.execute('SELECT COUNT(*) FROM "values"').fetchone()[0])
            )
            or 0
        )

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        with self._lock:
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
            connection = open_read_only(path)
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
            connection = open_read_only(path)
            try:
                answer = connection.execute("PRAGMA integrity_check").fetchone()[0]
                bad = sum(not is_whole(value) for (value,) in connection.execute('SELECT value FROM "values"'))
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise ArtifactError(f"{path}: damaged: {error}") from None
        if answer != "ok":
            raise ArtifactError(f"{path}: damaged: {answer}")
        if bad:
            raise ArtifactError(f"{path}: damaged: the checksum of {bad} values is wrong")

    # -- within -----------------------------------------------------------------------------------------------------

    def _with_connection(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What ``work`` gives with the open file; None when it is not there and may not be made. A damaged file is set
        aside and the work done with a new one; where nothing may be written, it counts as empty.

        Raises:
            ArtifactError: The file cannot be used (locked, no room, no right), or is damaged and ``mode`` is ``only``.
        """
        with self._lock:
            try:
                connection = self._open()
                return None if connection is None else work(connection)
            except (sqlite3.Error, OSError) as error:
                if not is_damage(error):
                    raise ArtifactError(f"{self.path}: cannot be used: {error}") from None
                self._leave(error)
            connection = self._open()
            return None if connection is None else work(connection)

    def _open(self) -> sqlite3.Connection | None:
        """The connection; None when the file is not there, or damaged, and may not be made."""
        if self._connection is None:
            self._inode = inode(self.path)
            if self.write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = open_writable(self.path, self.description)
                self._inode = inode(self.path)
            elif self.path.exists() and not self._unreadable:
                self._connection = open_read_only(self.path)
                if self._connection.execute("PRAGMA user_version").fetchone()[0] < FORMAT:
                    self._cost = "0.0"  # an older file, which cannot be migrated here
        return self._connection

    def _leave(self, error: Exception) -> None:
        """Set the file aside, unless another process has done so."""
        from filelock import FileLock

        self.close()
        if self.mode == "only":
            raise ArtifactError(
                f"{self.path}: damaged: {error}; nothing may be computed: run once in store mode 'use', which sets the "
                "file aside and computes its values again"
            ) from None
        if not self.write:
            self._unreadable = True
            logger.warning("%s: damaged: %s; its values are computed again, and not cached", self.path, error)
            return
        aside = self.path.with_name(f"{self.path.stem}.damaged.sqlite")
        with FileLock(self.path.with_suffix(".aside-lock")):
            if inode(self.path) != self._inode:
                return
            for suffix in ("", "-wal", "-shm"):
                old = self.path.with_name(self.path.name + suffix)
                if old.exists():
                    old.replace(aside.with_name(aside.name + suffix))
        logger.warning("%s: damaged: %s; set aside as %s, its values are computed again", self.path, error, aside.name)
