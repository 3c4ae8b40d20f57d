"""URLs of a sweep's storage."""

from __future__ import annotations

import re
from pathlib import Path

from rag.errors import ConfigError

__all__ = ["absolute", "check_url", "without_password"]


def check_url(url: str | None) -> None:
    """Refuse a text that cannot name a storage, before anything is written.

    Raises:
        ConfigError: Not a URL.
    """
    if url is not None and not url.startswith("journal:") and "://" not in url:
        raise ConfigError(
            f"'{url}' is not a storage: write journal:FILE, sqlite:///FILE, postgresql://... or mysql://...",
            parameter="storage",
        )


def absolute(url: str | None, folder: Path) -> str | None:
    """A storage's URL, with the path of a journal made absolute from a folder."""
    if url is not None and url.startswith("journal:"):
        path = Path(url.removeprefix("journal:").removeprefix("//")).expanduser()
        return f"journal:{path if path.is_absolute() else folder / path}"
    return url


def without_password(url: str) -> str:
    """A URL for messages, with the password replaced by dots."""
    return re.sub(r"(?<=password=)[^&]*", "...", re.sub(r"//([^:/@]*):.*@", r"//\1:...@", url))
