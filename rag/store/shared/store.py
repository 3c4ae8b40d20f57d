"""A store in a bucket, behind a folder of this machine."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rag.errors import ArtifactError
from rag.store.key_value_cache import KeyValueCache
from rag.store.shared.artifacts import artifact_names, fetch_artifact, send_artifact
from rag.store.shared.bucket import Bucket
from rag.store.shared.lease import leased
from rag.store.shared.parts import Parts
from rag.store.store import Mode, Store, default_root

__all__ = ["SharedStore"]

logger = logging.getLogger("rag.store")


class SharedStore(Store):
    """A store that any number of machines use at once: what one has made, the others find. Files are read and written
    in a folder of this machine; artifacts go to the bucket as soon as they are made, values when a pass over them ends.

    Args:
        url: The bucket, such as ``s3://bucket/prefix``; see :class:`rag.store.shared.Bucket`.
        mode: Whether what is there is used.
        root: Folder on this machine; by default one for each URL, in the user's store.

    Raises:
        ConfigError: It is no such URL.
        ServerError: The bucket cannot be reached.
    """

    def __init__(self, url: str, *, mode: Mode = "use", root: Path | None = None) -> None:
        self.bucket = Bucket(url)
        folder = hashlib.sha256(self.bucket.url.encode()).hexdigest()[:16]
        super().__init__(root or default_root() / "buckets" / folder, mode=mode)
        self._known = artifact_names(self.bucket)
        self._parts: dict[tuple[str, str], Parts] = {}

    @property
    def location(self) -> str:
        return self.bucket.url

    def has(self, kind: str, key: str) -> bool:
        return super().has(kind, key) or (self.mode != "refresh" and self._is_there(kind, key))

    def artifact(self, kind: str, key: str, make: Callable[[Path], object], *, description: str) -> Path:
        existing = self._find(kind, key)
        if existing is not None:
            return existing
        if self.mode == "only" or not self.writable:
            return super().artifact(kind, key, make, description=description)
        with leased(self.bucket, key):
            folder = super().artifact(kind, key, make, description=description)  # which another may have made by now
            if not self._is_there(kind, key):
                send_artifact(self.bucket, kind, key, self._folder(kind, key))
                self._known.add((kind, key))
        return folder

    def cache(self, kind: str, key: str, *, description: str) -> KeyValueCache:
        values = super().cache(kind, key, description=description)
        if (kind, key) not in self._parts:
            self._parts[kind, key] = Parts(self.bucket, self.root, kind, key)
            if self.mode != "refresh":
                self._pull(kind, key, values)
        values.lock_with(lambda: self._computing(kind, key, values))
        return values

    def close(self) -> None:
        if self.writable and self.mode != "only":
            for (kind, key), values in list(self._values.items()):
                self._push(kind, key, values)
        super().close()

    def _find(self, kind: str, key: str) -> Path | None:
        folder = super()._find(kind, key)
        if folder is None and not (self.mode == "refresh" and key not in self._fresh) and self._is_there(kind, key):
            with self._lock(f"fetch-{key}"):
                folder = super()._find(kind, key)
                if folder is None:
                    logger.info("fetching %s %s from %s", kind, key, self.bucket)
                    try:
                        fetch_artifact(self.bucket, kind, key, self._folder(kind, key))
                    except ArtifactError as error:
                        logger.warning("%s; it is computed again", error)
                        return None
                    folder = super()._find(kind, key)
        return folder

    def _is_there(self, kind: str, key: str) -> bool:
        if (kind, key) not in self._known:
            if self.bucket.read(f"artifacts/{kind}/{key}/manifest.json") is None:
                return False
            self._known.add((kind, key))
        return True

    @contextmanager
    def _computing(self, kind: str, key: str, values: KeyValueCache) -> Iterator[None]:
        """Held by the one process of all machines that computes values: it has what others computed before, and others
        have what it computed after.
        """
        with self._lock(key), leased(self.bucket, f"values-{key}"):
            if self.mode != "refresh":
                self._pull(kind, key, values)
            try:
                yield
            finally:
                self._push(kind, key, values)

    def _push(self, kind: str, key: str, values: KeyValueCache) -> None:
        new, values.new = values.new, []
        if new:
            self._parts[kind, key].push(values, new)

    def _pull(self, kind: str, key: str, values: KeyValueCache) -> None:
        if values.write:
            self._parts[kind, key].pull(values)
        elif self.writable:  # nothing may be computed here, but all may be fetched
            with closing(KeyValueCache(values.path, description=values.description)) as fetched:
                self._parts[kind, key].pull(fetched)
