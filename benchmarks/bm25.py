"""Is BM25 at the machine's limit? Against bm25s and tantivy on the same texts, side by side in one process.

    python benchmarks/bm25.py [DOCUMENTS]

Documents of 100 words spread as in English (Zipf), questions of six words, the best hundred passages. Processor time of
one thread; memory is what building takes at most in a process of its own, above texts and imports (Linux). Prints
Markdown.

Needs the packages ``tantivy`` and ``numba`` for their rows; without them they are left out.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from rag import Corpus, Document, Passages, Pipeline, Query, QueryBatch
from rag.fitting import FitContext
from rag.retrievers import BM25

K = 100
N_QUESTIONS = 300
REPEATS = 5


def texts_of(n: int, words: int = 100) -> tuple[list[str], list[str]]:
    """Documents and questions."""
    generator = random.Random(0)
    vocabulary = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=3 + rank % 8)) for rank in range(50_000)]
    weights = list(accumulate(1 / (rank + 2) for rank in range(len(vocabulary))))
    documents = [" ".join(generator.choices(vocabulary, cum_weights=weights, k=words)) for _ in range(n)]
    questions = [" ".join(generator.choices(vocabulary, cum_weights=weights, k=6)) for _ in range(N_QUESTIONS)]
    return documents, questions


class Ours:
    """The retriever alone, and the pipeline with its documents."""

    name = "bm25"

    def __init__(self) -> None:
        self.retriever = BM25(language="en", top_k=K)

    def build(self, documents: list[str]) -> None:
        corpus = Corpus.from_documents(Document(f"d{number}", text) for number, text in enumerate(documents))
        self.retriever.fit(FitContext(corpus, Passages.whole(corpus)))

    def ask(self, questions: Sequence[str]) -> list[list[int]]:
        batch = QueryBatch([Query(str(number), text) for number, text in enumerate(questions)])
        return self.retriever.retrieve(batch).documents.tolist()


class BM25S:
    """The library ``bm25s``."""

    def __init__(self, backend: str = "numpy") -> None:
        import Stemmer

        self.name, self.backend = f"bm25s, {backend}", backend
        self.stemmer = Stemmer.Stemmer("english")

    def build(self, documents: list[str]) -> None:
        import bm25s

        tokens = bm25s.tokenize(documents, stopwords="en", stemmer=self.stemmer, show_progress=False)
        self.index = bm25s.BM25(k1=1.5, b=0.75, backend=self.backend)
        self.index.index(tokens, show_progress=False)

    def ask(self, questions: Sequence[str]) -> list[list[int]]:
        import bm25s

        arguments: dict[str, Any] = {"stopwords": "en", "stemmer": self.stemmer, "show_progress": False}
        tokens = bm25s.tokenize(list(questions), return_ids=False, **arguments)
        numbers, _ = self.index.retrieve(tokens, k=K, show_progress=False, n_threads=0)
        return [list(map(int, row)) for row in numbers]


class Tantivy:
    """The library ``tantivy``."""

    name = "tantivy"

    def build(self, documents: list[str]) -> None:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_integer_field("number", stored=True, fast=True)
        schema.add_text_field("text", tokenizer_name="en_stem")
        self.index = tantivy.Index(schema.build())
        writer = self.index.writer(num_threads=1)
        for number, text in enumerate(documents):
            writer.add_document(tantivy.Document(number=number, text=text))
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()
        self.searcher = self.index.searcher()

    def ask(self, questions: Sequence[str]) -> list[list[int]]:
        numbers = []
        for question in questions:
            hits = self.searcher.search(self.index.parse_query(question, ["text"]), K).hits
            numbers.append([self.searcher.doc(address)["number"][0] for _, address in hits])
        return numbers


def engines() -> dict[str, Callable[[], Any]]:
    """Those that are installed, by name."""
    known: dict[str, tuple[str, Callable[[], Any]]] = {
        "ours": ("numpy", Ours),
        "bm25s": ("bm25s", BM25S),
        "bm25s-numba": ("numba", lambda: BM25S("numba")),
        "tantivy": ("tantivy", Tantivy),
    }
    return {name: make for name, (package, make) in known.items() if importlib.util.find_spec(package)}


def seconds(run: Callable[[], object]) -> float:
    """Processor time."""
    start = time.process_time()
    run()
    return time.process_time() - start


def peak(name: str, n: int) -> float:
    """MiB that building takes in a process of its own, above the texts and imports."""
    done = subprocess.run(
        [sys.executable, __file__, str(n), "--peak", name], check=True, capture_output=True, text=True
    )
    return float(done.stdout.splitlines()[-1])


def print_peak(name: str, n: int) -> None:
    documents, _ = texts_of(n)
    engines()[name]().build(documents[:1000])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = memory("VmRSS")
    engines()[name]().build(documents)
    print(memory("VmHWM") - before)


def memory(line: str) -> float:
    """MiB that Linux says of this process."""
    status = dict(row.split(":") for row in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) / 1024


def first_question(documents: list[str], question: str) -> tuple[float, float, float]:
    """Seconds of opening a saved index, of the first question after that, and of the tenth."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(retriever=BM25(language="en", top_k=K))
        pipeline.fit(Document(f"d{number}", text) for number, text in enumerate(documents))
        pipeline.save(Path(folder) / "index")
        start = time.process_time()
        loaded = Pipeline.load(Path(folder) / "index")
        opened = time.process_time() - start
        times = [seconds(lambda: loaded.search(question, top_k=10)) for _ in range(10)]
    return opened, times[0], times[-1]


def main(n: int) -> None:
    documents, questions = texts_of(n)
    there = engines()
    made = {}
    builds = {}
    for name, make in there.items():
        make().build(documents[:1000])  # imports and compiles
        made[name] = make()
        builds[name] = seconds(lambda name=name: made[name].build(documents))  # type: ignore[misc]
    single: dict[str, list[float]] = {name: [] for name in there}
    batch: dict[str, list[float]] = {name: [] for name in there}
    for name in there:
        made[name].ask(questions)
    for _ in range(REPEATS):
        for name in there:
            single[name] += [seconds(lambda name=name, q=q: made[name].ask([q])) for q in questions[:100]]  # type: ignore[misc]
            batch[name].append(seconds(lambda name=name: made[name].ask(questions)) / len(questions))  # type: ignore[misc]
    peaks = {name: peak(name, n) for name in there}
    reference = made["bm25s"].ask(questions) if "bm25s" in made else None
    print(f"{n:,} documents of 100 words, top {K}\n")
    print("| engine | build, s | peak MiB | one question, ms | batch of 300, ms a question | same ten as bm25s |")
    print("|---|---|---|---|---|---|")
    for name in there:
        same = np.nan
        if reference is not None:
            pairs = zip(made[name].ask(questions), reference, strict=True)
            same = float(np.mean([len(set(a[:10]) & set(b[:10])) / 10 for a, b in pairs]))
        print(
            f"| {made[name].name} | {builds[name]:.2f} | {peaks[name]:.0f} | {np.median(single[name]) * 1e3:.3f} "
            f"| {np.median(batch[name]) * 1e3:.3f} | {same:.3f} |"
        )
    opened, first, later = first_question(documents, questions[0])
    print(
        f"\nA saved index is open after {opened * 1e3:.0f} ms; its first question takes {first * 1e3:.1f} ms, ", end=""
    )
    print(f"the tenth, with ten hits as documents, {later * 1e3:.2f} ms.")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if "--peak" in sys.argv:
        print_peak(sys.argv[-1], size)
    else:
        main(size)
