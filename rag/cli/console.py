"""The terminal: where output goes, and progress bars.

Everything that commands print passes through here, so that what data holds (escape sequences, controls, marks that
write text backwards) cannot command the terminal: consoles and :func:`echo` show it as
:func:`rag.text.plain.plain` does, and :func:`print_json` as the escapes of JSON.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from rag.metadata import strict_json
from rag.progress import lines
from rag.text.plain import HARMFUL, plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["echo", "out", "print_file", "print_json", "progress", "quiet_libraries", "status", "stderr"]

_DELAY = 1.0
"""Seconds before a bar appears: short work shows none."""

_screen: Progress | None = None
"""The bars on the terminal: work inside other work has a line below."""

_quiet = False
"""Whether no progress is shown."""


def out() -> Console:
    """Standard output, for results. Color only on a terminal and without ``NO_COLOR``."""
    if sys.stdout.isatty():
        return _console_class()(highlight=False, markup=False, emoji=False)
    # For a file or a pipe: as wide as asked, without the blanks that fill table cells.
    width = int(os.environ["COLUMNS"]) if os.environ.get("COLUMNS", "").isdecimal() else 160
    file = cast("TextIO", _Trimmed(sys.stdout))
    return _console_class()(highlight=False, markup=False, emoji=False, width=width, file=file)


@functools.cache
def _console_class() -> type[Console]:
    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

    class Harmless(Console):
        """A console whose only control codes are its own: those in texts are shown as ``plain`` shows them."""

        def render_str(self, text: str, **options: Any) -> Text:  # what is measured is what is shown
            return super().render_str(plain(text), **options)

        def render(self, renderable: Any, options: Any = None) -> Any:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(plain(segment.text), segment.style)

    return Harmless


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
    return _console_class()(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


class _Lines(logging.Handler):
    """A line for each record, where no terminal says how wide it may be."""

    def emit(self, record: logging.LogRecord) -> None:
        _to_stderr(f"{record.levelname:<8} {self.format(record)}")


def _to_stderr(line: str) -> None:
    sys.stderr.write(plain(line) + "\n")
    sys.stderr.flush()


def echo(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print a line, harmless as ``plain`` makes it, on standard output, or with ``err`` on standard error."""
    import typer

    typer.echo(plain(str(text)), err=err, nl=nl)


def print_file(text: str) -> None:
    """Print what a file would hold: as it is into a file or a pipe, harmless on a terminal."""
    import typer

    typer.echo(plain(text) if sys.stdout.isatty() else text, nl=False)


def print_json(value: Any) -> None:
    """One JSON object on standard output, of strict JSON: NaN and infinite numbers are null. What a terminal would obey
    is escaped in its strings.
    """
    text = json.dumps(strict_json(value), ensure_ascii=False, indent=2, allow_nan=False)
    sys.stdout.write(HARMFUL.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar with rate and time left on standard error, when the work takes over a second; a line every few seconds when
    that is not a terminal. Nothing with ``--quiet``.
    """
    if _quiet:
        yield lambda done: None
        return
    console = stderr()
    if not console.is_terminal:
        with lines(plain(title), total, _to_stderr) as advance_lines:
            yield advance_lines
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    rate = TextColumn("{task.fields[rate]}")
    times = (rate, TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
    title_column = TextColumn("{task.description}", markup=False)
    columns = (title_column, BarColumn(bar_width=20), MofNCompleteColumn(), *times)
    global _screen
    outer, bar = _screen, _screen or Progress(*columns, console=console, transient=True)
    _screen = bar
    task = bar.add_task(plain(title), total=total, rate="")

    def begin() -> None:
        if not bar.live.is_started:
            bar.start()

    start = time.monotonic()
    # By the clock: what loads a model for a minute counts nothing meanwhile.
    begun = threading.Timer(_DELAY, begin)
    begun.daemon = True
    begun.start()

    def advance(done: int) -> None:
        if time.monotonic() - start > _DELAY:
            begin()
        speed = next((entry.speed for entry in bar.tasks if entry.id == task), None)
        bar.update(task, advance=done, rate=f"{speed:,.1f}/s" if speed else "")

    try:
        yield advance
    finally:
        begun.cancel()
        begun.join()
        _screen = outer
        bar.remove_task(task)
        if outer is None and bar.live.is_started:
            bar.stop()


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Something to say a line to, on standard error: on a terminal it takes the place of the line before."""
    console = stderr()
    if not console.is_terminal:
        yield lambda text: echo(text, err=True)
        return
    with console.status("starting") as line:
        yield lambda text: line.update(plain(text))


def quiet_libraries(verbose: bool, quiet: bool = False) -> None:
    """Send this project's messages to standard error and let libraries speak only of trouble.

    Args:
        verbose: Show what is being done.
        quiet: Hide progress.
    """
    global _quiet
    _quiet = quiet
    from rich.logging import RichHandler

    terminal = sys.stderr.isatty()
    handler = RichHandler(console=stderr(), show_time=False, show_path=False) if terminal else _Lines()
    logger = logging.getLogger("rag")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    logger.propagate = False
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("sentence_transformers", "transformers", "huggingface_hub", "datasets", "bm25s"):
        logging.getLogger(name).setLevel(logging.ERROR)
