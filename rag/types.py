"""What comes in and goes out: documents and queries, hits and results.

Inside a pipeline everything is columnar (see :mod:`rag.candidates`); these are the edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from rag.answer import Answer
from rag.conversation import Turn, render, turns_of
from rag.costs import Costs
from rag.origin import Origin, origin_of
from rag.remarks import Remark

__all__ = ["Answer", "Document", "Hit", "IndexedDocument", "IndexedPassage", "Query", "SearchResult"]


@dataclass(frozen=True, slots=True)
class Document:
    """A text that can be found.

    Args:
        id: Unique in its corpus.
        text: The whole text.
        metadata: Anything JSON can hold. ``title`` is shown in reports.
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """A passage of a document that is indexed.

    Args:
        text: As it is matched: the slice of the document, with the table header that the chunker put before it.
        start: Offset in the document's text, in characters.
        end: End of the slice (exclusive), in characters.
        metadata: What the chunker knows about it, such as its headings.
    """

    text: str
    start: int
    end: int
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexedDocument(Document):
    """A document as a pipeline holds it.

    Args:
        passages: What it was cut into.
    """

    passages: tuple[IndexedPassage, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """A question, or a conversation that asks for something.

    Args:
        id: What judgments and runs call it.
        text: The question itself. Of a conversation the turns in order, one a line, unless given.
        metadata: Anything JSON can hold.
        filter: Only documents whose metadata pass this condition are found: see :mod:`rag.conditions`.
        turns: A conversation, in any form that :func:`rag.conversation.turns_of` reads, LangChain messages among them.
    """

    id: str
    text: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    filter: Mapping[str, Any] | None = None
    turns: Sequence[Turn] = ()

    def __post_init__(self) -> None:
        if self.turns:
            turns = turns_of(self.turns)
            object.__setattr__(self, "turns", turns)
            object.__setattr__(self, "text", self.text or render(turns))


@dataclass(frozen=True, slots=True)
class Hit:
    """One document found.

    Args:
        document: The document itself.
        score: The score of the last stage that scored it; higher is better.
        passage: The text that matched: the best chunk, or the whole document when it is not chunked.
        start: Offset of the passage in ``document.text``, in characters.
        end: End of the passage (exclusive), in characters.
        passage_metadata: What the chunker knows about the passage, such as its headings.
        explanation: Score by stage (``retriever``, ``retriever.0 bm25``, ``stages.0 rerank``, ...), filled when
            searching with ``explain=True``. A stage that did not return the document is absent.
        keys: What matched, by the same names, where documents are found by keys such as summaries.
    """

    document: Document
    score: float
    passage: str
    start: int
    end: int
    passage_metadata: Mapping[str, Any] = field(default_factory=dict)
    explanation: Mapping[str, float] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> Origin:
        """Where the passage stands: source, page, headings, and a link that opens there."""
        return origin_of(self.document.metadata, self.passage_metadata)


@dataclass(frozen=True, slots=True)
class SearchResult(Sequence[Hit]):
    """The hits of one query, best first. Behaves as a list of :class:`Hit`.

    Args:
        query: What was asked.
        hits: Best first; documents are read from the corpus when they are first looked at.
        costs: An equal share of what the batch that this query was part of has spent, so that the results of a batch
            sum to the whole; of counts that cannot be divided, the first results have one more.
        answer: What a stage such as ``generate`` wrote from them; None where the pipeline has none.
        remarks: What is odd about the question: a filter's value that no document has, more hits asked for than a
            step gives.
    """

    query: Query
    hits: Sequence[Hit]
    costs: Costs
    answer: Answer | None = None
    remarks: tuple[Remark, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return tuple(self.hits[index]) if isinstance(index, slice) else self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)
