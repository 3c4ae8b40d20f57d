"""Searching a generation."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np

from rag.candidates import Floats, Ints, Vectors
from rag.conditions import Condition, condition_key
from rag.errors import ArtifactError, ConfigError
from rag.retrievers.indexes.milvus.columns import Expression, columns_of
from rag.retrievers.indexes.milvus.connection import MilvusServer
from rag.retrievers.indexes.milvus.contents import Content, VectorContent
from rag.retrievers.indexes.milvus.generations import FORMAT, Generation, marks_of
from rag.retrievers.indexes.remote.lists import Lists, checked_lists
from rag.retrievers.indexes.remote.rows import Held, row_hash

__all__ = ["MilvusReader", "rows_by_id"]

_TOGETHER = 256
"""Queries in one message."""

_MOST = 16_384
"""Rows that Milvus gives a query."""

_READ = 1000
"""Rows that are read at a time."""


def rows_by_id(server: MilvusServer, collection: str, ids: Ints, columns: list[str]) -> list[dict[str, Any]]:
    """Rows of a collection or alias, in the order of their ids as given.

    Raises:
        ArtifactError: A row is not there.
    """
    there: dict[int, dict[str, Any]] = {}
    for first in range(0, len(ids), _READ):
        texts = ", ".join(map(str, ids[first : first + _READ].tolist()))
        rows = server.run(
            "cannot be read",
            lambda client, texts=texts: client.query(  # type: ignore[misc]
                collection, filter=f"id in [{texts}]", output_fields=columns, consistency_level="Strong"
            ),
            reads=collection,
        )
        there |= {row["id"]: dict(row) for row in rows}
    lacking = [id for id in ids.tolist() if id not in there]
    if lacking:
        raise ArtifactError(f"{server}: {collection} lacks {len(lacking)} rows: 'rag verify' says which")
    return [there[id] for id in ids.tolist()]


class MilvusReader:
    """A generation that is open. See :class:`rag.retrievers.indexes.remote.Reader`.

    Args:
        server: The server.
        content: What rows hold.
        held: Contents of the index.
        consistency: Consistency level of searches.
    """

    def __init__(self, server: MilvusServer, content: Content, held: Held[Generation], *, consistency: str) -> None:
        self.server, self.content, self.held, self.consistency = server, content, held, consistency
        self._start()

    def _start(self) -> None:
        self._passing = lru_cache(maxsize=1024)(self._counted)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_passing"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def _alias(self) -> str:
        return self.held.generation.alias

    @property
    def _label(self) -> str:
        return f"{self.server}: the collection {self.held.generation.base}"

    def open(self) -> None:
        own = self.held.generation
        lost = (
            f"{self._label}: generation {own.generation} is not there: it was given up (an update or a rollback "
            "elsewhere), or this is another server. Open the newest folder, or index again"
        )
        try:
            about = self.server.run("cannot be opened", lambda client: client.describe_collection(self._alias))
        except ArtifactError:
            raise ArtifactError(lost) from None
        # milvus-lite does not keep the description.
        format = str(about.get("description") or "").rpartition(" ")[2] or str(FORMAT)
        if not format.isdecimal() or int(format) > FORMAT:
            raise ArtifactError(f"{self._label} is in format {format}, this version reads up to {FORMAT}")
        there = {field["name"] for field in about["fields"]}
        lacking = sorted({self.content.column, *columns_of(self.held.layout)} - there)
        if lacking:
            raise ArtifactError(f"{self._label} belongs to another index: it has no column {lacking[0]}")
        if isinstance(self.content, VectorContent):
            by_name = {field["name"]: field for field in about["fields"]}
            dimension = int(by_name[self.content.column]["params"]["dim"])
            if dimension != own.dimension:
                raise ArtifactError(f"{self._label} has {dimension} dimensions, this index has {own.dimension}")
        count = self._counted("")
        if count != own.rows:
            raise ArtifactError(f"{self._label} has {count} rows where {own.rows} were written: 'rag verify' says more")

    def search(self, queries: Any, k: int, condition: Condition | None) -> tuple[Ints, Floats]:
        own = self.held.generation
        filter = own.visible
        if condition:
            filter += f" and ({Expression(condition, self.held.layout).text})"
        lists = self._asked(queries, k, filter, self.content.parameters(k))
        if isinstance(self.content, VectorContent):
            short = [row for row, (ids, _) in enumerate(lists) if len(ids) < min(k, own.rows)]
            passing = self._passing(condition_key(condition)) if condition and short else own.rows
            needed = min(k, passing)
            short = [row for row in short if len(lists[row][0]) < needed]
            if short:  # those that pass lie far from the query, or the graph has no way to them
                again = self._compared(np.stack([queries[row] for row in short]), k, filter, passing)
                for row, best in zip(short, again, strict=True):
                    lists[row] = best
        return checked_lists(self._label, lists, k, self.held.rows)

    def search_among(self, queries: Any, k: int, rows: Ints) -> tuple[Ints, Floats]:
        if isinstance(self.content, VectorContent):
            return checked_lists(self._label, self._best(queries, k, np.unique(rows)), k, self.held.rows)
        filter = f"id in [{', '.join(map(str, rows.tolist()))}]" if len(rows) else "id < 0"
        return checked_lists(self._label, self._asked(queries, k, filter, {}), k, self.held.rows)

    def vectors(self, rows: Ints) -> Vectors:
        unique, inverse = np.unique(rows, return_inverse=True)
        there = rows_by_id(self.server, self._alias, unique, ["id", self.content.column])
        vectors = np.array([row[self.content.column] for row in there], dtype=np.float32)
        return vectors.reshape(len(unique), self.held.generation.dimension)[inverse]

    def bytes(self) -> int:
        """An estimate, since Milvus does not say: vectors in full, and the links of the graph."""
        links = 8 * self.content.m if isinstance(self.content, VectorContent) else 0
        return self.held.generation.rows * (4 * self.held.generation.dimension + links)

    def verify(self) -> None:
        layout = list(columns_of(self.held.layout))
        positions = np.flatnonzero(self.held.ids >= 0)
        missing = changed = 0
        for first in range(0, len(positions), _READ):
            block = positions[first : first + _READ]
            rows = self._visible(self.held.ids[block])
            for position in block.tolist():
                row = rows.get(int(self.held.ids[position]))
                if row is None:
                    missing += 1
                    continue
                values = {name: _plain(row.get(name)) for name in layout}
                digest = row_hash(values, self.content.packed(row[self.content.column]))
                changed += digest != self.held.hashes[position].tobytes()
        foreign = self._counted("") - (len(positions) - missing)
        faults = ((missing, "are missing"), (foreign, "are not ours"), (changed, "were changed"))
        wrong = [f"{count} rows {fault}" for count, fault in faults if count]
        if wrong:
            raise ArtifactError(f"{self._label} is damaged: of {len(positions)} rows {', '.join(wrong)}: index again")

    def is_given_up(self) -> bool:
        own = self.held.generation
        marks = self.server.run("cannot be asked", lambda client: marks_of(client, own.base))
        return own.generation in marks and marks[own.generation].gone is not None

    # -- within -------------------------------------------------------------------------------------------------------

    def _compared(self, queries: Vectors, k: int, filter: str, passing: int) -> Lists:
        """All rows that pass, compared one by one.

        Raises:
            ArtifactError: There are fewer than there must be, or more than Milvus gives.
        """
        rows = self.server.run(
            "cannot be searched",
            lambda client: client.query(
                self._alias, filter=filter, output_fields=["id"], limit=_MOST, consistency_level="Strong"
            ),
            reads=self.held.generation.base,
        )
        ids = np.sort(np.array([row["id"] for row in rows], dtype=np.int64))
        if len(ids) < min(passing, _MOST):
            raise ArtifactError(f"{self._label} has fewer rows than were written: 'rag verify' says more")
        if passing > _MOST:
            raise ArtifactError(
                f"{self._label}: its graph finds fewer than {k} of {passing} rows: raise ef_search, or index again "
                "with a larger ef_construction"
            )
        return self._best(queries, k, ids)

    def _best(self, queries: Vectors, k: int, ids: Ints) -> Lists:
        """The best of some rows, compared one by one."""
        scores = queries @ self.vectors(ids).T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [(ids[order], own[order]) for order, own in zip(best, scores, strict=True)]

    def _visible(self, ids: Ints) -> dict[int, Any]:
        filter = f"{self.held.generation.visible} and id in [{', '.join(map(str, ids.tolist()))}]"
        columns = ["id", self.content.column, *columns_of(self.held.layout)]
        rows = self.server.run(
            "cannot be read",
            lambda client: client.query(self._alias, filter=filter, output_fields=columns, consistency_level="Strong"),
            reads=self.held.generation.base,
        )
        return {row["id"]: row for row in rows}

    def _counted(self, key: str) -> int:
        """Number of rows that pass a condition."""
        filter = self.held.generation.visible
        if key:
            filter += f" and ({Expression(json.loads(key), self.held.layout).text})"
        rows = self.server.run(
            "cannot be asked",
            lambda client: client.query(
                self._alias, filter=filter, output_fields=["count(*)"], consistency_level="Strong"
            ),
            reads=self.held.generation.base,
        )
        return int(rows[0]["count(*)"])

    def _asked(self, queries: Any, k: int, filter: str, parameters: dict[str, Any]) -> Lists:
        if k > _MOST:
            raise ConfigError(f"must be at most {_MOST} with Milvus, got {k}", parameter="top_k")
        lists: Lists = []
        for first in range(0, len(queries), _TOGETHER):
            block = list(queries[first : first + _TOGETHER])
            answers = self.server.run(
                "cannot be searched",
                lambda client, block=block: client.search(  # type: ignore[misc]
                    self._alias,
                    data=block,
                    anns_field=self.content.searched,
                    filter=filter,
                    limit=k,
                    search_params={"metric_type": self.content.metric, "params": parameters},
                    output_fields=["id"],
                    consistency_level=self.consistency.capitalize(),
                ),
                reads=self.held.generation.base,
            )
            if len(answers) != len(block):
                raise ArtifactError(f"{self._label} answered {len(answers)} queries where {len(block)} were asked")
            for hits in answers:
                ids = np.fromiter((hit["id"] for hit in hits), dtype=np.int64)
                distances = np.fromiter((hit["distance"] for hit in hits), dtype=np.float32)
                lists.append((ids, self.content.scores(distances)))
        return lists


def _plain(value: Any) -> Any:
    """A value of a column: lists come as a type of their own."""
    return value if value is None or isinstance(value, (str, bool, int, float)) else list(value)
