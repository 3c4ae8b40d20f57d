"""Which reader reads which suffix: entry points of group ``rag.readers``, loaded when first used."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from rag.errors import ConfigError
from rag.formats.base import Reader

__all__ = ["GROUP", "is_code", "reader_of", "suffixes"]

GROUP = "rag.readers"
_OURS = "rag.formats."
_CODE = "rag.formats.code"


@functools.cache
def _entries() -> Mapping[str, EntryPoint]:
    entries: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        suffix = f".{entry.name.lower().lstrip('.')}"
        other = entries.get(suffix)
        if other is None or other.value == entry.value or other.value.startswith(_OURS):
            entries[suffix] = entry
        elif not entry.value.startswith(_OURS):
            raise ConfigError(
                f"two packages register a reader of '{suffix}': {other.value} and {entry.value}; remove one"
            )
    return entries


def suffixes() -> frozenset[str]:
    """Suffixes that some reader reads, with their point, in lower case."""
    return frozenset(_entries())


def is_code(suffix: str) -> bool:
    """Whether a suffix is that of source code; nothing is imported for ours."""
    entry = _entries().get(suffix)
    if entry is None:
        return False
    return entry.module.startswith(_CODE) if entry.value.startswith(_OURS) else reader_of(suffix).is_code


@functools.cache
def reader_of(suffix: str) -> Reader:
    """The reader of a suffix such as ``.pdf``; its module is imported now.

    Raises:
        ConfigError: There is none, or what is registered is not a reader.
    """
    entry = _entries().get(suffix.lower())
    if entry is None:
        raise ConfigError(f"no reader of '{suffix}' (valid: {', '.join(sorted(_entries()))})")
    try:
        cls = entry.load()
        reader = cls() if isinstance(cls, type) and issubclass(cls, Reader) else None
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"the reader of '{suffix}' ({entry.value}) cannot be made: {error}") from error
    if reader is None or not getattr(reader, "name", ""):
        raise ConfigError(f"entry point '{entry.name}' of group {GROUP} = {entry.value} is not a rag.formats.Reader")
    return reader
