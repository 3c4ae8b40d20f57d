"""Late interaction over centroids against fast-plaid, on the same token vectors.

    python benchmarks/plaid.py TOKENS BEST
    PYTHON-WITH-FAST-PLAID benchmarks/plaid.py TOKENS BEST --theirs

TOKENS was written by ``stored_tokens.py``. The first run finds the exact best passages, writes them to BEST, and shows
ours; the second, in an environment of its own (fast-plaid needs one version of torch), shows fast-plaid: the share of
the exact top 10 among the first 10, CPU milliseconds a question in a batch, seconds to build, bytes a document.
Processor time of one thread. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS = ((2, 64), (4, 256), (8, 1024))
"""Centroids probed, and passages scored by all their tokens."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tokens", type=Path)
    parser.add_argument("best", type=Path)
    parser.add_argument("--theirs", action="store_true")
    given = parser.parse_args()
    print("| way | probed | scored | exact top 10 kept | ms a question | s to build | bytes a document |")
    print("|---" * 7 + "|")
    (theirs if given.theirs else ours)(given.tokens, given.best)


def ours(path: Path, target: Path) -> None:
    from stored_tokens import Stored

    from rag import QueryBatch
    from rag.retrievers import CentroidInteraction, LateInteraction

    stored = Stored(path)
    queries = QueryBatch(stored.queries).token_vectors(stored.encoder)

    def found(retriever: Any) -> Any:
        """Its documents, int64 [n, 10], and seconds; of a new batch, which remembers nothing."""
        seconds = []
        for _ in range(3):
            batch = QueryBatch(stored.queries)
            batch.token_vectors(stored.encoder)
            start = time.process_time()
            listed = retriever.retrieve(batch).documents
            seconds.append(time.process_time() - start)
        return listed, min(seconds)

    n = len(stored.context.corpus)
    exact = LateInteraction(embedder=stored.encoder, top_k=10)
    stored.context.fit(exact)
    best, seconds = found(exact)
    np.savez(target, best=best, vectors=queries.vectors, ends=queries.ends)
    show("ours, exact, 16 bits", ("", n), 1.0, seconds / len(best), 0.0, exact.tokens.bytes / n)
    for storage in ("residual4", "residual2"):
        first = CentroidInteraction(embedder=stored.encoder)
        both = LateInteraction(embedder=stored.encoder, candidates=first, storage=storage, top_k=10)  # type: ignore[arg-type]
        start = time.process_time()
        stored.context.fit(both)
        built = time.process_time() - start
        size = (first.tokens.bytes + both.tokens.bytes) / n
        for n_probe, n_scored in ROWS:
            first.n_probe, first.top_k, both.n_candidates = n_probe, n_scored, n_scored
            listed, seconds = found(both)
            show(f"ours, {storage}", (n_probe, n_scored), share(best, listed), seconds / len(best), built, size)


def theirs(path: Path, source: Path) -> None:
    import torch
    from fast_plaid.search import FastPlaid

    torch.set_num_threads(1)
    with np.load(path) as file, np.load(source) as known:
        tokens, ends, best = file["documents_tokens"], file["documents_ends"], known["best"]
        asked = [torch.from_numpy(rows) for rows in np.split(known["vectors"], known["ends"][1:-1])]
    texts = [torch.from_numpy(rows) for rows in np.split(tokens.astype(np.float32), ends[1:-1])]
    for bits in (4, 2):
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            index = FastPlaid(index=folder, device="cpu")
            index.create(documents_embeddings=texts, nbits=bits)
            built = time.process_time() - start
            size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / len(texts)
            for n_probe, n_scored in ROWS:

                def search(n_probe: int = n_probe, n_scored: int = n_scored, index: Any = index) -> Any:
                    options = {"n_full_scores": n_scored, "n_ivf_probe": n_probe, "show_progress": False}
                    return index.search(asked, top_k=10, n_processes=1, **options)

                listed = np.array([[row for row, _ in hits] for hits in search()])
                seconds = clocked(search)
                kept = share(best, listed)
                show(f"fast-plaid, {bits} bits", (n_probe, n_scored), kept, seconds / len(best), built, size)


def clocked(run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def share(best: Any, listed: Any) -> float:
    return float(np.mean([np.isin(row[row >= 0], other).mean() for row, other in zip(best, listed, strict=True)]))


def show(way: str, counts: tuple[object, int], kept: float, seconds: float, built: float, size: float) -> None:
    cells = (way, *counts, f"{kept:.3f}", f"{seconds * 1000:.2f}", f"{built:.1f}", f"{size:,.0f}")
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
