"""What questions were answered, labeled or led to: values kept by their questions, as documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rag.errors import DataError
from rag.types import Document

__all__ = ["REMEMBERED", "RememberedValue"]

REMEMBERED = "remembered-"
"""Beginning of the ids of remembered values."""


@dataclass(frozen=True)
class RememberedValue:
    r"""A question and its value: an answer, a label, an action; not a document of the corpus.

    It is kept as a document whose text is the question (and the value, if that is a text, so that a language model
    reads both), with the metadata ``value``, ``question``, ``source`` and ``remembered``, the time. A retriever finds
    it like any other, by its question; ``{"remembered": {"exists": true}}`` is the filter for such values alone, and
    ``false`` for documents alone.

    Args:
        query: The question's text; the same text is one question, and a new value replaces the old one.
        value: Anything JSON can hold; None forgets the question.
        source: Where the value comes from, such as ``support``.
        metadata: Other metadata, such as a tenant.

    Raises:
        DataError: The question has no text, or the value is nothing that JSON can hold.

    Example:
        >>> RememberedValue("when do tulips bloom?", "in spring", "Ann").document().text
        'when do tulips bloom?\nin spring'
    """

    query: str
    value: Any
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.query.strip():
            raise DataError("a question to remember has no text")
        try:
            json.dumps(self.value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise DataError(f"the value of '{self.query[:60]}' cannot be kept as JSON: {error}") from None

    @property
    def id(self) -> str:
        """Id of its document, made of the question."""
        return f"{REMEMBERED}{hashlib.sha256(self.query.strip().encode()).hexdigest()[:16]}"

    def document(self) -> Document:
        """The document to keep, with the present time."""
        text = f"{self.query}\n{self.value}" if isinstance(self.value, str) else self.query
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept = {"value": self.value, "question": self.query, "source": self.source, "remembered": now}
        return Document(self.id, text, {**self.metadata, **kept})

    def is_kept_by(self, document: Document) -> bool:
        """Whether a document holds the same already, whenever it was remembered."""
        mine, theirs = dict(self.document().metadata), dict(document.metadata)
        return mine | {"remembered": ""} == theirs | {"remembered": ""}
