"""Objects by name, in a bucket of S3 or what speaks like it, or in a folder that is mounted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from rag.errors import ConfigError, MissingExtraError, ServerError, first_line

__all__ = ["Bucket", "is_bucket"]

_SCHEMES = ("s3", "gs", "az", "file")


def is_bucket(location: object) -> bool:
    """Whether a store is named by the URL of a bucket, not by a folder."""
    return isinstance(location, str) and "://" in location


class Bucket:
    """Objects below a URL. Credentials, region and endpoint come from the environment, as for Amazon's own tools
    (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ...).

    Args:
        url: ``s3://BUCKET/PREFIX``, ``gs://``, ``az://``, or ``file:///FOLDER``.

    Raises:
        ConfigError: It is no such URL, or has a password in it.
        MissingExtraError: The package that speaks to buckets is not installed.
        ServerError: The folder cannot be made.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        if scheme not in _SCHEMES or not rest.strip("/"):
            raise ConfigError(
                f"a shared store must be s3://BUCKET/PREFIX, gs://..., az://... or file:///FOLDER, got '{_shown(url)}'"
            )
        if "@" in rest.partition("/")[0]:
            raise ConfigError(f"'{_shown(url)}': credentials come from the environment, not from the address")
        self.url = url.rstrip("/")
        self._opened: tuple[int, Any] | None = None
        _obstore()
        if scheme == "file":
            with self._translated("cannot be made"):
                Path(self.url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return self.url

    def __getstate__(self) -> str:
        return self.url

    def __setstate__(self, state: str) -> None:
        self.__init__(state)  # type: ignore[misc]

    def names(self, prefix: str) -> dict[str, int]:
        """Names of objects that begin with a prefix of whole parts, and their sizes in bytes."""
        with self._translated(f"{prefix} cannot be listed"):
            return {item["path"]: item["size"] for page in self._store.list(prefix) for item in page}

    def read(self, name: str) -> bytes | None:
        """The content of an object; None where there is none."""
        from obstore.exceptions import NotFoundError

        with self._translated(f"{name} cannot be read"):
            try:
                return bytes(self._store.get(name).bytes())
            except (NotFoundError, FileNotFoundError):
                return None

    def download(self, name: str, path: Path) -> None:
        """Write the content of an object to a file, block by block."""
        with self._translated(f"{name} cannot be read"), path.open("wb") as file:
            for block in self._store.get(name).stream(min_chunk_size=1 << 23):
                file.write(block)

    def write(self, name: str, content: bytes | Path) -> None:
        """Write an object: it is there whole, or not."""
        with self._translated(f"{name} cannot be written"):
            self._store.put(name, content)

    def write_new(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one; whether it was written. Of several who try, one succeeds."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._translated(f"{name} cannot be written"):
            try:
                self._store.put(name, content, mode="create")
            except (AlreadyExistsError, PreconditionError, FileExistsError):
                return False
            return True

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        from obstore.exceptions import NotFoundError

        with self._translated(f"{name} cannot be removed"), suppress(NotFoundError, FileNotFoundError):
            self._store.delete(name)

    @property
    def _store(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():
            from obstore.store import from_url

            options: dict[str, Any] = {}
            if not self.url.startswith("file://"):
                options["retry_config"] = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
                options["client_options"] = {"connect_timeout": timedelta(seconds=10)}
                endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
                if endpoint.startswith("http://"):
                    options["client_options"]["allow_http"] = True
            self._opened = os.getpid(), from_url(self.url, **options)
        return self._opened[1]

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Errors as ours.

        Raises:
            ServerError: The bucket cannot be reached, or refuses.
        """
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            raise ServerError(f"{self.url}: {doing}: {_said(error)}") from None


def _said(error: Exception) -> str:
    """What went wrong, without the request: those of Amazon hold a key's id."""
    text = first_line(error)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"):
        if os.environ.get(name):
            text = text.replace(os.environ[name], "...")
    return text[:300]


def _shown(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//...@", url)


def _obstore() -> None:
    try:
        import obstore
    except ImportError:
        raise MissingExtraError("a store in a bucket", package="obstore", extra="s3") from None
    assert obstore
