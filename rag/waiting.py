"""A clock that stands still while a process waits: for another that does the work, for a model that is loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["waiting", "working_time"]

_threads = threading.local()


def working_time() -> float:
    """Seconds on a clock for differences, less those that this thread has spent in :func:`waiting`."""
    return time.perf_counter() - float(getattr(_threads, "waited", 0.0))


@contextmanager
def waiting() -> Iterator[None]:
    """Stop the clock inside: what another process computes is booked with its seconds, and a model is loaded once."""
    start = time.perf_counter()
    try:
        yield
    finally:
        _threads.waited = getattr(_threads, "waited", 0.0) + time.perf_counter() - start
