"""Values as objects: Parquet files that are only ever added, each with what one machine had and the others had not.

Beside the values of a store lies what is known of a bucket (``shared/...``): the files that were merged, and the keys
that are in it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rag.errors import ArtifactError
from rag.store.key_value_cache import KeyValueCache
from rag.store.shared.bucket import Bucket

__all__ = ["Parts", "value_names"]

_ROWS = 50_000
"""Values in a file at most."""

_BYTES = 64 << 20
"""Bytes of values in a file, about."""


def value_names(bucket: Bucket) -> dict[tuple[str, str], list[str]]:
    """Names of the files of each (kind, key)."""
    names: dict[tuple[str, str], list[str]] = {}
    for name in sorted(bucket.names("values")):
        parts = name.split("/")
        if len(parts) == 4 and name.endswith(".parquet"):
            names.setdefault((parts[1], parts[2]), []).append(name)
    return names


class Parts:
    """The values of one maker in a bucket.

    Args:
        bucket: The bucket.
        root: Folder of the store on this machine.
        kind: Of the values.
        key: Of the values.
    """

    def __init__(self, bucket: Bucket, root: Path, kind: str, key: str) -> None:
        self.bucket = bucket
        self.prefix = f"values/{kind}/{key}"
        folder = hashlib.sha256(bucket.url.encode()).hexdigest()[:16]
        self._known = root / "shared" / folder / kind / f"{key}.sqlite"

    def pull(self, values: KeyValueCache, names: list[str] | None = None) -> int:
        """Merge what is in the bucket and was not merged yet; gives the number of values.

        Raises:
            ArtifactError: A file in the bucket is damaged.
        """
        if names is None:
            names = sorted(name for name in self.bucket.names(self.prefix) if name.endswith(".parquet"))
        merged = 0
        with self._opened() as known:
            seen = {name for (name,) in known.execute("SELECT name FROM parts")}
            for name in names:
                if name in seen:
                    continue
                rows = self._read(name)
                values.add_rows(rows)
                self._note(known, name, [key for key, _, _ in rows])
                merged += len(rows)
        return merged

    def push(self, values: KeyValueCache, keys: list[bytes] | None = None) -> int:
        """Upload what the bucket has not; gives the number of values.

        Args:
            values: The values of this machine.
            keys: Of these keys; None looks at all.
        """
        sent = 0
        with self._opened() as known:
            for rows in _blocks(_lacking(values.rows(keys), known)):
                name = f"{self.prefix}/{uuid.uuid4().hex}.parquet"
                self.bucket.write(name, _packed(rows, values.description))
                self._note(known, name, [key for key, _, _ in rows])
                sent += len(rows)
        return sent

    def description(self, name: str) -> str:
        """What the values of a file are."""
        return str(json.loads(self._table(name).schema.metadata[b"rag"])["about"])

    def _read(self, name: str) -> list[tuple[bytes, bytes, float]]:
        table = self._table(name)
        columns = [table[column].to_pylist() for column in ("key", "value", "seconds")]
        return list(zip(*columns, strict=True))

    def _table(self, name: str) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        content = self.bucket.read(name)
        if content is None:
            raise ArtifactError(f"{self.bucket}/{name} was removed while it was read")
        try:
            table = parquet.read_table(pa.BufferReader(content))
        except (pa.ArrowException, OSError) as error:
            raise ArtifactError(f"{self.bucket}/{name} is damaged: {error}: remove it") from None
        if not {"key", "value", "seconds"} <= set(table.column_names) or b"rag" not in (table.schema.metadata or {}):
            raise ArtifactError(f"{self.bucket}/{name} holds no values of a store: remove it")
        return table

    @staticmethod
    def _note(known: sqlite3.Connection, name: str, keys: list[bytes]) -> None:
        with known:
            known.executemany("INSERT OR IGNORE INTO keys VALUES (?)", [(key,) for key in keys])
            known.execute("INSERT OR IGNORE INTO parts VALUES (?)", (name,))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._known.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._known, timeout=60)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY) WITHOUT ROWID")
            connection.execute("CREATE TABLE IF NOT EXISTS keys (key BLOB PRIMARY KEY) WITHOUT ROWID")
            yield connection


def _lacking(
    rows: Iterator[tuple[bytes, bytes, float]], known: sqlite3.Connection
) -> Iterator[tuple[bytes, bytes, float]]:
    """Rows whose keys are not known to be in the bucket."""
    for row in rows:
        if not known.execute("SELECT 1 FROM keys WHERE key = ?", (row[0],)).fetchone():
            yield row


def _blocks(rows: Iterator[tuple[bytes, bytes, float]]) -> Iterator[list[tuple[bytes, bytes, float]]]:
    block: list[tuple[bytes, bytes, float]] = []
    size = 0
    for row in rows:
        block.append(row)
        size += len(row[1])
        if len(block) == _ROWS or size >= _BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _packed(rows: list[tuple[bytes, bytes, float]], description: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = pa.schema(
        [("key", pa.binary()), ("value", pa.binary()), ("seconds", pa.float64())],
        metadata={"rag": json.dumps({"format": 1, "about": description})},
    )
    columns = [list(column) for column in zip(*rows, strict=True)]
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns, schema=schema), sink, compression="zstd", use_dictionary=False)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
