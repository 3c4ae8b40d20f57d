"""What the tools of MCP give: agents see these as the tools' schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field

from rag.metadata import strict_json
from rag.serving.schemas import DocumentOut, RemarkOut, answer_json, result_json
from rag.types import Answer, SearchResult

__all__ = ["FetchedDocument", "SearchFound", "WrittenAnswer"]


class FoundDocument(BaseModel):
    """A document that was found."""

    id: str = Field(description="What fetch takes.")
    title: str
    text: str = Field(description="The passage that matched.")
    url: str = Field(description="Where the document is, to cite it.")
    score: float
    start: int = Field(description="Offset of the passage in the document, in characters.")
    end: int
    metadata: dict[str, Any] = {}


class SearchFound(BaseModel):
    """What a search found, best first."""

    results: list[FoundDocument]
    generation: str = Field(description="Version of the index that answered.")
    remarks: list[RemarkOut] = Field(default=[], description="What is odd about the question or the filter.")

    @classmethod
    def of(cls, result: SearchResult, generation: str) -> SearchFound:
        shown = strict_json(result_json(result, explain=False))
        hits = [
            FoundDocument(
                id=hit["id"],
                title=hit["title"] or hit["id"],
                text=hit["passage"],
                url=_url(hit["id"], hit["metadata"]),
                score=hit["score"],
                start=hit["start"],
                end=hit["end"],
                metadata=hit["metadata"],
            )
            for hit in shown["hits"]
        ]
        remarks = [RemarkOut.model_validate(remark) for remark in shown["remarks"]]
        return cls(results=hits, generation=generation, remarks=remarks)


class FetchedDocument(BaseModel):
    """A whole document."""

    id: str
    title: str
    text: str
    url: str
    metadata: dict[str, Any] = {}
    generation: str

    @classmethod
    def of(cls, document: DocumentOut) -> FetchedDocument:
        title = document.metadata.get("title")
        return cls(
            id=document.id,
            title=title if isinstance(title, str) else document.id,
            text=document.text,
            url=_url(document.id, document.metadata),
            metadata=document.metadata,
            generation=document.generation,
        )


class CitedPassage(BaseModel):
    """A passage that an answer cites."""

    rank: int = Field(description="Its number in the answer, as in [1].")
    id: str
    url: str


class WrittenAnswer(BaseModel):
    """An answer from the documents."""

    text: str
    citations: list[CitedPassage]
    abstained: bool = Field(description="The documents do not hold the answer.")
    problem: str = ""
    entropy: float | None = Field(default=None, description="How unsure the model is of it: 0 is sure.")
    generation: str

    @classmethod
    def of(cls, answer: Answer, result: SearchResult, generation: str) -> WrittenAnswer:
        written = answer_json(answer, generation)
        urls = {hit.document.id: _url(hit.document.id, hit.document.metadata) for hit in result}
        for citation in written["citations"]:
            citation["url"] = urls.get(citation["id"], _url(citation["id"], {}))
        return cls.model_validate(written)


def _url(id: str, metadata: Mapping[str, Any]) -> str:
    """Address of a document: from its metadata, or our own resource."""
    url = strict_json(metadata).get("url")
    return url if isinstance(url, str) and url else f"document://{quote(id, safe='/')}"
