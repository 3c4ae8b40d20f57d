"""The artifact store: a cache of computed results, found by the fingerprint of everything they were made from.

A store has two kinds of entries in one folder:

- *artifacts*: folders of arrays and JSON, such as an index, each under the fingerprint of everything it was made from;
- *values*: many small values by key, such as the vector of a text, in one SQLite file per component.

Any number of processes may share a store: one that wants an artifact another is making waits for it and uses it. A
process killed at any moment leaves complete entries complete, and nothing else visible.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rag.errors import ArtifactError, system_message
from rag.store.checkpoint import Checkpoint
from rag.store.folder import link_file, read_folder, write_folder
from rag.store.key_value_cache import KeyValueCache
from rag.store.leases import Leases
from rag.waiting import waiting

__all__ = ["Entry", "Mode", "Store", "default_root"]

logger = logging.getLogger("rag.store")

Mode = Literal["use", "refresh", "only"]
"""``use`` what is there and keep what is not; ``refresh`` computes all again, once; ``only`` computes nothing."""

_KIND = "artifact"
_SILENT = 3.0
"""Seconds of waiting for another process before it is said."""

_OPEN_FILES = 64
"""Files of values open at a time; each takes three handles."""
_UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Entry:
    """An entry of the store.

    Args:
        kind: What made it: ``retriever``, ``index``, ``embeddings``, ...
        key: Its fingerprint.
        bytes: Size of its files.
        used: When it was last used.
        about: What made it, in words.
        path: Its folder, or its file for values.
    """

    kind: str
    key: str
    bytes: int
    used: datetime
    about: str
    path: Path


class Store:
    """A folder of artifacts and values.

    Args:
        root: The folder; made when missing. Default: ``RAG_STORE``, or ``rag`` in the user's cache folder.
        mode: Whether cached results are used.

    Raises:
        ArtifactError: The folder cannot be made.
    """

    def __init__(self, root: str | Path | None = None, *, mode: Mode = "use") -> None:
        self.root = Path(root).expanduser() if root is not None else default_root()
        self.mode = mode
        self._fresh: set[str] = set()
        self._values: dict[tuple[str, str], KeyValueCache] = {}
        self._leases = Leases(self.root / "locks")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"{self.root}: cannot be the store: {system_message(error)}") from None

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r}, mode={self.mode!r})"

    @property
    def location(self) -> str:
        """What names it: its folder, or the URL of its bucket. See :func:`rag.store.opening.store_at`."""
        return str(self.root)

    @property
    def writable(self) -> bool:
        return os.access(self.root, os.W_OK)

    def has(self, kind: str, key: str) -> bool:
        """Whether an artifact exists, is whole and may be used."""
        return self._find(kind, key) is not None

    def artifact(self, kind: str, key: str, make: Callable[[Path], object], *, description: str) -> Path:
        """The folder of an artifact, made by ``make(folder)`` if it does not exist. Until :meth:`close`, no other
        process removes it.

        Args:
            kind: What made it: ``retriever``, ``index``, ...
            key: Its fingerprint.
            make: Function that writes files into a folder. Its result, if any, is saved with them as JSON: see
                :meth:`remarks`.
            about: What made it, in words.

        Raises:
            ArtifactError: It is not there and cannot be made: mode ``only``, no space, or no right to write.
        """
        existing = self._find(kind, key)
        if existing is not None:
            return existing
        if self.mode == "only":
            raise ArtifactError(
                f"{self.root}: the store has no {kind} {key} ({description}), and nothing may be computed"
            )
        if not self.writable:
            raise ArtifactError(f"{self.root}: the store may not be written, and has no {kind} {key} ({description})")
        with self._lock(key):
            existing = self._find(kind, key)
            if existing is None:
                logger.info("computing %s %s (%s)", kind, key, description)
                manifest: dict[str, object] = {"of": kind, "key": key, "about": description}
                with write_folder(self._folder(kind, key), _KIND, manifest) as folder:
                    manifest["remarks"] = make(folder)
                self._fresh.add(key)
                existing = self._find(kind, key)
        assert existing is not None
        return existing

    def remarks(self, kind: str, key: str) -> Any:
        """What ``make`` returned when the artifact was made, or None."""
        _, manifest = read_folder(self._folder(kind, key), _KIND)
        return manifest.get("remarks")

    def resumable(self, kind: str, key: str, make: Callable[[Path], None], *, description: str) -> Path:
        """An :meth:`artifact` that takes hours: ``make`` gets a folder that survives a kill, and resumes in it.

        It is listed as unfinished, and is not an artifact until ``make`` has returned.
        """
        unfinished = self.root / _UNFINISHED / kind / key

        def finish(folder: Path) -> None:
            if self.mode == "refresh":
                shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True, exist_ok=True)
            make(unfinished)
            for path in unfinished.rglob("*"):  # linked, not moved: a kill here loses nothing
                target = folder / path.relative_to(unfinished)
                if path.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    link_file(path, target)

        artifact = self.artifact(kind, key, finish, description=description)
        shutil.rmtree(unfinished, ignore_errors=True)
        return artifact

    def checkpoint(self, kind: str, key: str) -> Checkpoint | None:
        """A checkpoint for the results of a long pass until they are in an artifact, listed as unfinished. None if
        this store may not be written.
        """
        if not self.writable or self.mode == "only":
            return None
        checkpoint = Checkpoint(self.root / _UNFINISHED / kind / key)
        if self.mode == "refresh" and key not in self._fresh:
            checkpoint.remove()
            self._fresh.add(key)
        return checkpoint

    def cache(self, kind: str, key: str, *, description: str) -> KeyValueCache:
        """The cache of one component, such as all vectors of one embedder."""
        values = self._values.pop((kind, key), None)
        if values is None:
            path = self.root / "values" / kind / f"{key}.sqlite"
            writable = self.writable and self.mode != "only"
            if writable:
                self._leases.note(key)
            values = KeyValueCache(
                path, description=description, mode=self.mode, write=writable, lock=lambda: self._lock(key)
            )
            if len(self._values) >= _OPEN_FILES:
                next(iter(self._values.values())).close()  # the least recently used; opened again when needed
        self._values[kind, key] = values
        return values

    def close(self) -> None:
        """Close the files of values, and release all entries in use."""
        for values in self._values.values():
            values.close()
        self._values.clear()
        self._leases.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- looking after it -------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[Entry]:
        """All entries, most recently used first."""
        everything = [*self._artifacts(), *self._value_files(), *self._unfinished()]
        yield from sorted(everything, key=lambda entry: entry.used, reverse=True)

    def verify(self) -> list[str]:
        """The damaged entries, one line each; every file is read."""
        damaged = []
        for entry in self.entries():
            try:
                if entry.path.parent.parent.name == _UNFINISHED:
                    continue
                if entry.path.is_dir():
                    read_folder(entry.path, _KIND, verify=True)
                else:
                    KeyValueCache.check(entry.path)
            except ArtifactError as error:
                damaged.append(str(error))
        return damaged

    def remove(self, entry: Entry) -> bool:
        """Remove an entry, unless a process makes or uses it."""
        from filelock import Timeout

        try:
            with self._lock(entry.key, timeout=0), self._leases.unless_used(entry.key) as unused:
                if not unused:
                    return False
                if entry.path.is_dir():
                    (entry.path / "manifest.json").unlink(missing_ok=True)  # from now on it is not there
                    shutil.rmtree(entry.path)
                else:
                    for suffix in ("", "-wal", "-shm"):
                        entry.path.with_name(entry.path.name + suffix).unlink(missing_ok=True)
        except Timeout:
            return False
        except OSError as error:
            raise ArtifactError(f"{entry.path}: cannot be removed: {system_message(error)}") from None
        return True

    # -- within -----------------------------------------------------------------------------------------------------

    def making(self, key: str) -> AbstractContextManager[object]:
        """Held by the one process that makes a thing."""
        return self._lock(key)

    @contextmanager
    def _lock(self, key: str, timeout: float = -1) -> Iterator[None]:
        """The lock of the process that makes or removes an entry. The system frees it when its holder dies."""
        from filelock import FileLock, Timeout

        (self.root / "locks").mkdir(exist_ok=True)
        lock = FileLock(self.root / "locks" / f"{key}.lock", timeout=timeout)
        with waiting():
            try:
                lock.acquire(timeout=timeout if timeout >= 0 else _SILENT)
            except Timeout:
                if timeout >= 0:
                    raise
                logger.warning("waiting for another process that computes the same (%s)", key[:12])
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _folder(self, kind: str, key: str) -> Path:
        return self.root / "artifacts" / kind / key

    def _find(self, kind: str, key: str) -> Path | None:
        if self.mode == "refresh" and key not in self._fresh:
            return None
        folder = self._folder(kind, key)
        if not (folder / "manifest.json").is_file():
            return None
        writable = self.writable
        if writable:
            self._leases.note(key)  # before looking again: from now on nobody removes it
        try:
            data, _ = read_folder(folder, _KIND)
        except ArtifactError as error:
            logger.warning("%s; it is computed again", error)
            return None
        if writable:
            os.utime(folder / "manifest.json")  # when it was last used, for gc
        return data

    def _artifacts(self) -> Iterator[Entry]:
        for manifest in self.root.glob("artifacts/*/*/manifest.json"):
            folder = manifest.parent
            try:
                _, content = read_folder(folder, _KIND)
            except ArtifactError as error:
                content = {"about": f"damaged: {error}"}
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            yield Entry(folder.parent.name, folder.name, size, _used(manifest), str(content.get("about", "")), folder)

    def _unfinished(self) -> Iterator[Entry]:
        for folder in self.root.glob(f"{_UNFINISHED}/*/*"):
            files = [path for path in folder.rglob("*") if path.is_file()]
            size = sum(path.stat().st_size for path in files)
            used = max([_used(path) for path in files], default=_used(folder))
            yield Entry(folder.parent.name, folder.name, size, used, "unfinished", folder)

    def _value_files(self) -> Iterator[Entry]:
        for path in self.root.glob("values/*/*.sqlite"):
            try:
                description = KeyValueCache.about(path)
            except ArtifactError as error:
                description = f"damaged: {error}"
            yield Entry(path.parent.name, path.stem, path.stat().st_size, _used(path), description, path)


def default_root() -> Path:
    """``RAG_STORE``, or ``rag`` in the user's cache folder."""
    named = os.environ.get("RAG_STORE", "")
    if named and "://" not in named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rag"


def _used(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
