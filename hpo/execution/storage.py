"""Storages of trials: Optuna's, by URL, made safe for processes that are killed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import ArtifactError, MissingExtraError, first_line
from rag.hpo.optuna_private import journal_lock
from rag.hpo.storage_url import without_password

if TYPE_CHECKING:
    from filelock import FileLock
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

__all__ = ["Explained", "Worker", "locked", "locked_storage", "open_storage"]

logger = logging.getLogger("rag.tune")

_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
"""Default database drivers; each comes with the extra named after the server."""
_SECONDS = 120.0
"""Seconds to wait for a lock; each process holds it for milliseconds."""


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Open a storage by URL; None is a journal file in the folder.

    Raises:
        ArtifactError: The storage cannot be opened: damaged, no such server, no permission.
        MissingExtraError: The driver for such a server is not installed.
    """
    from optuna.storages import RDBStorage
    from optuna.storages.journal import JournalStorage

    url = url or f"journal:{folder / 'study.journal'}"
    if url.startswith("journal:"):
        path = Path(re.sub("^journal:(//)?", "", url)).expanduser()
        try:
            return JournalStorage(_journal(path))
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be the sweep's storage: {error}") from None
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise ArtifactError(
                f"{path}: cannot be the sweep's storage: damaged: {error}; put a copy back, or move it away to begin "
                "anew"
            ) from None
    server = url.partition("://")[0]
    if server in _DRIVERS:
        url = url.replace(server, f"{server}+{_DRIVERS[server]}", 1)
    server, _, driver = url.partition("://")[0].partition("+")
    if driver == _DRIVERS.get(server) and find_spec(driver) is None:
        raise MissingExtraError(f"a sweep's storage on {server}", package=driver, extra=server)
    try:
        return RDBStorage(url)
    except Exception as error:  # SQLAlchemy and drivers raise what they like
        reason = first_line(error)
        raise ArtifactError(f"{without_password(url)}: cannot be the sweep's storage: {reason}") from None


def _journal(path: Path) -> Any:
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _file_lock(path.with_name(f".{path.name}.lock"))
    with lock:
        _cut_torn_line(path)
    return JournalFileBackend(str(path), lock_obj=journal_lock(lock))


def _cut_torn_line(path: Path) -> None:
    """Remove the incomplete last line left by a process that was killed while writing."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        whole = size
        while whole > 0:
            start = max(0, whole - 4096)
            file.seek(start)
            end = file.read(whole - start).rfind(b"\n")
            if end >= 0:
                whole = start + end + 1
                break
            whole = start
        if whole < size:
            file.truncate(whole)
            logger.warning("%s: its last %d bytes are not a whole line, and were cut off", path, size - whole)


def _file_lock(path: Path) -> FileLock:
    from filelock import FileLock

    return FileLock(path, timeout=_SECONDS)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock, so that only one process at a time is inside.

    Args:
        path: The lock file.

    Raises:
        ArtifactError: Another process has held the lock far longer than usual.
    """
    from filelock import Timeout

    try:
        with _file_lock(path):
            yield
    except Timeout:
        raise ArtifactError(f"{path}: the sweep is locked by another process, which may hang") from None


@contextmanager
def locked_storage(storage: BaseStorage, name: str) -> Iterator[None]:
    """Be the only process of all machines that share a database server, while inside; other storages have no such lock.

    Args:
        storage: The storage.
        name: Of the sweep.

    Raises:
        ArtifactError: The server cannot be reached.
    """
    engine = getattr(storage, "engine", None)
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    server = engine.dialect.name if engine is not None else ""
    statements = {
        "postgresql": (f"SELECT pg_advisory_lock({key})", f"SELECT pg_advisory_unlock({key})"),
        "mysql": (f"SELECT GET_LOCK('rag{key}', {_SECONDS:.0f})", f"SELECT RELEASE_LOCK('rag{key}')"),
    }
    if server not in statements:
        yield
        return
    assert engine is not None
    from sqlalchemy.exc import SQLAlchemyError

    lock, unlock = statements[server]
    try:
        connection = engine.connect()
        connection.exec_driver_sql(lock)
    except SQLAlchemyError as error:
        raise ArtifactError(f"the sweep's storage failed: {first_line(error)}; start again to go on") from None
    try:
        yield
    finally:
        with contextlib.suppress(SQLAlchemyError):  # a lost connection holds no lock
            connection.exec_driver_sql(unlock)
            connection.close()


class Worker:
    """A process that runs trials, marked as alive by a lock that the system frees when it dies.

    Args:
        folder: Folder of the sweep.
        id: Id of this worker; None generates one.
    """

    def __init__(self, folder: Path, id: str | None = None) -> None:
        self.folder = folder / "workers"
        self.host = socket.gethostname()
        self.id = id or self.new_id()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _file_lock(self.folder / f"{self.id}.lock")
        self._lock.acquire()

    @staticmethod
    def new_id() -> str:
        """A unique id."""
        return f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"

    def close(self) -> None:
        self._lock.release()
        with contextlib.suppress(OSError):
            (self.folder / f"{self.id}.lock").unlink(missing_ok=True)

    def has_died(self, trial: FrozenTrial) -> bool:
        """Whether the worker of a running trial is gone; always False for a worker on another machine."""
        from filelock import FileLock, Timeout

        owner = trial.user_attrs.get("worker")
        if owner is None:  # killed between creating the trial and signing it, both under the sweep's lock
            return True
        if owner == self.id or trial.user_attrs.get("host") != self.host:
            return False
        path = self.folder / f"{owner}.lock"
        if not path.exists():
            return True
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            return False
        path.unlink(missing_ok=True)
        return True


class Explained:
    """Turns errors of a storage into one clear message."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from optuna.exceptions import OptunaError

        if isinstance(error, (OptunaError, KeyError, ValueError, AssertionError)):
            raise ArtifactError(f"the sweep's storage cannot be read: {error}") from None
