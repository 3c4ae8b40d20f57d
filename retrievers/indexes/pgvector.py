"""Vectors in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from rag.component import Runtime, Secret
from rag.retrievers.indexes.postgres.connection import Server, check_arguments
from rag.retrievers.indexes.postgres.reading import Reader
from rag.retrievers.indexes.postgres.records import Generation, Name
from rag.retrievers.indexes.postgres.rows import Storage
from rag.retrievers.indexes.postgres.writing import PostgresWriter
from rag.retrievers.indexes.remote import RemoteIndex
from rag.retrievers.indexes.remote.rows import Held

__all__ = ["PgVector"]


class PgVector(RemoteIndex):
    """Vectors and fields in PostgreSQL with pgvector: the same answers from a database that others run, back up and
    share. Filters are conditions of its statements. Where few rows pass, all of them are compared; where many do, a
    graph (HNSW) is followed until the list is full. 8 d + 16 m bytes a vector there, with the graph; 24 bytes here.

    Every fit writes a table of its own (``papers_1``, ``papers_2``), every update a generation of it in one
    transaction, or a table where many rows are new; who has a generation open keeps it. The folder says which
    generation is its own. Needs PostgreSQL 15 or newer with pgvector 0.8 or newer, and
    ``pip install 'rag-pipelines[pgvector]'``.

    Args:
        url: The database, such as ``postgresql://rag@db.example.org/search?sslmode=verify-full``. Passwords come from
            the environment only: write ``${DATABASE_URL}``, or leave them to ``PGPASSWORD`` and ``~/.pgpass``.
        table: Name of its tables, with a schema before a dot if it is not the default one.
        storage: ``vector`` keeps float32, up to 2,000 dimensions; ``halfvec`` float16, half the size, up to 4,000.
        m: Links per vector and layer of the graph (twice that on the lowest).
        ef_construction: Candidates kept while the graph is built, at least 2 m.
        ef_search: Candidates kept while it is searched, at least the k that is asked for.
        timeout: Seconds to wait for a connection, and for the answer to a search.
        connections: Most that one process keeps open.
        keep_hours: How long generations stay that no folder has any more, for those who open a copy of the folder.
    """

    type = "pgvector"

    def __init__(
        self,
        *,
        url: Annotated[str, Secret(), Runtime()],
        table: str,
        storage: Literal["vector", "halfvec"] = "vector",
        m: Annotated[int, Field(ge=2, le=100)] = 16,
        ef_construction: Annotated[int, Field(ge=4, le=1000)] = 64,
        ef_search: Annotated[int, Field(ge=1, le=1000)] = 100,
        timeout: Annotated[float, Field(gt=0), Runtime()] = 30.0,
        connections: Annotated[int, Field(ge=1), Runtime()] = 4,
        keep_hours: Annotated[float, Field(ge=0), Runtime()] = 24.0,
    ) -> None:
        self.url = url
        self.table = table
        self.storage = storage
        self.m = m
        self.ef_construction = ef_construction
        self.ef_search = ef_search
        self.timeout = timeout
        self.connections = connections
        self.keep_hours = keep_hours
        mistakes = check_arguments(url, table)
        if ef_construction < 2 * m:
            mistakes.add(f"must be at least 2 m ({2 * m}), got {ef_construction}", "ef_construction")
        mistakes.check()

    @property
    def _name(self) -> str:
        return self.table

    @property
    def _keeps_vectors(self) -> bool:
        return self.storage == "vector"

    def _server(self) -> Server:
        return Server(self.url, self.timeout)

    def _writer(self) -> PostgresWriter:
        return PostgresWriter(
            self._server(),
            Name(self.table),
            Storage(self.storage),
            m=self.m,
            ef_construction=self.ef_construction,
            keep_hours=self.keep_hours,
        )

    def _reading(self, held: Held[Generation]) -> Reader:
        return Reader(
            self._server(),
            Name(self.table),
            Storage(self.storage),
            held,
            ef_search=self.ef_search,
            connections=self.connections,
        )

    def _generation(self, state: Mapping[str, Any]) -> Generation:
        return Generation(**state)
