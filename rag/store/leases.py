"""Leases: which entries of a store are in use by living processes.

Each process that uses a store has one file in it, ``locks/<random>.use``, and holds a lock on that file as long as it
lives; the keys in use are written there, one per line. The system frees the lock when the process dies, for any
reason: a file without a lock is ignored.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Leases"]


class Leases:
    """The entries of a store that this process uses.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._noted: set[str] = set()
        self._file: Path | None = None
        self._alive: Any = None

    def note(self, key: str) -> None:
        """Protect an entry from removal from now on."""
        if key in self._noted:
            return
        with self._exclusively():
            if self._file is None:
                self._file = self.folder / f"{uuid.uuid4().hex[:12]}.use"
                self._alive = _lock(self._file)
                self._alive.acquire()
            with self._file.open("a", encoding="ascii") as file:
                file.write(key + "\n")
        self._noted.add(key)

    @contextmanager
    def unless_used(self, key: str) -> Iterator[bool]:
        """Whether no living process, including this one, uses an entry; while inside, no process can start to."""
        from filelock import Timeout

        with self._exclusively():
            used = key in self._noted
            for file in self.folder.glob("*.use"):
                if file == self._file:
                    continue
                try:
                    with _lock(file, timeout=0):
                        file.unlink(missing_ok=True)  # its process is dead
                        _beside(file).unlink(missing_ok=True)
                except Timeout:
                    used = used or key.encode() in file.read_bytes().split()
            yield not used

    def close(self) -> None:
        """Release all entries."""
        if self._file is not None:
            with self._exclusively():
                self._file.unlink(missing_ok=True)
                self._alive.release()
                _beside(self._file).unlink(missing_ok=True)
            self._file = self._alive = None
        self._noted.clear()

    def _exclusively(self) -> contextlib.AbstractContextManager[object]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock: contextlib.AbstractContextManager[object] = _lock(self.folder / "users")
        return lock


def _beside(file: Path) -> Path:
    return file.with_suffix(".use-lock")


def _lock(file: Path, timeout: float = -1) -> Any:
    from filelock import FileLock

    # A file of its own: where locks are mandatory, nobody could read the one that is held.
    return FileLock(_beside(file), timeout=timeout, thread_local=False)
