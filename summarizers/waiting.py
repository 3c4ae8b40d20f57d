"""Waiting times before a chat model is asked again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event, Lock
from typing import Any

__all__ = ["LONGEST_WAIT", "Pause", "asked_to_wait"]

LONGEST_WAIT = 600.0
"""Longest wait in seconds that is followed; a server that asks for more counts as out of quota for now."""


class Pause:
    """A pause shared by all threads that use one server, when it has told one of them to wait."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = Lock()

    def ask(self, seconds: float) -> None:
        """Start no request in the next ``seconds``."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def keep(self, stop: Event) -> None:
        """Wait until the pause is over, or ``stop`` is set."""
        while (left := self._until - time.monotonic()) > 0 and not stop.wait(left):
            pass


def asked_to_wait(error: BaseException | None) -> float:
    """Seconds to wait after an error according to the server's header ``Retry-After`` (RFC 9110: seconds or a date) or
    ``retry-after-ms``; 0 without one. Works for any client whose exception, or its cause, holds the response with its
    headers.
    """
    while error is not None:
        for headers in _headers(error):
            seconds = _seconds(headers)
            if seconds is not None:
                return seconds
        error = error.__cause__ or error.__context__
    return 0.0


def _headers(error: BaseException) -> Iterator[Mapping[str, str]]:
    for holder in (getattr(error, "response", None), error):
        headers: Any = getattr(holder, "headers", None)
        if isinstance(headers, Mapping) or hasattr(headers, "items"):
            yield {str(name).lower(): str(value) for name, value in headers.items()}


def _seconds(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    due = _date(headers.get("retry-after"))
    if due is None:
        return None
    now = _date(headers.get("date")) or datetime.now(UTC)  # by the server's clock
    return max(0.0, (due - now).total_seconds())


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
