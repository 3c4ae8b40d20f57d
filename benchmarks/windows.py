"""When does a tree of buckets pay for filters that leave a window of the keys?

    python benchmarks/windows.py N [--dimension 128] [--m 16] [--ef-construction 40]

N synthetic vectors (the claim is about speed): 24 hidden factors around 1,000 centers, through tanh, and noise, at
length 1. For windows of N / 2 to N / 64 keys at a random place: an exact scan of the window, the graph of all vectors
that skips what is not allowed, and ``window_tree`` before and after the bucket around the window is built. 200 queries,
one at a time and 100 together, on one thread; recall@10 is against the exact scan. CPU milliseconds a query. *Pays
after*: queries one at a time by which the time saved, against the better of scan and graph of all, has paid for
building the bucket. A bucket is built wherever it is estimated to be cheaper at all; by default it must be at half the
cost. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import faiss
import numpy as np

from rag.retrievers import HNSW, WindowTree
from rag.retrievers.indexes import window_tree
from rag.retrievers.indexes.subset import Subset

K, QUERIES, TOGETHER = 10, 200, 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("n", type=int)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=40)
    given = parser.parse_args()
    window_tree._GAIN = 1.001
    queries = made(QUERIES, given.dimension, 2)
    tree = WindowTree(index=HNSW(m=given.m, ef_construction=given.ef_construction), after=1)
    _, spent = timed(partial(tree.build, made(given.n, given.dimension, 1)))
    faiss.omp_set_num_threads(1)  # a second one would wait, which is CPU time
    whole = tree._fitted()
    print(
        f"{given.n:,} vectors of {given.dimension} dimensions, hnsw with m {given.m}, ef_construction "
        f"{given.ef_construction}: {whole.bytes / 2**20:.0f} MiB, built in {spent:.0f} CPU seconds\n"
    )
    columns = ["window", "together", "exact scan, ms", "graph of all, ms", "its recall", "tree before, ms"]
    columns += ["bucket", "tree, ms", "its recall", "bucket, MiB", "built, s", "pays after"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    rng = np.random.default_rng(3)
    for level in range(1, 7):
        length = given.n >> level
        start = int(rng.integers(given.n - length))
        measure(tree, queries, slice(start, start + length))


def measure(tree: WindowTree, queries: Any, window: slice) -> None:
    whole = tree._fitted()
    subset = Subset(window, tree._n)
    exact, _ = asked(lambda rows: whole._scan(rows, K, subset)[0], queries, TOGETHER)
    bucket = tree._around(subset)
    for together in (1, TOGETHER):
        _, scan = asked(lambda rows: whole._scan(rows, K, subset)[0], queries, together)
        graph_keys, graph = asked(lambda rows: whole._search(rows, K, subset)[0], queries, together)
        tree.after = 10**9
        _, before = asked(lambda rows: tree.search(rows, K, window)[0], queries, together)
        tree.after, known = 1, len(tree._buckets)
        _, spent = timed(partial(tree.search, queries[:together], K, window))
        keys, after = asked(lambda rows: tree.search(rows, K, window)[0], queries, together)
        cells = [f"{window.stop - window.start:,}", f"{together}", f"{scan:.3f}", f"{graph:.3f}"]
        cells += [f"{recall(graph_keys, exact):.3f}", f"{before:.3f}"]
        cells.append("none" if bucket not in tree._buckets else f"{bucket[1] - bucket[0]:,}")
        cells += [f"{after:.3f}", f"{recall(keys, exact):.3f}"]
        if len(tree._buckets) > known:
            gain = min(scan, graph) - after
            paid = f"{spent * 1e3 / gain:,.0f}" if gain > 0 else "never"
            cells += [f"{tree._buckets[bucket].bytes / 2**20:.0f}", f"{spent:.0f}", paid]
        else:
            cells += [""] * 3
        print(f"| {' | '.join(cells)} |", flush=True)


def asked(search: Callable[[Any], Any], queries: Any, together: int) -> tuple[Any, float]:
    """Keys of all queries, and CPU milliseconds of one."""
    parts, spent = timed(lambda: [search(queries[i : i + together]) for i in range(0, len(queries), together)])
    return np.concatenate(parts), spent / len(queries) * 1e3


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


def recall(keys: Any, exact: Any) -> float:
    return float(np.mean([len(set(mine) & set(best)) / K for mine, best in zip(keys, exact, strict=True)]))


def made(n: int, dimension: int, seed: int) -> Any:
    rng, shared = np.random.default_rng(seed), np.random.default_rng(0)
    centers, mix = shared.normal(size=(1000, 24)), shared.normal(size=(24, dimension)).astype(np.float32) / 5
    vectors = np.empty((n, dimension), dtype=np.float32)
    for first in range(0, n, 50_000):
        block = vectors[first : first + 50_000]
        hidden = centers[rng.integers(1000, size=len(block))] + 0.8 * rng.normal(size=(len(block), 24))
        block[:] = np.tanh(hidden.astype(np.float32) @ mix)
        block += np.float32(0.1) * rng.standard_normal(block.shape, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


if __name__ == "__main__":
    main()
