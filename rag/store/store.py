"""The artifact store: what was computed once, found again by what made it.

Two kinds of things are kept under one folder:

- *artifacts*: folders of arrays and JSON, such as an index, each under the fingerprint of everything that made it;
- *values*: many small things by key, such as the vector of a text, in one SQLite file per maker.

Any number of processes may share a store: one that wants an artifact another is making waits for it and uses it. A
process killed at any moment leaves what was complete, complete, and nothing else visible.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rag.errors import ArtifactError
from rag.store.folder import read_folder, write_folder
from rag.store.values import Values

__all__ = ["Entry", "Mode", "Store"]

logger = logging.getLogger("rag.store")

Mode = Literal["use", "refresh", "only"]
"""``use`` what is there and keep what is not; ``refresh`` computes all again, once; ``only`` computes nothing."""

_KIND = "artifact"


@dataclass(frozen=True)
class Entry:
    """Something in the store.

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
        mode: Whether what is there is used.

    Raises:
        ArtifactError: The folder cannot be made.
    """

    def __init__(self, root: str | Path | None = None, *, mode: Mode = "use") -> None:
        self.root = Path(root).expanduser() if root is not None else default_root()
        self.mode = mode
        self._fresh: set[str] = set()
        self._values: dict[tuple[str, str], Values] = {}
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"{self.root}: cannot be the store: {error.strerror}") from None

    @property
    def writable(self) -> bool:
        return os.access(self.root, os.W_OK)

    def has(self, kind: str, key: str) -> bool:
        """Whether an artifact is there and whole, and may be used."""
        return self._find(kind, key) is not None

    def artifact(self, kind: str, key: str, make: Callable[[Path], None], *, about: str) -> Path:
        """The folder of an artifact, made by ``make(folder)`` when it is not there.

        Raises:
            ArtifactError: It is not there and cannot be made: mode ``only``, no space, or no right to write.
        """
        found = self._find(kind, key)
        if found is not None:
            return found
        if self.mode == "only":
            raise ArtifactError(f"{self.root}: the store has no {kind} {key} ({about}), and nothing may be computed")
        if not self.writable:
            raise ArtifactError(f"{self.root}: the store may not be written, and has no {kind} {key} ({about})")
        from filelock import FileLock

        locks = self.root / "locks"
        locks.mkdir(exist_ok=True)
        # The system frees a lock when its holder dies, however it dies.
        with FileLock(locks / f"{key}.lock"):
            found = self._find(kind, key)
            if found is None:
                logger.info("computing %s %s (%s)", kind, key, about)
                with write_folder(self._folder(kind, key), _KIND, {"of": kind, "key": key, "about": about}) as folder:
                    make(folder)
                self._fresh.add(key)
                found = self._find(kind, key)
        assert found is not None
        return found

    def values(self, kind: str, key: str, *, about: str) -> Values:
        """The values of one maker, such as all vectors of one embedder."""
        if (kind, key) not in self._values:
            path = self.root / "values" / kind / f"{key}.sqlite"
            self._values[kind, key] = Values(path, about=about, read=self.mode != "refresh", write=self.writable)
        return self._values[kind, key]

    def close(self) -> None:
        """Close the files of values."""
        for values in self._values.values():
            values.close()
        self._values.clear()

    # -- looking after it -------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[Entry]:
        """Everything that is kept, most recently used first."""
        yield from sorted([*self._artifacts(), *self._value_files()], key=lambda entry: entry.used, reverse=True)

    def verify(self) -> list[str]:
        """What is damaged, one line each; every file is read."""
        damaged = []
        for entry in self.entries():
            try:
                if entry.path.is_dir():
                    read_folder(entry.path, _KIND, verify=True)
                else:
                    Values.check(entry.path)
            except ArtifactError as error:
                damaged.append(str(error))
        return damaged

    def remove(self, entry: Entry) -> bool:
        """Remove an entry, unless somebody is making it now. Processes that have it mapped keep what they have."""
        from filelock import FileLock, Timeout

        (self.root / "locks").mkdir(exist_ok=True)
        try:
            with FileLock(self.root / "locks" / f"{entry.key}.lock", timeout=0):
                if entry.path.is_dir():
                    (entry.path / "manifest.json").unlink(missing_ok=True)  # from now on it is not there
                    shutil.rmtree(entry.path)
                else:
                    for suffix in ("", "-wal", "-shm"):
                        entry.path.with_name(entry.path.name + suffix).unlink(missing_ok=True)
        except Timeout:
            return False
        except OSError as error:
            raise ArtifactError(f"{entry.path}: cannot be removed: {error.strerror}") from None
        return True

    # -- within -----------------------------------------------------------------------------------------------------

    def _folder(self, kind: str, key: str) -> Path:
        return self.root / "artifacts" / kind / key

    def _find(self, kind: str, key: str) -> Path | None:
        if self.mode == "refresh" and key not in self._fresh:
            return None
        folder = self._folder(kind, key)
        if not (folder / "manifest.json").is_file():
            return None
        try:
            data, _ = read_folder(folder, _KIND)
        except ArtifactError as error:
            logger.warning("%s; it is computed again", error)
            return None
        if self.writable:
            os.utime(folder / "manifest.json")  # when it was last used, for gc
        return data

    def _artifacts(self) -> Iterator[Entry]:
        for manifest in self.root.glob("artifacts/*/*/manifest.json"):
            folder = manifest.parent
            try:
                _, about = read_folder(folder, _KIND)
            except ArtifactError as error:
                about = {"about": f"damaged: {error}"}
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            yield Entry(folder.parent.name, folder.name, size, _used(manifest), str(about["about"]), folder)

    def _value_files(self) -> Iterator[Entry]:
        for path in self.root.glob("values/*/*.sqlite"):
            try:
                about = Values.about(path)
            except ArtifactError as error:
                about = f"damaged: {error}"
            yield Entry(path.parent.name, path.stem, path.stat().st_size, _used(path), about, path)


def default_root() -> Path:
    """``RAG_STORE``, or ``rag`` in the user's cache folder."""
    if os.environ.get("RAG_STORE"):
        return Path(os.environ["RAG_STORE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rag"


def _used(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
