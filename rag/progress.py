"""How far long work is: the contract, and lines for where no bar can be drawn.

A line is written every few seconds by the clock, whether or not anything was finished meanwhile: loading a model or
one long request shows as well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

__all__ = ["EVERY", "Progress", "announce", "announced", "duration", "lines", "loading", "no_progress"]


class Progress(Protocol):
    """Opens a progress bar: ``with progress("embedding", total) as advance: advance(32)``; the total is None when
    nobody knows it.
    """

    def __call__(self, title: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]: ...


class _NoProgress(AbstractContextManager["Callable[[int], None]"]):
    def __enter__(self) -> Callable[[int], None]:
        return lambda done: None

    def __exit__(self, *error: object) -> None:
        return None


def no_progress(title: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    """Shows nothing: the default of the Python API."""
    return _NoProgress()


EVERY = 5.0
"""Seconds between lines: a log shows soon that something is going on, and does not fill up."""

_open: list[Lines] = []
"""Work that is under way; what is inside other work speaks for it."""

_loading: ContextVar[Progress | None] = ContextVar("_loading", default=None)


@contextmanager
def lines(title: str, total: int | None, write: Callable[[str], object]) -> Iterator[Callable[[int], None]]:
    """A :class:`Progress` in lines.

    Args:
        title: What is done.
        total: Of how much; None when nobody knows.
        write: Takes each line.
    """
    work = Lines(title, total)
    _open.append(work)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(EVERY):
            if _open and _open[-1] is work:
                write(str(work))

    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield work.advance
    finally:
        ended.set()
        _open.remove(work)
        thread.join()


class Lines:
    """What a line says: how much is done, how fast, and how long the rest will take at that pace.

    Args:
        title: What is done.
        total: Of how much; None when nobody knows.
    """

    def __init__(self, title: str, total: int | None) -> None:
        self.title, self.total = title, total
        self.done = 0
        self.begun = time.monotonic()

    def advance(self, done: int) -> None:
        """Count what was done."""
        self.done += done

    def __str__(self) -> str:
        passed = time.monotonic() - self.begun
        if not self.done:
            return f"{self.title}: {duration(passed)} so far" + (f", of {self.total:,}" if self.total else "")
        rate = self.done / max(passed, 1e-9)
        shown = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 0.1 else f"{rate * 60:.1f}/min"
        if self.total is None:
            return f"{self.title}: {self.done:,}, {shown}"
        left = duration(max(self.total - self.done, 0) / rate)
        return f"{self.title}: {self.done:,} of {self.total:,}, {shown}, {left} left"


def duration(seconds: float) -> str:
    """Seconds in words, such as ``2 min 5 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def announce(progress: Progress) -> None:
    """Have all models that are loaded from now on say so, as :func:`announced` does for a while."""
    _loading.set(progress)


@contextmanager
def announced(progress: Progress) -> Iterator[None]:
    """Have models that are loaded inside say so: they are loaded when they are first needed, far below who asks."""
    token = _loading.set(progress)
    try:
        yield
    finally:
        _loading.reset(token)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Around loading a model."""
    progress = _loading.get()
    if progress is None:
        yield
        return
    with progress(f"loading the model {name}", None):
        yield
