"""Fingerprints: hashes of everything that determines a result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

__all__ = ["fingerprint", "fingerprint_texts"]


def fingerprint(value: Any) -> str:
    """Hash of a JSON-able value: 32 hexadecimal digits, independent of the order of keys.

    Raises:
        TypeError: ``value`` contains something that JSON cannot represent, so that no identity is guessed.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def fingerprint_texts(texts: Iterable[str]) -> str:
    """Hash of a sequence of texts; lengths are included, so ``["ab"]`` and ``["a", "b"]`` differ."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:32]
