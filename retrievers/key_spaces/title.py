"""Keys that are the document's title."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rag.fitting import FitContext
from rag.retrievers.key_spaces.base import Key
from rag.summarizer import Source

__all__ = ["TitleKey"]


class TitleKey(Key):
    """The ``title`` in a document's metadata. Documents without a title are not found by it."""

    type = "title"

    def texts(self, context: FitContext, sources: Callable[[], list[Source]]) -> list[Sequence[str]] | None:
        titles = (document.metadata.get("title") for document in context.corpus)
        return [[title] if isinstance(title, str) else [] for title in titles]
