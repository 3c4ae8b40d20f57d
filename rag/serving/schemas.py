"""What comes in and goes out over HTTP and MCP, as pydantic models: the OpenAPI and the tools' schemas are made of
them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rag.learning.remembered import RememberedValue
from rag.learning.training import Training
from rag.metadata import strict_json
from rag.serving.encoding import is_text
from rag.serving.judgments import Judgments
from rag.types import Answer, Document, IndexedDocument, Query, SearchResult

__all__ = [
    "AnswerOut",
    "AskedQuery",
    "Body",
    "ChangesOut",
    "DeleteRequest",
    "DocumentIn",
    "DocumentOut",
    "FieldOut",
    "FieldsOut",
    "Health",
    "HitOut",
    "JudgedIn",
    "ProblemOut",
    "PutRequest",
    "Ready",
    "RemarkOut",
    "RememberRequest",
    "Remembered",
    "ResultOut",
    "SearchRequest",
    "SearchResponse",
    "TurnIn",
    "answer_json",
    "result_json",
]

_FILTER: dict[str, Any] = {"year": {"gte": 1970}, "lang": "en"}
TopK = Annotated[int, Field(ge=1, description="At most this many documents; all that the pipeline leaves by default.")]
Filter = Annotated[
    dict[str, Any],
    Field(description="Only documents whose metadata pass. GET /fields says what there is.", examples=[_FILTER]),
]


class _In(BaseModel):
    """What a client sends: anything unknown is refused."""

    model_config = ConfigDict(extra="forbid")


class Body(_In):
    """A whole body. JSON can write half of a character (a lone surrogate), which no text holds and no answer could say
    again: it is refused wherever it stands.
    """

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, data: Any) -> Any:
        if not isinstance(data, bytes) and not is_text(data):  # bytes were not sent as JSON: that is told by their kind
            raise ValueError("it holds a lone surrogate, which is not text")
        return data


class TurnIn(_In):
    """A turn of a conversation."""

    speaker: str = Field(description="Who: `user` is the one who wants something.", examples=["user"])
    text: str = Field(examples=["And how long is the warranty?"])


class AskedQuery(Body):
    """A question, or a conversation that asks for something."""

    query: str | None = Field(
        default=None, description="The question.", examples=["how long do I have to send it back?"]
    )
    conversation: list[TurnIn] | None = Field(default=None, description="Turns, oldest first, instead of a question.")
    top_k: TopK | None = None
    filter: Filter | None = None


class SearchRequest(AskedQuery):
    """One question, one conversation, or several questions that are answered together."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"query": "how long do I have to send it back?", "top_k": 5},
                {"query": "laws on returns", "filter": _FILTER, "explain": True},
                {"queries": ["returns", {"query": "warranty", "top_k": 3}], "top_k": 10},
            ]
        },
    )
    queries: list[str | AskedQuery] | None = Field(
        default=None,
        description="Several at once; `top_k` and `filter` hold for those that have none of their own.",
    )
    explain: bool = Field(default=False, description="Give each hit's score by stage.")


class RemarkOut(BaseModel):
    """A loss or an oddity, counted."""

    code: str
    message: str
    count: int = 1
    total: int | None = None
    examples: list[str] = []


class HitOut(BaseModel):
    """A document that was found."""

    rank: int
    id: str
    title: str | None = Field(default=None, description="The document's, where it has one.")
    score: float
    passage: str = Field(description="The text that matched.")
    start: int = Field(description="Offset of the passage in the document's text, in characters.")
    end: int
    metadata: dict[str, Any] = {}
    passage_metadata: dict[str, Any] = {}
    origin: dict[str, Any] = Field(default={}, description="File, page, headings and link of the passage, where known.")
    scores: dict[str, float] | None = Field(default=None, description="By stage, with `explain`.")
    keys: dict[str, str] | None = Field(default=None, description="What matched where documents are found by keys.")


class ResultOut(BaseModel):
    """The hits of one query, best first."""

    query: str
    hits: list[HitOut]
    remarks: list[RemarkOut] = []
    costs: dict[str, float] = {}


class SearchResponse(BaseModel):
    """A result for each query, in their order, all from one generation of the index."""

    generation: str
    results: list[ResultOut]


class CitationOut(BaseModel):
    """A passage that an answer points to."""

    rank: int
    id: str


class AnswerOut(BaseModel):
    """What the language model wrote."""

    text: str
    citations: list[CitationOut] = []
    abstained: bool = Field(default=False, description="It says that the passages do not hold the answer.")
    problem: str = Field(default="", description="Why there is no answer.")
    n_dropped: int = Field(default=0, description="Citations of passages that it was not given.")
    money: float | None = None
    entropy: float | None = Field(
        default=None, description="How unsure the model is of it (semantic entropy, nats), where that is measured."
    )
    generation: str = ""


class PassageOut(BaseModel):
    """A piece of a document that is indexed."""

    text: str
    start: int
    end: int
    metadata: dict[str, Any] = {}


class DocumentOut(BaseModel):
    """A document as it is indexed."""

    id: str
    text: str
    metadata: dict[str, Any] = {}
    passages: list[PassageOut] = []
    generation: str = ""

    @classmethod
    def of(cls, document: IndexedDocument, generation: str) -> DocumentOut:
        passages = [
            PassageOut(text=passage.text, start=passage.start, end=passage.end, metadata=strict_json(passage.metadata))
            for passage in document.passages
        ]
        return cls(
            id=document.id,
            text=document.text,
            metadata=strict_json(document.metadata),
            passages=passages,
            generation=generation,
        )


class DocumentIn(_In):
    """A document to add, or to put in the place of the one with its id."""

    id: str = Field(min_length=1, examples=["returns"])
    text: str = Field(examples=["You can send anything back within 30 days of delivery."])
    title: str | None = Field(default=None, description="Put before the text, and into the metadata.")
    metadata: dict[str, Any] = Field(default={}, examples=[{"year": 2026, "lang": "en"}])

    def document(self) -> Document:
        """The same as the readers make it of a row."""
        if not self.title:
            return Document(self.id, self.text, self.metadata)
        text = f"{self.title}\n{self.text}" if self.text else self.title
        return Document(self.id, text, {"title": self.title, **self.metadata})


class PutRequest(Body):
    """Documents to add or replace. What did not change is skipped."""

    documents: list[DocumentIn] = Field(min_length=1)


class DeleteRequest(Body):
    """Documents to remove: by id, or all that pass a filter."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ids": ["returns"]}, {"filter": {"year": {"lt": 1970}}}]}
    )
    ids: list[str] | None = None
    filter: Filter | None = None
    dry_run: bool = Field(default=False, description="Only count what would be done.")


class JudgedIn(_In):
    """A document that was relevant to a question, or was clicked."""

    query: str = Field(
        min_length=1, max_length=10_000, description="The question's text; the same text is one question."
    )
    document: str = Field(min_length=1, description="The document's id.")
    grade: int = Field(default=1, ge=1, le=10_000, description="How relevant, as in the training judgments.")


class ValueIn(_In):
    """What a question was answered, labeled or led to."""

    query: str = Field(
        min_length=1, max_length=10_000, description="The question's text; the same text is one question."
    )
    value: Any = Field(description="An answer, a label, an action; null forgets the question.")
    source: str = Field(default="", max_length=1_000, description="Where it comes from.")
    metadata: dict[str, Any] = Field(default={}, description="Other metadata, to filter by.")

    def remembered(self) -> RememberedValue:
        """The same for :meth:`rag.Pipeline.remember`."""
        return RememberedValue(self.query, self.value, self.source, self.metadata)


class RememberRequest(Body):
    """Judgments or clicks for the memory of judged questions, or values by their questions; at least one of either."""

    judgments: list[JudgedIn] = []
    values: list[ValueIn] = []
    weight: float = Field(default=1.0, gt=0, le=1, description="Weight against training judgments: less for clicks.")

    def training(self) -> Training:
        """The questions, with ids made of their texts, and their judgments."""
        queries = {judged.query: Query(Judgments.id_of(judged.query), judged.query) for judged in self.judgments}
        qrels: dict[str, dict[str, int]] = {query.id: {} for query in queries.values()}
        for judged in self.judgments:
            qrels[queries[judged.query].id][judged.document] = judged.grade
        return Training(list(queries.values()), qrels)


class Remembered(BaseModel):
    """What was added to the memory. It is on the disk."""

    changed: int = Field(description="Judgments that are new, or have another grade or weight.")
    values: int = Field(default=0, description="Questions whose value is new, another one, or forgotten.")
    generation: str


class ChangesOut(BaseModel):
    """What an update did. It is on the disk."""

    added: int
    updated: int
    skipped: int
    deleted: int
    unknown: list[str] = Field(default=[], description="Ids to delete that were not there.")
    compacted: bool = False
    stale: str = ""
    remarks: list[RemarkOut] = []
    documents: int = Field(description="How many there are now.")
    generation: str


class FieldOut(BaseModel):
    """A field of the documents' metadata that filters can name."""

    name: str
    kinds: list[str] = Field(description="`numbers`, `texts`, `truth values`, `dates`.")
    documents: int = Field(description="How many have it.")
    values: list[Any] | None = Field(
        default=None, description="All values, the most frequent first, where they are few."
    )
    minimum: Any = Field(default=None, description="Of numbers or dates.")
    maximum: Any = None


class FieldsOut(BaseModel):
    """What can be filtered on."""

    documents: int
    fields: list[FieldOut]
    tests: list[str] = Field(description='What a field can be tested for, as in `{"year": {"gte": 1970}}`.')
    generation: str


class Health(BaseModel):
    """The process is alive."""

    status: str = "alive"


class Ready(BaseModel):
    """It answers queries."""

    status: str
    generation: str
    written: str
    fingerprint: str = Field(description="Identity of the pipeline: of its components and arguments.")
    documents: int
    answers: bool = Field(description="Whether POST /answer is there.")
    writable: bool = Field(description="Whether documents can be changed.")
    refused: str = Field(default="", description="Whether a newer generation was refused.")


class ProblemOut(BaseModel):
    """A problem of RFC 9457."""

    type: str = Field(examples=["urn:rag:problem:invalid"])
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


def result_json(result: SearchResult, *, explain: bool) -> dict[str, Any]:
    """A result as JSON values, as :class:`ResultOut` says. Numbers may be NaN or infinite in metadata."""
    hits = []
    for rank, hit in enumerate(result, 1):
        title = hit.document.metadata.get("title")
        shown: dict[str, Any] = {
            "rank": rank,
            "id": hit.document.id,
            "title": title if isinstance(title, str) else None,
            "score": hit.score,
            "passage": hit.passage,
            "start": hit.start,
            "end": hit.end,
            "metadata": dict(hit.document.metadata),
            "passage_metadata": dict(hit.passage_metadata),
            "origin": hit.origin.as_dict(),
        }
        hits.append(shown | ({"scores": dict(hit.explanation), "keys": dict(hit.keys)} if explain else {}))
    remarks = [remark.as_dict() for remark in result.remarks]
    return {"query": result.query.text, "hits": hits, "remarks": remarks, "costs": result.costs.as_dict()}


def answer_json(answer: Answer, generation: str) -> dict[str, Any]:
    """An answer as JSON values, as :class:`AnswerOut` says."""
    names = ("text", "abstained", "problem", "n_dropped", "money", "entropy")
    fields = {name: getattr(answer, name) for name in names}
    citations = [{"rank": citation.rank, "id": citation.document} for citation in answer.citations]
    return {**fields, "citations": citations, "generation": generation}
