"""The page at ``/`` and the documentation at ``/docs``: files of this package, nothing from the network."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from rag.serving.access import requires
from rag.serving.judgments import Judgments
from rag.serving.keys import Keys
from rag.serving.problems import Problem
from rag.serving.schemas import Body

__all__ = ["add_judgments", "add_pages"]

_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class JudgmentIn(Body):
    """A mark of a person."""

    query: str | None = Field(default=None, min_length=1, max_length=10_000, description="What was asked.")
    query_id: str | None = Field(default=None, min_length=1, description="Its id, where it has one.")
    document: str = Field(min_length=1, description="The document's id.")
    grade: Annotated[int, Field(ge=0, le=2)] | None = Field(
        description="0 for not relevant, 1 or 2 for relevant; null takes a mark back."
    )


class JudgedQuery(Body):
    """A query whose marks are wanted."""

    query: str = Field(min_length=1, max_length=10_000)


class Grades(BaseModel):
    """Marks by document."""

    grades: dict[str, int]


def add_pages(router: APIRouter, about: dict[str, Any]) -> None:
    """Add the page and the documentation.

    Args:
        router: Takes the routes.
        about: Settings for the page; see ``page.js``.
    """
    for path, name in (("/", "page.html"), ("/docs", "docs.html")):
        router.add_api_route(path, _file(name), methods=["GET"], include_in_schema=False)
    for name in ("page.css", "page.js", "answer.js", "words.js", "api.js", "filters.js", "docs.js"):
        router.add_api_route(f"/static/{name}", _file(name), methods=["GET"], include_in_schema=False)
    router.add_api_route("/page.json", lambda: about, methods=["GET"], include_in_schema=False, response_model=None)


def add_judgments(
    router: APIRouter, judgments: Judgments, keys: Keys, check_document: Callable[[str], object] = lambda document: None
) -> None:
    """Add the routes that keep and give marks.

    Args:
        router: Takes them.
        judgments: Keeps the marks.
        keys: Who may give and see them.
        check_document: Raises a problem where no document has an id: a mark on it would count as a miss.
    """
    writes, reads = requires(keys, "write"), requires(keys, "read")

    @router.post("/judgments", response_model=Grades, dependencies=writes, tags=["judgments"])
    def mark(body: JudgmentIn) -> Grades:
        """Keep a mark. It is on the disk when this answers."""
        if (body.query is None) == (body.query_id is None):
            raise Problem(422, "invalid", "give the query's text or its id, one of them")
        check_document(body.document)
        text = body.query or ""
        query = body.query_id or judgments.id_of(text)
        judgments.mark(query, body.document, body.grade, text=text)
        return Grades(grades=judgments.of(query))

    @router.post("/judgments/of", response_model=Grades, dependencies=reads, tags=["judgments"])
    def marks(body: JudgedQuery) -> Grades:
        """The marks of a query."""
        return Grades(grades=judgments.of(judgments.id_of(body.query)))


def _file(name: str) -> Any:
    body = (files("rag.serving") / "static" / name).read_bytes()
    headers = {"Content-Security-Policy": _POLICY}

    async def send() -> Response:
        return Response(body, headers=headers, media_type=_TYPES[name.rsplit(".", 1)[1]])

    return send
