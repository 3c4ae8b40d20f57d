"""A pipeline inside an application of one's own: ``uvicorn examples.application:app``, ``RAG_INDEX`` is the folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from rag.serving import create_app

search = create_app(os.environ.get("RAG_INDEX", "index"), follow=True, read_only=True)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    search.state.close()  # a mounted application is not told that yours ends


app = FastAPI(lifespan=lifespan)
app.mount("/documents", search)


@app.get("/hello")
def hello() -> dict[str, str]:
    return {"documents": "/documents/docs"}
