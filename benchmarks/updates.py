"""Updating an index daily, against building it again.

    python benchmarks/updates.py DATA [N] [DAYS] [MODEL]     # DATA: folders of datasets in BEIR's layout

The documents are N (100,000) sentences of two datasets. Every day (of 5) 1 % change: a third of them are new, a third
get another text, a third are deleted. Times are of what `rag add` and `rag delete` do: reading the folder, embedding,
writing and syncing it; of the build, likewise. No store. Without a MODEL the embedder is the hashed sum of word
vectors below: the hardest case, since embedding, of which an update has a hundredth, costs nearly nothing. Prints
Markdown.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import faiss
import numpy as np

import rag.registry
from rag import (
    Corpus,
    Document,
    Embedder,
    FitContext,
    Passages,
    Pipeline,
    Query,
    Retriever,
    SentenceTransformerEmbedder,
)
from rag.retrievers import BM25, HNSW, Dense, Flat, Hybrid
from rag.store.folder import write_folder

DIMENSION = 384
FRACTION = 0.01
N_QUERIES = 200


@cache
def word_vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1 << 14, DIMENSION)).astype(np.float32)


class Hashed(Embedder):
    """Sum of a random vector for each word: near texts share words."""

    type = "hashed"

    @property
    def dimension(self) -> int:
        return DIMENSION

    def embed_documents(self, texts, *, advance=None):  # type: ignore[no-untyped-def]
        vectors, table = np.zeros((len(texts), DIMENSION), dtype=np.float32), word_vectors()
        for row, text in enumerate(texts):
            words = [int.from_bytes(word.encode()[:8], "little") % len(table) for word in text.lower().split()]
            vectors[row] = table[words].sum(axis=0)
        return vectors

    embed_queries = embed_documents


def sentences(data: Path) -> Iterator[str]:
    """Sentences of scifact and nfcorpus, each once."""
    seen = set()
    for name in ("scifact", "nfcorpus"):
        with (data / name / "corpus.jsonl").open(encoding="utf-8") as file:
            for line in file:
                for sentence in re.split(r"(?<=[.!?])\s+", json.loads(line)["text"]):
                    if len(sentence) > 30 and sentence not in seen:
                        seen.add(sentence)
                        yield sentence


def texts_of(data: Path, wanted: int) -> list[str]:
    """As many different texts: sentences, and where there are too few, pairs of them."""
    texts = list(sentences(data))
    rng = random.Random(0)
    rng.shuffle(texts)
    single = len(texts)
    while len(texts) < wanted:
        texts.append(" ".join(rng.sample(texts[:single], 2)))
    return texts[:wanted]


def documents_of(texts: dict[str, str]) -> list[Document]:
    return [Document(id, text) for id, text in texts.items()]


def edit(folder: Path, change: Callable[[Pipeline], object]) -> None:
    with Pipeline.editing(folder) as pipeline:
        change(pipeline)


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def day(
    rng: random.Random, living: dict[str, str], fresh: Iterator[tuple[str, str]]
) -> tuple[list[Document], list[str]]:
    """Documents to add or replace, and ids to delete."""
    each = round(FRACTION * len(living) / 3)
    touched = rng.sample(sorted(living), 2 * each)
    given = [Document(*next(fresh)) for _ in range(each)]
    given += [Document(id, next(fresh)[1]) for id in touched[:each]]
    return given, touched[each:]


def compare(first: Pipeline, other: Pipeline, queries: Sequence[Query]) -> tuple[float, float]:
    """Share of queries with the same ten documents, and the largest difference of scores at a rank."""
    same, apart = 0, 0.0
    for a, b in zip(first.search(queries, top_k=10), other.search(queries, top_k=10), strict=True):
        same += {hit.document.id for hit in a} == {hit.document.id for hit in b}
        apart = max([apart, *(abs(x.score - y.score) for x, y in zip(a, b, strict=False))])
    return same / len(queries), apart


def measured(retriever: Callable[[], Retriever], texts: list[str], n: int, days: int) -> str:
    """A row of the table."""
    rng = random.Random(1)
    living = {f"d{number}": text for number, text in enumerate(texts[:n])}
    fresh = ((f"n{number}", text) for number, text in enumerate(texts[n:-N_QUERIES]))
    queries = [Query(str(number), text) for number, text in enumerate(texts[-N_QUERIES:])]
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder)
        everything = documents_of(living)
        built = timed(lambda: Pipeline(retriever=retriever()).fit(everything).save(kept))
        adds, deletes = [], []
        for _ in range(days):
            given, gone = day(rng, living, fresh)
            adds.append(timed(partial(edit, kept, partial(Pipeline.add, documents=given))))
            deletes.append(timed(partial(edit, kept, partial(Pipeline.delete, ids=gone))))
            living |= {document.id: document.text for document in given}
            living = {id: text for id, text in living.items() if id not in set(gone)}
        everything = documents_of(living)
        synced = timed(lambda: edit(kept, partial(Pipeline.sync, documents=everything)))
        same, apart = compare(Pipeline.load(kept), Pipeline(retriever=retriever()).fit(everything), queries)
        compacted = timed(lambda: edit(kept, Pipeline.compact))
    added = float(np.median(adds))
    return (
        f"{built:.2f} | {added:.2f} | {added / built:.1%} | {np.median(deletes):.2f} | {synced:.2f} "
        f"| {compacted:.2f} | {same:.1%} | {apart:.0e}"
    )


def flat_index(n: int) -> None:
    """Adding 1 % to a flat index that was opened and saving it, against faiss alone: processor and wall seconds."""
    vectors = np.random.default_rng(0).standard_normal((n, DIMENSION)).astype(np.float32)
    more = vectors[: round(FRACTION * n)].copy()
    times: dict[str, list[tuple[float, float]]] = {}
    built, corpus = Flat(), Corpus.from_documents([Document("a", "a")])
    built.build(vectors)

    def timed_as(name: str, run: Callable[[], object]) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        run()
        times.setdefault(name, []).append((time.process_time() - cpu, time.perf_counter() - wall))

    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            built.save_state(Path(folder))
            ours = Flat()
            ours.load_state(Path(folder), FitContext(corpus, Passages.whole(corpus)))
            raw = faiss.read_index(f"{folder}/index.faiss")
            timed_as("add 1 %, ours", partial(ours.add, more))
            timed_as("add 1 %, faiss", partial(raw.add, more))
            timed_as("save, ours (checksums, synced)", partial(save_folder, ours, Path(folder) / "ours"))
            timed_as("save, faiss, synced", partial(save_synced, raw, Path(folder) / "raw"))
    print(f"\n{n:,} vectors of {DIMENSION} dimensions, flat\n")
    print("| | processor, s | wall, s |")
    print("|---|---|---|")
    for name, pairs in times.items():
        cpu, wall = np.median(pairs, axis=0)
        print(f"| {name} | {cpu:.3f} | {wall:.3f} |")


def save_folder(index: Flat, folder: Path) -> None:
    with write_folder(folder, "index", {}) as data:
        index.save_state(data)


def save_synced(index: Any, path: Path) -> None:
    faiss.write_index(index, str(path))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def main(data: Path, n: int, days: int, model: str | None) -> None:
    entry = EntryPoint("embedder.hashed", f"{__name__}:Hashed", "rag.components")
    ours = rag.registry.entry_points
    rag.registry.entry_points = lambda group: [*ours(group=group), *([entry] if group == entry.group else [])]
    texts = texts_of(data, n + 2 * round(FRACTION * n / 3) * days + N_QUERIES)

    def embedder() -> Embedder:
        return Hashed() if model is None else SentenceTransformerEmbedder(model=model)

    pipelines: dict[str, Callable[[], Retriever]] = {
        "bm25": lambda: BM25(preset="anserini"),
        "dense, flat": lambda: Dense(embedder=embedder(), index=Flat()),
        "hybrid of bm25 and flat": lambda: Hybrid(
            retrievers=[BM25(preset="anserini"), Dense(embedder=embedder(), index=Flat())]
        ),
        "dense, hnsw": lambda: Dense(embedder=embedder(), index=HNSW()),
    }
    if model is not None:
        pipelines = {"dense, flat": pipelines["dense, flat"]}  # the others differ by what the first table shows
        embedder().embed_queries(["loads the model"])
    print(f"{n:,} documents, {days} days of {FRACTION:.0%}, vectors by {model or 'hashed words'}\n")
    print(
        "| pipeline | build, s | add a day, median s | share of the build | delete a day, median s "
        "| sync of all, unchanged, s | compact, s | same ten | scores apart |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, retriever in pipelines.items():
        print(f"| {name} | {measured(retriever, texts, n, days)} |", flush=True)
    if model is None:
        flat_index(n)


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    main(Path(sys.argv[1]), int(given.get(2, 100_000)), int(given.get(3, 5)), given.get(4))
