"""URLs of a sweep's storage."""

from __future__ import annotations

import re
from pathlib import Path

from rag.errors import ConfigError

__all__ = ["absolute", "check_url", "without_password"]


def check_url(url: str | None) -> None:
    """Refuse a text that cannot name a storage, before anything is made for a sweep.

    Raises:
        ConfigError: Not a URL.
    """
    if url is not None and not url.startswith("journal:") and "://" not in url:
        raise ConfigError(
            f"'{url}' is no storage: write journal:FILE, sqlite:///FILE, postgresql://... or mysql://...",
            parameter="storage",
        )


def absolute(url: str | None, folder: Path) -> str | None:
    """A storage's URL, the path of a journal taken relative to a folder."""
    if url is not None and url.startswith("journal:"):
        path = Path(url.removeprefix("journal:").removeprefix("//")).expanduser()
        return f"journal:{path if path.is_absolute() else folder / path}"
    return url


def without_password(url: str) -> str:
    """A URL for messages, with dots in place of its password."""
    return re.sub(r"(?<=password=)[^&]*", "...", re.sub(r"//([^:/@]*):.*@", r"//\1:...@", url))
