"""Keys: who may read and who may write."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rag.errors import ConfigError

__all__ = ["Keys", "Scope"]

Scope = Literal["read", "write"]

_SHORTEST = 8
_ENTRY = re.compile(r"(?:(read|write):)?(\S+)")


@dataclass(frozen=True, slots=True)
class _Key:
    digest: bytes
    scopes: frozenset[Scope]


class Keys:
    """The keys of a server, kept as hashes and compared in constant time.

    Args:
        keys: Each ``read:KEY`` (may search), ``write:KEY`` (may search and change documents), or ``KEY``, the same as
            ``write:KEY``.

    Raises:
        ConfigError: A key is shorter than 8 characters, or holds white space.

    Example:
        >>> keys = Keys(["read:a-long-secret"])
        >>> keys.scopes_of("a-long-secret") == {"read"}, keys.scopes_of("another") == set()
        (True, True)
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = [_read(entry) for entry in keys]

    @classmethod
    def from_environment(cls, variable: str) -> Keys:
        """The keys in an environment variable, separated by commas or white space.

        Raises:
            ConfigError: It is not set, or empty.
        """
        entries = re.split(r"[,\s]+", os.environ.get(variable, "").strip())
        if entries == [""]:
            raise ConfigError(f"the environment variable {variable} holds no key", parameter="--key-env")
        return cls(entries)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def scopes_of(self, key: str) -> frozenset[Scope]:
        """Scopes of a key; none for an unknown key. Takes the same time for every key."""
        digest = _digest(key)
        scopes: frozenset[Scope] = frozenset()
        for candidate in self._keys:
            if hmac.compare_digest(candidate.digest, digest):
                scopes |= candidate.scopes
        return scopes


def _read(entry: str) -> _Key:
    match = _ENTRY.fullmatch(entry)
    if match is None or len(match[2]) < _SHORTEST:
        # The key itself is not shown: messages end in logs.
        raise ConfigError(f"a key has at least {_SHORTEST} characters and no white space: [read:|write:]KEY")
    scopes: frozenset[Scope] = frozenset(["read"]) if match[1] == "read" else frozenset(["read", "write"])
    return _Key(_digest(match[2]), scopes)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
