"""What CUR search costs besides scorer calls; run by benchmarks/cur.py."""

from __future__ import annotations

import resource
import time

import numpy as np

from rag.rerankers.cur.engine import Plan, Prior, round_sizes, search
from rag.rerankers.cur.items import Everything


def overhead() -> None:
    print("\n### Overhead besides scorer calls: batch of 32, budget 100, first stage 100 candidates\n")
    print("| items | rounds | ms per query | peak memory added, MiB |\n|---|---|---|---|")
    rng = np.random.default_rng(0)
    for n, d, rounds in ((10_000, 384, 10), (10_000, 384, 5), (1_000_000, 100, 5), (1_000_000, 100, 10)):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        vectors = np.empty((n, d), dtype=np.float32)
        for first in range(0, n, 100_000):
            block = rng.normal(size=(min(100_000, n - first), d)).astype(np.float32)
            vectors[first : first + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
        true = rng.normal(size=(32, d)).astype(np.float32)
        listed = np.stack([rng.choice(n, 100, replace=False) for _ in range(32)])
        prior = Prior.of(listed, np.sort(rng.normal(size=listed.shape).astype(np.float32), axis=1)[:, ::-1])

        def score(
            rows: np.ndarray, ids: np.ndarray, vectors: np.ndarray = vectors, true: np.ndarray = true
        ) -> np.ndarray:
            return np.einsum("ij,ij->i", true[rows], vectors[ids])

        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            search(Everything(vectors, None, listed), score, Plan(round_sizes(100, rounds)), first=listed, prior=prior)
            seconds.append(time.perf_counter() - start)
        added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"| {n:,} x {d} | {rounds} | {np.median(seconds) / 32 * 1e3:.2f} | {added:.0f} |", flush=True)
