"""Which things of a store are in use, and by processes that are alive.

Each process that uses a store has one file in it, ``locks/<random>.use``, and holds a lock on that file as long as it
lives; what it uses is written there, one key a line. The system frees the lock when the process dies, however it
dies: a file nobody holds says nothing any more.
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
    """What this process uses of a store.

    Args:
        folder: Where the files lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._noted: set[str] = set()
        self._file: Path | None = None
        self._alive: Any = None

    def note(self, key: str) -> None:
        """From now on, nobody removes this."""
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
        """Whether no living process uses this, also this one; while inside, nobody begins to."""
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
        """Nothing is in use here any more."""
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
