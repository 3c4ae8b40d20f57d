"""Errors of routes as problems."""

from __future__ import annotations

import re
import typing
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException as FastAPIHTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rag.errors import RagError, did_you_mean
from rag.serving.problems import MEDIA_TYPE, Problem, problem_of

__all__ = ["add_handlers"]

_MISTAKES = 10
"""Mistakes of one body that are listed."""
_WORDS = {
    " after validation": "",
    "a valid dictionary or object to extract fields from": "an object",
    "a valid dictionary": "an object",
    "a valid ": "a ",
}
"""Pydantic's words, and ours."""
_CODES = {400: "malformed", 404: "no-such-path", 405: "method", 413: "too-large", 415: "media-type"}


def add_handlers(app: FastAPI) -> None:
    """Have an application answer every error with a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RagError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(FastAPIHTTPException, _http)


def _problem(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    return Response(problem.body(), problem.status, problem.headers, MEDIA_TYPE)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Problem):  # raised while the body was read
        return _problem(request, error.__cause__)
    headers = dict(error.headers or {})
    code = _CODES.get(error.status_code, "refused")
    return _problem(request, Problem(error.status_code, code, str(error.detail), headers=headers))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    mistakes: list[dict[str, Any]] = list(error.errors())
    if any(mistake["type"] == "json_invalid" for mistake in mistakes):
        why = mistakes[0].get("ctx", {}).get("error", "")
        return _problem(request, Problem(400, "malformed", f"the body is not JSON: {why}"))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json") and any(m["loc"] == ("body",) for m in mistakes):
        return _problem(request, Problem(415, "media-type", "the body must be JSON: Content-Type: application/json"))
    field = getattr(request.scope.get("route"), "body_field", None)
    body = field.field_info.annotation if field is not None else None
    listed = [{"pointer": _pointer(m["loc"]), "detail": _detail(m, body)} for m in mistakes[:_MISTAKES]]
    said = "; ".join(f"{entry['pointer'] or 'body'}: {entry['detail']}" for entry in listed[:3])
    return _problem(request, Problem(422, "invalid", said, errors=listed))


def _detail(mistake: dict[str, Any], body: Any) -> str:
    """A mistake in the words of this package: what a value must be, and what it was."""
    *outer, name = mistake["loc"] or ("",)
    if mistake["type"] == "extra_forbidden":
        return f"no such field{did_you_mean(str(name)[:100], _fields(body, outer[1:]))}"
    if mistake["type"] == "missing":
        return "is missing"
    said = re.sub(r"^\w+ should ", "must ", str(mistake["msg"]).removeprefix("Value error, "))
    for words, ours in _WORDS.items():
        said = said.replace(words, ours)
    given = mistake.get("input")
    is_short = given == [] or not isinstance(given, dict | list | bytes)
    shown = f", got {given!r:.80}" if is_short and mistake["type"] != "value_error" else ""
    return said + shown


def _fields(body: Any, location: Sequence[Any]) -> list[str]:
    """Names of the fields of the model at a location inside of a body."""
    models = [body]
    for step in location:
        models = [model for model in models if isinstance(model, type) and issubclass(model, BaseModel)]
        within = [model.model_fields[step].annotation for model in models if step in model.model_fields]
        models = [part for annotation in within for part in _parts(annotation)] or models  # lists have no names
    return sorted({name for model in models if hasattr(model, "model_fields") for name in model.model_fields})


def _parts(annotation: Any) -> list[Any]:
    """The types that an annotation is made of."""
    inner = typing.get_args(annotation)
    return [part for argument in inner for part in _parts(argument)] if inner else [annotation]


def _pointer(location: tuple[Any, ...]) -> str:
    """Where a mistake is, as a JSON pointer into the body, or the name of a parameter."""
    parts = location[1:] if location and location[0] in ("body", "path", "query") else location
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')[:100]}" for part in parts)
