"""An answer as server-sent events, while it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from rag.pipeline import Snapshot
from rag.serving.batching import Searched
from rag.serving.encoding import json_bytes
from rag.serving.problems import Problem, problem_of
from rag.serving.schemas import answer_json, result_json
from rag.serving.service import Service

__all__ = ["answer_events"]

_SIGN_OF_LIFE = 15.0
"""Seconds without an event after which a comment is sent: proxies close streams that are silent."""


async def answer_events(service: Service, snapshot: Snapshot, searched: Searched) -> AsyncIterator[bytes]:
    """Events: ``found`` with the result, ``delta`` with each piece of the answer where the model hands them out, and at
    last ``answer``, or ``problem``. Pieces that come faster than they are sent go out together. Who stops reading stops
    the model.
    """
    yield _event("found", {"generation": snapshot.generation, "result": result_json(searched.result, explain=False)})
    pieces: list[str] = []
    news = asyncio.Event()

    def listen(piece: str) -> None:
        pieces.append(piece)
        news.set()

    writing = asyncio.ensure_future(service.answer(snapshot, searched, listen))
    writing.add_done_callback(lambda _: news.set())
    try:
        while pieces or not writing.done():
            try:
                await asyncio.wait_for(news.wait(), _SIGN_OF_LIFE)
            except TimeoutError:
                yield b": the answer is being written\n\n"
            if not writing.done():
                news.clear()
            if pieces:
                text = "".join(pieces)
                pieces.clear()
                yield _event("delta", {"text": text})
        answer = writing.result()
        if answer.problem:
            raise Problem(503, "no-answer", answer.problem)
        yield _event("answer", answer_json(answer, snapshot.generation))
    except Exception as error:
        yield _event("problem", problem_of(error).as_dict())
    finally:
        writing.cancel()


def _event(name: str, value: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json_bytes(value))
