"""The page on which a person judges the documents that runs returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.errors import MissingExtraError
from rag.metadata import strict_json
from rag.serving.judgments import Judgments
from rag.serving.keys import Keys
from rag.serving.limits import Limits
from rag.types import Document

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["JudgingTask", "create_judging_app"]


@dataclass(frozen=True)
class JudgingTask:
    """A query and the documents to judge for it.

    Args:
        id: The query's.
        text: Text of the query.
        documents: Documents, in the order shown.
    """

    id: str
    text: str
    documents: Sequence[Document]


def create_judging_app(tasks: Sequence[JudgingTask], judgments: Judgments, *, about: str = "") -> FastAPI:
    """The page of :func:`create_app`, with queries to judge instead of a search. It answers to this machine alone.

    Args:
        tasks: Queries and documents to judge.
        judgments: Keeps the marks.
        about: A line at the foot of the page.

    Raises:
        MissingExtraError: The extra ``serve`` is not installed.
    """
    try:
        from fastapi import APIRouter, FastAPI
    except ImportError:
        raise MissingExtraError("judging in a browser", package="fastapi", extra="serve") from None
    from rag.serving.guard import LOCAL, Guard
    from rag.serving.handlers import add_handlers
    from rag.serving.pages import add_judgments, add_pages

    app = FastAPI(title="rag-pipelines judging", docs_url=None, redoc_url=None, openapi_url=None)
    router = APIRouter()

    @router.get("/tasks", response_model=None)
    def all_tasks() -> dict[str, Any]:
        return {"tasks": [_shown(task, judgments.of(task.id)) for task in tasks]}

    add_pages(router, {"mode": "judge", "judging": True, "answers": False, "about": about})
    add_judgments(router, judgments, Keys([]))
    app.include_router(router)
    add_handlers(app)
    app.add_middleware(Guard, limits=Limits(), count=lambda *request: None, hosts=LOCAL)
    return app


def _shown(task: JudgingTask, grades: dict[str, int]) -> dict[str, Any]:
    documents = []
    for document in task.documents:
        title = document.metadata.get("title")
        documents.append(
            {
                "id": document.id,
                "title": title if isinstance(title, str) else None,
                "text": document.text,
                "metadata": strict_json(document.metadata),
                "grade": grades.get(document.id),
            }
        )
    return {"id": task.id, "text": task.text, "documents": documents}
