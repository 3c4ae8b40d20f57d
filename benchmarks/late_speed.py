"""Speed of late interaction: exact MaxSim against the machine's GEMM, encodings by MUVERA against fastembed's.

    python benchmarks/late_speed.py maxsim [--documents 10000] [--queries 8]
    python benchmarks/late_speed.py muvera [--documents 100] [--site SITE-PACKAGES]

``maxsim``: queries of 32 tokens, documents of 100 tokens of 128 dimensions in float16, one query and a batch; the limit
is one product of float32 matrices of the same shape. ``muvera``: documents of 100 tokens, fastembed's defaults and its
own random matrices in both; SITE-PACKAGES is where fastembed is installed, if not here. Processor time of one thread.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rag.embedders.base import TokenVectors
from rag.embedders.fixed_dimensional import FixedDimensional
from rag.embedders.max_similarity import best_by_max_similarity
from rag.embedders.token_table import TokenTable

DIMENSION, TOKENS, ASKED = 128, 100, 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("maxsim", "muvera"))
    parser.add_argument("--documents", type=int, default=None)
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--site", default=None)
    given = parser.parse_args()
    if given.part == "maxsim":
        maxsim(given.documents or 10_000, given.queries)
    else:
        muvera(given.documents or 100, given.site)


def maxsim(n: int, n_queries: int) -> None:
    import torch  # as an encoder would have done

    torch.set_num_threads(1)
    documents, queries = unit(n, TOKENS), unit(n_queries, ASKED)
    table = TokenTable.encode(documents, "float16")
    full = documents.vectors.astype(np.float32)
    print("| queries of 32 tokens | ours, s | product of matrices, s | share of the limit |\n|---|---|---|---|")
    for count in (1, n_queries):
        asked = TokenVectors(queries.vectors[: count * ASKED], queries.ends[: count + 1])
        rows = np.arange(count)
        ours = fastest(lambda asked=asked, rows=rows: best_by_max_similarity(asked, rows, table, 100, None))
        limit = fastest(lambda asked=asked: blocked(asked.vectors, full))
        print(f"| {count} | {ours:.3f} | {limit:.3f} | {limit / ours:.2f} |", flush=True)


def blocked(asked: Any, full: Any) -> None:
    """The product alone, in blocks that fit in memory."""
    step = max(1, (1 << 24) // len(asked))
    for first in range(0, len(full), step):
        asked @ full[first : first + step].T


def muvera(n: int, site: str | None) -> None:
    if site is not None:
        sys.path.append(site)
    from fastembed.postprocess.muvera import Muvera

    theirs = Muvera(dim=DIMENSION)
    signs = theirs.dim_reduction_projections.astype(np.float32) / np.sqrt(np.float32(theirs.dim_proj))
    space = FixedDimensional(DIMENSION, k_sim=theirs.k_sim, repetitions=theirs.r_reps, projection=signs)
    space._planes = np.stack([part.simhash_vectors for part in theirs.simhash_projections]).astype(np.float32)
    tokens = unit(n, TOKENS)
    tokens = TokenVectors(tokens.vectors.astype(np.float32), tokens.ends)
    texts = [tokens.vectors[first:last] for first, last in zip(tokens.ends[:-1], tokens.ends[1:], strict=True)]
    print("| encoding | ours, ms each | fastembed, ms each | times | equal numbers | largest difference of these |")
    print("|---|---|---|---|---|---|")
    ways: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "documents, filled": (lambda: space.documents(tokens), theirs.process_document),
        "documents": (lambda: space.documents(tokens, fill=False), lambda text: theirs.process(text, False, True)),
        "queries": (lambda: space.queries(tokens), theirs.process_query),
    }
    for name, (encode, process) in ways.items():
        ours = fastest(encode) / n * 1000
        start = time.process_time()
        expected = np.stack([process(text) for text in texts])
        slow = (time.process_time() - start) / n * 1000
        actual = encode()
        if name == "queries":  # ours are scaled to give the mean over tokens and repetitions
            actual = actual * (TOKENS * theirs.r_reps)
        apart = np.abs(actual - expected)
        equal = apart < 1e-4
        print(
            f"| {name} | {ours:.2f} | {slow:.2f} | {slow / ours:.1f} | {equal.mean():.4f} | {apart[equal].max():.1e} |"
        )


def unit(n: int, each: int) -> TokenVectors:
    vectors = np.random.default_rng(n).normal(size=(n * each, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TokenVectors(vectors, np.arange(n + 1, dtype=np.int64) * each)


def fastest(run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
