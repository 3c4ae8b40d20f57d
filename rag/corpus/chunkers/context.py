"""Where a passage stands in its document: its page, and what is said above it."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from rag.corpus.corpus import Corpus
from rag.formats.base import PAGE_END

__all__ = ["Context", "Contexts", "Pages", "known_of"]

Context = Literal["headings", "title", "none"]
"""What is put before a passage where it is embedded and matched."""


def known_of(corpus: Corpus, first: int, texts: Sequence[str], *, everything: bool) -> Mapping[int, Mapping[str, Any]]:
    """Metadata of documents by position, of those that have pages or of all.

    Args:
        corpus: Whose documents.
        first: Position of the first.
        texts: Theirs, one after another.
        everything: Take all.
    """
    places = [first + number for number, text in enumerate(texts) if everything or PAGE_END in text]
    if not places:
        return {}
    written = corpus.metadata_texts(np.asarray(places, dtype=np.int64))
    return {position: json.loads(text) for position, text in zip(places, written, strict=True) if text != "{}"}


class Pages:
    """The pages of a text, each of which ends with :data:`~rag.formats.base.PAGE_END`.

    Args:
        text: Of a document.
        metadata: Its own; ``page`` is the number of the first page where that is not 1.
    """

    def __init__(self, text: str, metadata: Mapping[str, Any]) -> None:
        first = metadata.get("page")
        self._first = first if isinstance(first, int) else 1
        self._ends: list[int] = []
        at = text.find(PAGE_END)
        while at >= 0:
            self._ends.append(at)
            at = text.find(PAGE_END, at + 1)

    def of(self, start: int, end: int) -> dict[str, int]:
        """``page`` of a slice, and ``last_page`` where that is another."""
        page = self._first + bisect_left(self._ends, start + (start in self._ends))
        last = self._first + bisect_left(self._ends, max(end - 1, start))
        return {"page": page, "last_page": last} if last > page else {"page": page}


class Contexts:
    """What is put before passages: their document's title, and the headings above them.

    Args:
        kind: ``title`` or ``headings``.
        room: How long it may be; outer headings are left out first.
        length: How long a text is.
    """

    def __init__(self, kind: Context, room: int, length: Callable[[str], int]) -> None:
        self._kind = kind
        self._room = room
        self._length = length
        self._fitted: dict[tuple[str, ...], str] = {}

    def of(self, document: Mapping[str, Any], passage: Mapping[str, Any], text: str, start: int) -> str:
        """The context of a passage; empty for none.

        Args:
            document: Its document's metadata.
            passage: What is known of the passage.
            text: Its document's.
            start: Where it begins.
        """
        title = document.get("title")
        steps = [title] if isinstance(title, str) and title else []
        if self._kind == "headings":
            for headings in (document.get("headings"), passage.get("headings")):
                steps += [step for step in headings or () if isinstance(step, str)]
        steps = [step for number, step in enumerate(steps) if step not in steps[:number]]
        opening = text[start : start + 300].lstrip("# \n\f").replace("`", "")
        while steps and opening.startswith(steps[-1]):  # it is there already
            steps.pop()
        return self._cut(tuple(steps)) if steps else ""

    def _cut(self, steps: tuple[str, ...]) -> str:
        if steps not in self._fitted:
            kept = list(steps)
            while len(kept) > 1 and self._length(" > ".join(kept)) > self._room:
                del kept[1 if len(kept) > 2 else 0]
            context = " > ".join(kept)
            while context and self._length(context) > self._room:
                context = context[: len(context) * 3 // 4]
            self._fitted[steps] = context
        return self._fitted[steps]
