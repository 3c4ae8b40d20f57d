"""Vectors in a PostgreSQL database."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rag.candidates import Floats, Ints, Vectors
from rag.component import Runtime, Secret
from rag.conditions import Condition
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.errors import ArtifactError, ConfigError, DataError, NotFittedError
from rag.progress import Progress, no_progress
from rag.retrievers.indexes.postgres.connection import Server, check_url
from rag.retrievers.indexes.postgres.reading import Reader
from rag.retrievers.indexes.postgres.records import Generation, Name, check_name, mark_released, mark_saved
from rag.retrievers.indexes.postgres.rows import Held, Storage
from rag.retrievers.indexes.postgres.writing import Writer
from rag.retrievers.indexes.remote import RemoteIndex
from rag.retrievers.indexes.row_fields import Layout
from rag.types import Document

if TYPE_CHECKING:
    from rag.fitting import FitContext

__all__ = ["PgVector"]


class PgVector(RemoteIndex):
    """Vectors and fields in PostgreSQL with pgvector: the same answers from a database that others run, back up and
    share. Filters are conditions of its statements. Where few rows pass, all of them are compared; where many do, a
    graph (HNSW) is followed until the list is full. 8 d + 16 m bytes a vector there, with the graph; 24 bytes here.

    Every fit writes a table of its own (``papers_1``, ``papers_2``), every update a generation of it in one
    transaction; who has a generation open keeps it. The folder says which generation is its own. Needs PostgreSQL 15 or
    newer with pgvector 0.8 or newer, and ``pip install 'rag-pipelines[pgvector]'``.

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
        self._reader: Reader | None = None
        check_url(url)
        check_name(table)
        if ef_construction < 2 * m:
            raise ConfigError(f"must be at least 2 m ({2 * m}), got {ef_construction}", parameter="ef_construction")

    # -- writing ------------------------------------------------------------------------------------------------------

    def hold(self, passages: Passages, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        start = time.perf_counter()
        self._writer().build(passages, vectors, progress, self._opened)
        self.build_seconds = time.perf_counter() - start

    def change(
        self,
        old: Passages,
        new: Passages,
        kept: Ints,
        came: Vectors | None,
        *,
        relabeled: bool = True,
        progress: Progress = no_progress,
    ) -> bool:
        held = self._fitted().held
        changed = self._writer().change(
            held, old, new, kept, came, relabeled=relabeled, progress=progress, opened=self._opened
        )
        if changed is not None and changed.generation == held.generation:
            self._opened(changed)
        return changed is not None

    def build(self, vectors: Vectors, *, progress: Progress = no_progress) -> None:
        corpus = Corpus.from_documents(Document(str(n), "-") for n in range(len(vectors)))
        self.hold(Passages.whole(corpus), vectors, progress=progress)

    # -- searching ----------------------------------------------------------------------------------------------------

    def search_where(self, vectors: Vectors, k: int, condition: Condition | None) -> tuple[Ints, Floats]:
        return self._fitted().search(self._checked(vectors), k, condition)

    def search(self, vectors: Vectors, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        if allowed is None:
            return self.search_where(vectors, k, None)
        rows = self._fitted().held.ids[allowed]
        return self._fitted().search_among(self._checked(vectors), k, rows[rows >= 0])

    def reconstruct(self, keys: Ints) -> Vectors | None:
        reader = self._fitted()
        if self.storage != "vector":
            return None
        rows = reader.held.ids[keys]
        vectors = np.zeros((len(keys), reader.held.generation.dimension), dtype=np.float32)
        vectors[rows >= 0] = reader.vectors(rows[rows >= 0])
        return vectors

    @property
    def bytes(self) -> int:
        return self._fitted().bytes()

    # -- keeping ------------------------------------------------------------------------------------------------------

    def save_state(self, folder: Path) -> None:
        held = self._fitted().held
        np.save(folder / "rows.npy", held.ids)
        np.save(folder / "hashes.npy", held.hashes)
        state = {
            "type": self.type,
            "table": self.table,
            "generation": asdict(held.generation),
            "layout": asdict(held.layout),
            "build_seconds": self.build_seconds,
        }
        (folder / "elsewhere.json").write_text(json.dumps(state), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:
        state = json.loads((folder / "elsewhere.json").read_text(encoding="utf-8"))
        ids, hashes = (np.load(folder / name, mmap_mode="r") for name in ("rows.npy", "hashes.npy"))
        if len(ids) != len(context.passages):
            raise ArtifactError(f"{folder}: has {len(ids)} rows for {len(context.passages)} passages")
        self.build_seconds = float(state["build_seconds"])
        self._opened(Held(Generation(**state["generation"]), Layout(**state["layout"]), ids, hashes))

    def was_saved(self, gone: Sequence[Mapping[str, Any]]) -> None:
        keys = [state["generation"]["key"] for state in gone if state["table"] == self.table]
        server, name = self._server(), Name(self.table)
        with server.connected() as connection, server.translated("the generation cannot be marked as saved"):
            mark_released(connection, name, keys)
            mark_saved(connection, name, self._fitted().held.generation.key)

    def verify_elsewhere(self) -> None:
        self._fitted().verify()

    # -- within -------------------------------------------------------------------------------------------------------

    def _server(self) -> Server:
        return Server(self.url, self.timeout)

    def _writer(self) -> Writer:
        return Writer(
            self._server(),
            Name(self.table),
            Storage(self.storage),
            m=self.m,
            ef_construction=self.ef_construction,
            keep_hours=self.keep_hours,
        )

    def _opened(self, held: Held) -> None:
        reader = Reader(
            self._server(),
            Name(self.table),
            Storage(self.storage),
            held,
            ef_search=self.ef_search,
            connections=self.connections,
        )
        reader.open()
        self._reader = reader

    def _fitted(self) -> Reader:
        if self._reader is None:
            raise NotFittedError("the index 'pgvector' has not been built: fit the pipeline it is in first")
        return self._reader

    def _checked(self, vectors: Vectors) -> Vectors:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        dimension = self._fitted().held.generation.dimension
        if vectors.shape[1] != dimension:
            raise DataError(f"the queries' vectors have {vectors.shape[1]} dimensions, the index has {dimension}")
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise DataError(
                f"index 'pgvector': {len(bad)} of {len(vectors)} queries' vectors have NaN or infinite values, the "
                f"first is row {bad[0]}"
            )
        return vectors
