"""Vectors in Milvus."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from rag.component import Runtime, Secret
from rag.retrievers.indexes.milvus.connection import MilvusServer, check_address
from rag.retrievers.indexes.milvus.contents import Content, VectorContent
from rag.retrievers.indexes.milvus.generations import Generation
from rag.retrievers.indexes.milvus.reading import MilvusReader
from rag.retrievers.indexes.milvus.writing import MilvusWriter
from rag.retrievers.indexes.remote import HoldsRows, RemoteIndex
from rag.retrievers.indexes.remote.rows import Held

__all__ = ["Milvus", "RowsInMilvus"]


class RowsInMilvus(HoldsRows):
    """A component whose passages lie in a collection of Milvus."""

    uri: str
    collection: str
    token: str | None
    consistency: str
    timeout: float
    keep_hours: float

    @property
    @abstractmethod
    def _content(self) -> Content:
        """What is written of a passage, and how it is searched."""

    @cached_property
    def _server(self) -> MilvusServer:
        return MilvusServer(self.uri, self.token or "", self.timeout)

    @property
    def _name(self) -> str:
        return self.collection

    def _writer(self) -> MilvusWriter:
        return MilvusWriter(self._server, self.collection, self._content, keep_hours=self.keep_hours)

    def _reading(self, held: Held[Generation]) -> MilvusReader:
        return MilvusReader(self._server, self._content, held, consistency=self.consistency)

    def _generation(self, state: Mapping[str, Any]) -> Generation:
        return Generation(**state)


class Milvus(RowsInMilvus, RemoteIndex):
    """Vectors and fields in Milvus 2.5 or newer, for corpora that one database does not hold. Filters are expressions
    of its searches, on typed columns; it compares few passing rows one by one and follows a graph (HNSW) where many
    pass. 4 d + 8 m bytes a vector there; 24 bytes here. Needs ``pip install 'rag-pipelines[milvus]'``.

    Every fit writes a collection of its own, every update a generation of it, which is there when its alias is. The
    folder says which generation is its own.

    Args:
        uri: The server, such as ``https://milvus.example.org:19530``, or a file that milvus-lite keeps.
        collection: What names of its collections and aliases begin with.
        token: ``${MILVUS_TOKEN}``, a variable of the environment with ``USER:PASSWORD`` or a key; None for none.
        m: Links per vector and layer of the graph (twice that on the lowest).
        ef_construction: Candidates kept while the graph is built, at least m.
        ef_search: Candidates kept while it is searched, at least the k that is asked for.
        consistency: Consistency level of searches: ``bounded`` may miss what was written in the last seconds, which a
            list that is too short then says; ``strong`` waits for it; ``session`` for what this process wrote;
            ``eventually`` for nothing. Opening a generation, counting and ``rag verify`` are always strong.
        timeout: Seconds to wait for a connection, and for an answer.
        keep_hours: How long generations stay that no folder has any more, for those who have them open.
    """

    type = "milvus"

    def __init__(
        self,
        *,
        uri: Annotated[str, Secret(), Runtime()],
        collection: str,
        token: Annotated[str | None, Secret(), Runtime()] = None,
        m: Annotated[int, Field(ge=2, le=2048)] = 16,
        ef_construction: Annotated[int, Field(ge=4)] = 64,
        ef_search: Annotated[int, Field(ge=1, le=32_768)] = 100,
        consistency: Annotated[Literal["strong", "bounded", "session", "eventually"], Runtime()] = "bounded",
        timeout: Annotated[float, Field(gt=0), Runtime()] = 30.0,
        keep_hours: Annotated[float, Field(ge=0), Runtime()] = 24.0,
    ) -> None:
        self.uri = uri
        self.collection = collection
        self.token = token
        self.m = m
        self.ef_construction = ef_construction
        self.ef_search = ef_search
        self.consistency = consistency
        self.timeout = timeout
        self.keep_hours = keep_hours
        mistakes = check_address(uri, token or "", collection)
        if ef_construction < m:
            mistakes.add(f"must be at least m ({m}), got {ef_construction}", "ef_construction")
        mistakes.check()

    @property
    def _content(self) -> VectorContent:
        return VectorContent(m=self.m, ef_construction=self.ef_construction, ef_search=self.ef_search)
