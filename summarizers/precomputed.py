"""Summaries read from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rag.corpus.readers import iter_jsonl, row_id
from rag.errors import DataError, system_message
from rag.summarizer import Source, Summarizer, Summary

__all__ = ["Precomputed"]

_TEXT_FIELDS = ("summary", "summaries", "text", "texts")


class Precomputed(Summarizer):
    """Reads summaries from a JSONL file with one object per line: the document's id (``_id`` or ``id``) and its
    ``summary``, a text or a list of texts.

    Documents missing from the file are listed, and get their own text as key. The file is read when fitting; a saved
    index does not need it.

    Args:
        path: The file.
    """

    type = "precomputed"
    by_id = True

    def __init__(self, path: str) -> None:
        self.path = path

    def _model_digest(self) -> Any:
        path = Path(self.path).expanduser()
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{path}: the summaries cannot be read: {system_message(error)}") from None

    def write(self, sources: Sequence[Source]) -> Iterator[tuple[int, Summary]]:
        summaries = self._read()
        ids = {source.id for source in sources}
        if ids.isdisjoint(summaries):
            raise DataError(
                f"{self.path}: none of its {len(summaries)} ids belongs to a document (such as "
                f"'{next(iter(summaries), '')}'; documents have ids such as '{sources[0].id}'): "
                "it belongs to another corpus"
            )
        foreign = len(summaries.keys() - ids)
        also = f"; {foreign} of its ids belong to no document" if foreign else ""
        for index, source in enumerate(sources):
            yield index, Summary(summaries.get(source.id, ()), f"{self.path} has no such id{also}")

    def _read(self) -> dict[str, tuple[str, ...]]:
        summaries: dict[str, tuple[str, ...]] = {}
        for location, row in iter_jsonl(Path(self.path).expanduser()):
            id = row_id(row, "_id" if "_id" in row else "id", location)
            column = next((name for name in _TEXT_FIELDS if name in row), None)
            texts = [row[column]] if column and isinstance(row[column], str) else row.get(column or "")
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise DataError(f"{location}: the summary of '{id}' must be a text or a list of texts under 'summary'")
            if id in summaries:
                raise DataError(f"{location}: two summaries have the id '{id}'")
            summaries[id] = tuple(texts)
        return summaries
