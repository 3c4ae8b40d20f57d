"""What does sharing save? A sweep of 162 configurations through the store, against the same trials each from scratch.

    python benchmarks/sweep_sharing.py DATA CROSS_ENCODER WORK [--queries 25] [--scratch 10] [--space wide|deep]
        [--embedder MODEL] [--documents N]

DATA holds the BEIR folder scifact; CROSS_ENCODER is a model; WORK a folder for store and study, where a run that was
stopped goes on. ``deep`` embeds with LSA, or with a sentence-transformers MODEL; N documents, those judged for the
queries among them, make the from-scratch part bearable then. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from rag.corpus.corpus import Corpus
from rag.eval import load_dataset
from rag.eval.datasets.base import Dataset, Split
from rag.hpo.execution.trial import Bench
from rag.hpo.planning import plan
from rag.hpo.sweep import sweep_from_config
from rag.hpo.tuning import tune
from rag.store.store import Store


def choices(*values: object, name: str | None = None) -> dict:
    return {"tune": "categorical", "choices": list(values)} | ({"name": name} if name else {})


def spaces(scorer: str, embedder: str | None) -> dict[str, dict]:
    rerank = {"type": "rerank", "scorer": {"type": "cross_encoder", "model": scorer}, "budget": choices(5, 10, 20)}
    lsa = {"type": "lsa", "dim": choices(64, 128, 256)}
    deep_embedder = {"type": "sentence_transformer", "model": embedder} if embedder else {"type": "lsa", "dim": 128}
    wide = {
        "type": "pipeline",
        "chunker": {
            "type": "recursive",
            "size": choices(500, 1000, 2000),
            "overlap": choices(0, 100),
            "unit": "characters",
        },
        "retriever": {"type": "dense", "embedder": lsa, "index": {"type": "flat"}, "top_k": choices(20, 30, 50)},
        "stages": [rerank],
    }
    fusion = {"tune": "choice", "options": [{"type": "min_max"}, {"type": "z_score"}, {"type": "rrf"}]}
    deep = {
        "type": "pipeline",
        "chunker": {"type": "recursive", "size": choices(1000, 2000), "unit": "characters"},
        "retriever": {
            "type": "hybrid",
            "fusion": fusion,
            "retrievers": [
                {"type": "bm25", "top_k": 50},
                {"type": "dense", "embedder": deep_embedder, "index": {"type": "flat"}, "top_k": 50},
            ],
            "top_k": choices(20, 30, 50),
        },
        "stages": [rerank, {"type": "threshold", "min_relative": choices(0.1, 0.3, 0.5)}],
    }
    return {"wide": wide, "deep": deep}


def sample(corpus: Corpus, split: Split, n: int | None) -> Corpus:
    """So many documents, those that are judged among them."""
    if n is None:
        return corpus
    judged = {id for judgments in split.qrels.values() for id in judgments}
    documents = list(corpus)
    others = [document for document in documents if document.id not in judged]
    drawn = np.random.default_rng(0).permutation(len(others))[: n - len(judged)]
    return Corpus.from_documents(
        [document for document in documents if document.id in judged] + [others[i] for i in sorted(drawn)]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("scorer")
    parser.add_argument("work", type=Path)
    parser.add_argument("--queries", type=int, default=25)
    parser.add_argument("--scratch", type=int, default=10)
    parser.add_argument("--space", default="wide")
    parser.add_argument("--embedder")
    parser.add_argument("--documents", type=int)
    arguments = parser.parse_args()
    whole = load_dataset(arguments.data / "scifact")
    picked = np.random.default_rng(0).permutation(len(whole.split("test").queries))[: arguments.queries]
    queries = [whole.split("test").queries[n] for n in picked]
    part = Split(queries, {query.id: whole.split("test").qrels[query.id] for query in queries})
    # What is measured is time: the same queries serve for both.
    dataset = Dataset("scifact", sample(whole.corpus, part, arguments.documents), {"dev": part, "test": part})
    config = {
        "pipeline": spaces(arguments.scorer, arguments.embedder)[arguments.space],
        "sampler": "grid",
        "n_trials": 162,
    }
    sweep = sweep_from_config(config)
    planned = plan(sweep)
    work = arguments.work / arguments.space
    store = Store(work / "store")
    spent = work / "seconds.json"
    before = json.loads(spent.read_text()) if spent.exists() else 0.0
    start = time.perf_counter()
    try:
        result = tune(sweep, dataset, out=work / "sweep", store=store)
    finally:
        work.mkdir(parents=True, exist_ok=True)
        spent.write_text(json.dumps(before + time.perf_counter() - start))
    shared = json.loads(spent.read_text())
    kinds: dict[str, int] = {}
    for entry in store.entries():
        kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
    bench = Bench(sweep, dataset, None)
    trials = [tried for tried in result.trials if tried.state == "complete"]
    seconds, same = [], 0
    for number in np.random.default_rng(1).permutation(len(trials))[: arguments.scratch]:
        trial = trials[number]
        start = time.perf_counter()
        alone = bench.measure(sweep.space.pipeline(trial.point))
        seconds.append(time.perf_counter() - start)
        same += alone.values["nDCG@10"].tolist() == trial.values["nDCG@10"].tolist()
    scratch = float(np.mean(seconds)) * len(trials)
    print("| space | trials | queries | with the store, s | from scratch (mean of "
          f"{len(seconds)} x {len(trials)}), s | times faster | same to the last digit |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    print(f"| {arguments.space} | {len(trials)} | {arguments.queries} | {shared:.0f} | {scratch:.0f} "
          f"| {scratch / shared:.1f} | {same} of {len(seconds)} |")  # fmt: skip
    print("\n| step | needed | distinct (`rag tune --plan`) |")
    print("|---|---|---|")
    for step, (needed, distinct) in planned.steps.items():
        print(f"| {step} | {needed} | {distinct} |")
    built = {kind: n for kind, n in sorted(kinds.items()) if kind in ("index", "embedder", "retriever", "scorer")}
    print(f"\nFitted parts in the store: {', '.join(f'{kind} {n}' for kind, n in built.items())}.")


if __name__ == "__main__":
    main()
