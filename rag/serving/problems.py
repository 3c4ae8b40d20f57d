"""Errors as problem details of RFC 9457: our message, never a traceback, a path or a secret."""

from __future__ import annotations

import errno
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from rag.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    MissingExtraError,
    ModelError,
    NotFittedError,
    RagError,
    first_line,
)

__all__ = ["MEDIA_TYPE", "Problem", "problem_of"]

logger = logging.getLogger("rag.serving")

MEDIA_TYPE = "application/problem+json"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_LONGEST = 500
"""Characters of a message: what a client sent is in it, and need not come back whole."""


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """A request that is refused or cannot be answered.

    Args:
        status: The status code.
        code: A stable name of its kind for programs: the last part of the problem's ``type``.
        detail: The fault of this request, in a sentence.
        headers: Headers of the response, such as ``Retry-After``.
        errors: Every mistake, each with its ``detail`` and the ``pointer`` to it (RFC 6901).
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        detail = detail.encode("utf-8", "backslashreplace").decode()  # what was sent is in it, and may be no text
        self.detail = detail if len(detail) <= _LONGEST else detail[: _LONGEST - 3] + "..."
        self.headers = dict(headers or {})
        self.errors = list(errors)

    def as_dict(self) -> dict[str, Any]:
        """The problem as JSON values."""
        fields = {
            "type": f"urn:rag:problem:{self.code}",
            "title": _PHRASES.get(self.status, "Refused"),
            "status": self.status,
            "detail": self.detail,
        }
        return fields | ({"errors": self.errors} if self.errors else {})

    def body(self) -> bytes:
        """The problem as JSON; invalid text in it, such as a lone surrogate, is escaped."""
        return json.dumps(self.as_dict()).encode("ascii")


def problem_of(error: BaseException) -> Problem:
    """What a client is told of an error. Messages about the request go out as they are; those about the server, its
    files and models go to the log, under a number that the client is told.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, ConfigError | DataError) and type(error) in (ConfigError, DataError):
        return Problem(422, "invalid", str(error))
    if isinstance(error, RecursionError):
        return Problem(422, "invalid", "what was sent is nested too deep")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return _hidden(error, 507, "disk-full", "there is no space left to write to; nothing was changed")
    if isinstance(error, ArtifactError):
        if "No space left" in str(error):
            return _hidden(error, 507, "disk-full", "there is no space left to write to; nothing was changed")
        return _hidden(error, 503, "index", "the index cannot be used or written")
    if isinstance(error, ModelError | MissingExtraError):
        return _hidden(error, 503, "model", "a model that this needs cannot be used")
    if isinstance(error, NotFittedError):
        return _hidden(error, 503, "not-ready", "the pipeline is not ready")
    if isinstance(error, RagError):
        return _hidden(error, 503, "unavailable", "this cannot be answered now")
    return _hidden(error, 503, "unavailable", "this cannot be answered: the server met an error of its own")


def _hidden(error: BaseException, status: int, code: str, detail: str) -> Problem:
    incident = uuid.uuid4().hex[:8]
    if isinstance(error, RagError | OSError):
        logger.error("incident %s: %s", incident, first_line(error))
    else:
        logger.error("incident %s: %s", incident, first_line(error), exc_info=error)
    return Problem(status, code, f"{detail} (incident {incident} in the server's log)")
