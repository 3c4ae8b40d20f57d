"""Progress of long work: the contract, and lines where no bar can be drawn.

A line is written every few seconds, even if nothing was finished meanwhile, so that loading a model or one long
request is visible.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

from rag.waiting import waiting

__all__ = ["EVERY", "Progress", "announce", "announced", "duration", "lines", "loading", "no_progress"]


class Progress(Protocol):
    """Opens a progress bar: ``with progress("embedding", total) as advance: advance(32)``; the total is None when
    unknown.
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

_LATELY = 30.0
"""Seconds by which the speed is measured: what a store had is there at once, and the rest is not as fast."""

_open: list[Lines] = []
"""Work that is under way; what is inside other work speaks for it."""

_loading: ContextVar[Progress | None] = ContextVar("_loading", default=None)


@contextmanager
def lines(title: str, total: int | None, write: Callable[[str], object]) -> Iterator[Callable[[int], None]]:
    """A :class:`Progress` that writes lines.

    Args:
        title: Name of the work.
        total: Number of items; None when unknown.
        write: Function that writes a line.
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
    """The text of a line: the work done, its speed, and the remaining time at that speed.

    Args:
        title: Name of the work.
        total: Number of items; None when unknown.
    """

    def __init__(self, title: str, total: int | None) -> None:
        self.title, self.total = title, total
        self.done = 0
        self._marks = deque([(time.monotonic(), 0)])
        """Times, at least a second apart, with what was done by then: those of the last :data:`_LATELY` seconds, and
        the last before them.
        """
        self._begun = self._marks[0][0]

    def advance(self, done: int) -> None:
        """Count what was done."""
        self.done += done
        now = time.monotonic()
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, self.done))
            while len(self._marks) > 2 and now - self._marks[1][0] >= _LATELY:
                self._marks.popleft()

    def __str__(self) -> str:
        now = time.monotonic()
        if not self.done:
            of = f", of {self.total:,}" if self.total else ""
            return f"{self.title}: {duration(now - self._begun)} so far{of}"
        since, before = self._marks[0]
        if before == self.done:  # nothing lately
            since, before = self._begun, 0
        rate = (self.done - before) / max(now - since, 1e-9)
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
    """Announce the loading of all models from now on; :func:`announced` does so inside a block."""
    _loading.set(progress)


@contextmanager
def announced(progress: Progress) -> Iterator[None]:
    """Announce the loading of models inside: they are loaded when first used, far below the caller."""
    token = _loading.set(progress)
    try:
        yield
    finally:
        _loading.reset(token)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Announce the loading of a model inside; it is no cost of the work that needs the model first."""
    progress = _loading.get() or no_progress
    with progress(f"loading the model {name}", None), waiting():
        yield
