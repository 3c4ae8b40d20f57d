"""Summaries made elsewhere."""

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
    """Takes summaries from a JSONL file: one object a line with the document's id (``_id`` or ``id``) and its
    ``summary``, a text or a list of texts.

    Ids that the file lacks are listed, and those documents keyed by their own text. The file is read when fitting; a
    saved index answers without it.

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
        known = self._read()
        ids = {source.id for source in sources}
        if ids.isdisjoint(known):
            raise DataError(
                f"{self.path}: none of its {len(known)} ids is that of a document (such as '{next(iter(known), '')}'; "
                f"the documents' are such as '{sources[0].id}'): it belongs to another corpus"
            )
        foreign = len(known.keys() - ids)
        also = f"; {foreign} of its ids are of no document" if foreign else ""
        for number, source in enumerate(sources):
            yield number, Summary(known.get(source.id, ()), f"{self.path} has no such id{also}")

    def _read(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for where, row in iter_jsonl(Path(self.path).expanduser()):
            id = row_id(row, "_id" if "_id" in row else "id", where)
            column = next((name for name in _TEXT_FIELDS if name in row), None)
            texts = [row[column]] if column and isinstance(row[column], str) else row.get(column or "")
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise DataError(f"{where}: the summary of '{id}' must be a text or a list of texts under 'summary'")
            if id in found:
                raise DataError(f"{where}: two summaries have the id '{id}'")
            found[id] = tuple(texts)
        return found
