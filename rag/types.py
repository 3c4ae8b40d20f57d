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
from rag.display import Backend, Marked, Part, Shown, Table, brief, clipped, count, frame
from rag.origin import Origin, origin_of
from rag.remarks import Remark

__all__ = [
    "Answer",
    "Document",
    "Hit",
    "IndexedDocument",
    "IndexedPassage",
    "Query",
    "SearchResult",
    "SearchResults",
]

_SHOWN = 4
"""Number of results in the lines of one."""
_ROWS = 10
"""Number of results in its table."""


@dataclass(frozen=True, slots=True, repr=False)
class Document(Shown):
    """A text that can be found.

    Args:
        id: Unique in its corpus.
        text: The whole text.
        metadata: Anything JSON can hold. ``title`` is shown in reports.
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def _summary(self) -> list[str]:
        return [f"{type(self).__name__}({brief(self.id)}, {brief(self.text)}{_metadata(self.metadata)})"]


@dataclass(frozen=True, slots=True, repr=False)
class IndexedPassage(Shown):
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

    def _summary(self) -> list[str]:
        return [f"IndexedPassage({brief(self.text)}, {self.start}, {self.end}{_metadata(self.metadata)})"]


@dataclass(frozen=True, slots=True, repr=False)
class IndexedDocument(Document):
    """A document as a pipeline holds it.

    Args:
        passages: What it was cut into.
    """

    passages: tuple[IndexedPassage, ...] = ()

    def _summary(self) -> list[str]:
        return [f"{Document._summary(self)[0]} in {count(len(self.passages), 'passage')}"]


@dataclass(frozen=True, slots=True, repr=False)
class Query(Shown):
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

    def _summary(self) -> list[str]:
        turns = f", {count(len(self.turns), 'turn')}" if self.turns else ""
        condition = "" if self.filter is None else f", filter={brief(self.filter)}"
        return [f"Query({brief(self.id)}, {brief(self.text)}{turns}{condition}{_metadata(self.metadata)})"]


@dataclass(frozen=True, slots=True, repr=False)
class Hit(Shown):
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

    @property
    def flat_metadata(self) -> dict[str, Any]:
        """Metadata of the document and the passage, ``document_id``, ``score``, ``start`` and ``end`` of the passage,
        and of documents read from files ``source`` (address or path), ``page`` (from 1) and ``headings``: what other
        frameworks keep in the metadata of their documents.
        """
        origin = self.origin
        metadata: dict[str, Any] = dict(self.document.metadata) | dict(self.passage_metadata)
        metadata |= {"source": origin.source} if origin.source else {}
        metadata |= {"page": origin.page} if origin.page is not None else {}
        metadata |= {"headings": list(origin.headings)} if origin.headings else {}
        return metadata | {"document_id": self.document.id, "score": self.score, "start": self.start, "end": self.end}

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values: ``id``, ``score``, ``passage`` with its offsets, metadata and origin; ``scores`` and
        ``keys`` by stage where they were asked for.
        """
        return {
            "id": self.document.id,
            "score": self.score,
            "passage": self.passage,
            "start": self.start,
            "end": self.end,
            "metadata": dict(self.document.metadata),
            "passage_metadata": dict(self.passage_metadata),
            "origin": self.origin.as_dict(),
            "scores": dict(self.explanation),
            "keys": dict(self.keys),
        }

    def _summary(self) -> list[str]:
        return [f"Hit({brief(self.document.id)}, {self.score:.4f}, {brief(self.passage)})"]


@dataclass(frozen=True, slots=True, repr=False)
class SearchResult(Shown, Sequence[Hit]):
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values: the query, the answer if there is one, the hits with their rank, the costs and
        remarks.
        """
        hits = [{"rank": rank, **hit.to_dict()} for rank, hit in enumerate(self, 1)]
        remarks = [remark.as_dict() for remark in self.remarks]
        answer = {} if self.answer is None else {"answer": self.answer.to_dict()}
        if answer:
            links = {hit.document.id: hit.origin.link for hit in self if hit.origin.link}
            for citation in answer["answer"]["citations"]:
                citation |= {"link": links[citation["id"]]} if citation["id"] in links else {}
        return {"query": self.query.text, **answer, "hits": hits, "costs": self.costs.as_dict(), "remarks": remarks}

    def to_dataframe(self, backend: Backend = "pandas") -> Any:
        """A data frame with a row for each hit: rank, id, score, passage, offsets, and the score of every stage if the
        search was explained.

        Args:
            backend: ``pandas``, ``polars`` or ``pyarrow``.
        """
        import pyarrow as pa

        stages = list(dict.fromkeys(stage for hit in self for stage in hit.explanation))
        columns: dict[str, list[Any]] = {
            "rank": list(range(1, len(self) + 1)),
            "id": [hit.document.id for hit in self],
            "score": [hit.score for hit in self],
            "passage": [hit.passage for hit in self],
            "start": [hit.start for hit in self],
            "end": [hit.end for hit in self],
        }
        columns |= {f"score.{stage}": [hit.explanation.get(stage) for hit in self] for stage in stages}
        return frame(pa.table(columns), backend)

    def _summary(self) -> list[str]:
        title = f"SearchResult: {count(len(self), 'document')} for {brief(self.query.text)}"
        answer = [] if self.answer is None else [f"answer: {self.answer.text or self.answer.problem}"]
        shown = self.hits[: _SHOWN - len(answer)]
        lines = [f"{hit.score:.4f} {clipped(hit.document.id, 30)}: {clipped(hit.passage)}" for hit in shown]
        more = [f"… {len(self) - len(shown):,} more"] if len(self) > len(shown) else []
        return [title, *answer, *lines, *more]

    def _details(self) -> list[Part]:
        shown = self.hits[:_ROWS]
        stages = list(dict.fromkeys(stage for hit in shown for stage in hit.explanation))
        rows = [
            [
                rank,
                hit.document.id,
                hit.score,
                Marked(hit.passage, self.query.text),
                str(hit.origin),
                *(hit.explanation.get(stage) for stage in stages),
            ]
            for rank, hit in enumerate(shown, 1)
        ]
        columns = ["rank", "document", "score", "passage", "origin", *stages]
        if not any(row[4] for row in rows):
            columns, rows = [*columns[:4], *columns[5:]], [[*row[:4], *row[5:]] for row in rows]
        answer = [] if self.answer is None else [Table(["answer"], [[self.answer.text or self.answer.problem]])]
        return [*answer, Table(columns, rows, more=len(self) - len(shown))]


class SearchResults(Shown, list[SearchResult]):
    """The results of several queries, in their order: a list that prints its first results only."""

    def to_dataframe(self, backend: Backend = "pandas") -> Any:
        """The hits of all queries below each other, with the columns ``query_id`` and ``query`` before those of
        :meth:`SearchResult.to_dataframe`.
        """
        import pyarrow as pa

        tables = []
        for result in self:
            table = result.to_dataframe("pyarrow")
            owner = pa.table({"query_id": [result.query.id] * len(result), "query": [result.query.text] * len(result)})
            for position, name in enumerate(table.column_names):
                owner = owner.append_column(name, table.column(position))
            tables.append(owner)
        return frame(pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({}), backend)

    def to_dict(self) -> list[dict[str, Any]]:
        """:meth:`SearchResult.to_dict` of each."""
        return [result.to_dict() for result in self]

    def _summary(self) -> list[str]:
        lines = []
        for result in self[:_SHOWN]:
            best = f"{result[0].score:.4f} {clipped(result[0].document.id, 30)}" if len(result) else "nothing"
            lines.append(f"{brief(result.query.text)}: {best}")
        more = [f"… {len(self) - len(lines):,} more"] if len(self) > len(lines) else []
        return [f"SearchResults: {count(len(self), 'query', 'queries')}", *lines, *more]

    def _details(self) -> list[Part]:
        rows = [
            [
                clipped(result.query.text, 120),
                len(result),
                result[0].document.id if len(result) else None,
                result[0].score if len(result) else None,
                Marked(result[0].passage, result.query.text, 160) if len(result) else None,
            ]
            for result in self[:_ROWS]
        ]
        return [Table(["query", "documents", "best", "score", "passage"], rows, more=len(self) - len(rows))]


def _metadata(metadata: Mapping[str, Any]) -> str:
    """The names in metadata, as a part of a line."""
    return f", metadata: {clipped(', '.join(metadata), 60)}" if metadata else ""
