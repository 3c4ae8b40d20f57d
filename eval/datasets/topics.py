"""TREC topic files: ``<top>`` with ``<num>``, ``<title>``, ``<desc>``, ``<narr>``; or XML ``<topic number=...>``."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.corpus.readers import Reading, iter_lines
from rag.errors import DataError

__all__ = ["read_topics"]

_TOPIC = re.compile(r"<(top|topic)\b([^>]*)>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)
_OPEN = re.compile(r"<(?:top|topic)\b[^>]*>", re.IGNORECASE)
_FIELD = re.compile(r"<(\w+)[^>]*>([^<]*)")
_LABEL = re.compile(r"^\s*(?:Number|Topic|Title|Description|Narrative)\s*:\s*", re.IGNORECASE)
"""Labels that NIST's older files repeat after the tag."""
_NUMBER = re.compile(r"""\bnumber\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)


def read_topics(path: Path, reading: Reading | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (``file:line``, row) of every topic: ``id`` and its fields by tag, such as ``title``, ``desc``, ``narr``.

    Args:
        path: The file.
        reading: The encoding.

    Raises:
        DataError: The file is unreadable, has no topic, a topic that is not closed, or one without a number.
    """
    text = "".join(line for _, line in iter_lines(path, blank=True, reading=reading))
    count, end = 0, 0
    for topic in _TOPIC.finditer(text):
        location = _where(path, text, topic.start())
        if len(_OPEN.findall(topic[0])) > 1 or _OPEN.search(text, end, topic.start()):
            raise DataError(f"{location}: the topic is not closed before the next one begins")
        end = topic.end()
        row: dict[str, Any] = {}
        for name, value in _FIELD.findall(topic[3]):
            row.setdefault(name.lower(), " ".join(html.unescape(_LABEL.sub("", value)).split()))
        attribute = _NUMBER.search(topic[2])
        topic_id = attribute[1] if attribute else row.pop("num", "") or row.pop("number", "")
        if not topic_id:
            raise DataError(f"{location}: the topic has no number (<num>, or number=)")
        count += 1
        yield location, {"id": topic_id} | {name: value for name, value in row.items() if value}
    if opened := _OPEN.search(text, end):
        raise DataError(f"{_where(path, text, opened.start())}: the topic is not closed")
    if not count:
        raise DataError(f"{path}: has no <top> or <topic>, so it is not a TREC topic file")


def _where(path: Path, text: str, offset: int) -> str:
    return f"{path}:{text.count(chr(10), 0, offset) + 1}"
