"""A saved pipeline that follows its folder, so that searches use the newest generation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.errors import ConfigError, RagError, first_line
from rag.pipeline.saving import load
from rag.store.folder import checked_manifest
from rag.text.normal import is_blank

if TYPE_CHECKING:
    from rag.pipeline.searching import SearchablePipeline
    from rag.types import SearchResult, SearchResults

__all__ = ["Following", "Snapshot"]

logger = logging.getLogger("rag.following")

_WARM = 200
"""Characters of a document that a new generation is asked with, to see that it answers and to have it ready."""
_AGAIN = 60.0
"""Seconds after which a generation that was refused is tried again: the reason may have gone."""
_LOOKED_AT = 100
"""Documents in which a text to ask with is looked for."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """An open generation of a saved pipeline.

    Args:
        pipeline: The pipeline, which never changes.
        generation: Name of the generation; ``memory`` for a pipeline that was not opened from a folder.
        written: When it was written, ISO 8601 in UTC; empty when unknown.
    """

    pipeline: SearchablePipeline
    generation: str = "memory"
    written: str = ""


class Following:
    """The newest generation of a saved pipeline, made by :meth:`rag.Pipeline.follow`.

    A thread watches the folder's manifest. A new generation is loaded and searched once beside the old one, then takes
    its place in one assignment; an earlier :class:`Snapshot` stays valid. A generation that cannot be loaded or
    searched is refused: the old one stays in use, :attr:`problem` gives the reason, and it is tried again after a
    minute, or when the folder changes. A context manager: leaving it, or :meth:`close`, ends the thread.

    All methods may be called from any thread.

    Attributes:
        folder: The folder that is followed.
        problem: Reason why the newest generation was refused; None while it is in use.
        refused: Number of generations that were refused.
    """

    def __init__(self, cls: type[SearchablePipeline], folder: Path, every: float | None) -> None:
        if every is not None and not every > 0:
            raise ConfigError(f"must be a number of seconds above 0, or None, got {every!r}", parameter="every")
        self.folder = folder
        self.problem: str | None = None
        self.refused = 0
        self._cls = cls
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        self._tried = time.monotonic()
        self._listeners: list[Callable[[Snapshot], object]] = []
        self._current = self._opened()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        if every is not None:
            self._thread = threading.Thread(target=self._watch, args=(every,), name="rag-follow", daemon=True)
            self._thread.start()

    @property
    def current(self) -> Snapshot:
        """The generation in use."""
        return self._current

    @property
    def pipeline(self) -> SearchablePipeline:
        """The pipeline of the generation in use. Hold it for as long as answers must come from one generation."""
        return self._current.pipeline

    def search(self, query: Any, **options: Any) -> SearchResult | SearchResults:
        """:meth:`rag.Pipeline.search` of the newest generation."""
        result: SearchResult | SearchResults = self.pipeline.search(query, **options)
        return result

    def on_change(self, call: Callable[[Snapshot], object]) -> None:
        """Call a function with every new generation, after it has taken its place."""
        self._listeners.append(call)

    def refresh(self) -> bool:
        """Look at the folder now, and return whether another generation is in use since."""
        with self._lock:
            stamp = self._stamp_now()
            if stamp == self._stamp and not (self.problem and time.monotonic() - self._tried > _AGAIN):
                return False
            self._stamp, self._tried = stamp, time.monotonic()
            try:
                if checked_manifest(self.folder, self._cls.kind)["data"] == self._current.generation:
                    self.problem = None  # what was refused has been taken back
                    return False
                new = self._opened()
            except Exception as error:  # whatever a damaged index raises: the one in use goes on
                self.refused += 1
                self.problem = str(error) if isinstance(error, RagError) else f"{type(error).__name__}: {error}"
                logger.warning("the new generation is refused, the old one stays in use: %s", first_line(error))
                return False
            self._current, self.problem = new, None
        logger.info("following generation %s", new.generation)
        for call in self._listeners:
            call(new)
        return True

    def close(self) -> None:
        """Stop watching the folder; the generation in use stays."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _watch(self, every: float) -> None:
        while not self._closing.wait(every):
            try:
                self.refresh()
            except Exception:  # a listener's; the next generation is to be followed all the same
                logger.exception("following %s", self.folder)

    def _opened(self) -> Snapshot:
        pipeline = load(self._cls, self.folder, verify=False)
        _warm(pipeline)
        saved = pipeline.fitted.saved
        name = saved.data.name if saved else ""
        manifest = checked_manifest(self.folder, self._cls.kind)
        written = str(manifest.get("written", "")) if manifest["data"] == name else ""
        return Snapshot(pipeline, name, written)

    def _stamp_now(self) -> tuple[int, ...]:
        """A value that changes whenever the manifest is replaced."""
        try:
            about = (self.folder / "manifest.json").stat()
        except OSError:
            return ()
        return about.st_ino, about.st_mtime_ns, about.st_size


def _warm(pipeline: SearchablePipeline) -> None:
    """Search once for the beginning of a document, so that everything loaded on first use is loaded."""
    corpus = pipeline.corpus
    alive = np.arange(len(corpus)) if corpus.alive is None else np.flatnonzero(corpus.alive)
    for text in corpus.texts(alive[:_LOOKED_AT]):
        if not is_blank(text):
            pipeline.search(text[:_WARM], top_k=1, answer=False)
            break
    corpus.position("")
    _ = corpus.fields
