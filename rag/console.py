"""What commands share: where output goes, how errors end, and progress bars."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from rag.metadata import strict_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["out", "plain", "print_json", "progress", "quiet_libraries", "stderr"]

_LINE_EVERY = 10.0
"""Seconds between lines of progress in a log."""

_DELAY = 1.0
"""Seconds before a bar appears: short work shows none."""

_screen: Progress | None = None
"""The bars on the terminal: work inside other work has a line below."""


def out() -> Console:
    """Standard output, for results. Colour only on a terminal and without ``NO_COLOR``."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    # For a file or a pipe: as wide as asked, without the blanks that fill table cells.
    width = int(os.environ["COLUMNS"]) if os.environ.get("COLUMNS", "").isdecimal() else 160
    return Console(highlight=False, width=width, file=cast("TextIO", _Trimmed(sys.stdout)))


class _Trimmed:
    """A stream that drops blanks at the end of lines."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def stderr() -> Console:
    """Standard error, for everything else."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """A text without control characters, which could move the cursor or rename the window; line ends stay."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def print_json(value: Any) -> None:
    """One JSON object on standard output, of strict JSON: NaN and infinite numbers are null."""
    sys.stdout.write(json.dumps(strict_json(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


class _Lines:
    """Progress where no bar can be drawn: a line now and then, so that a log shows that something is going on."""

    def __init__(self, title: str, total: int | None) -> None:
        self.title, self.total = title, total
        self.done = 0
        self.last = time.monotonic()

    def __call__(self, done: int) -> None:
        self.done += done
        if time.monotonic() - self.last > _LINE_EVERY:
            self.last = time.monotonic()
            of = "" if self.total is None else f" of {self.total}"
            sys.stderr.write(f"{self.title}: {self.done}{of}\n")


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, when that is a terminal and the work takes over a second."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = stderr()
    if not console.is_terminal:
        yield _Lines(title, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    global _screen
    outer, bar = _screen, _screen or Progress(*columns, console=console, transient=True)
    _screen = bar
    task = bar.add_task(title, total=total)
    start = time.monotonic()

    def advance(done: int) -> None:
        if not bar.live.is_started and time.monotonic() - start > _DELAY:
            bar.start()
        bar.advance(task, done)

    try:
        yield advance
    finally:
        _screen = outer
        bar.remove_task(task)
        if outer is None and bar.live.is_started:
            bar.stop()


def quiet_libraries(verbose: bool) -> None:
    """Send this project's messages to standard error and let libraries speak only of trouble."""
    from rich.logging import RichHandler

    handler = RichHandler(console=stderr(), show_time=False, show_path=False, show_level=True)
    logger = logging.getLogger("rag")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.propagate = False
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # Threads that wait for each other by spinning make a question 10 times slower when another program has a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("sentence_transformers", "transformers", "huggingface_hub", "datasets", "bm25s"):
        logging.getLogger(name).setLevel(logging.ERROR)
