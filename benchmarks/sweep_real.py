"""Samplers on two real spaces, whose points are all evaluated once and then replayed.

    python benchmarks/sweep_real.py DATA [--sets nfcorpus,scifact] [--seeds 50] [--store DIR]

DATA has folders in BEIR's layout. The space: 162 pipelines of BM25 and MiniLM (k1, b, fusion, weight, feedback). Scores
are nDCG@10 on 150 questions of dev (of train where there is none), and on test; the second objective of the archives is
CPU time of searching a dev question. Shown is what the best on dev so far has on test. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from decomposed import MODEL
from graph_rank import sampled
from sweep_replay import SHOWN, archived, trajectory

from rag import Pipeline, QueryBatch, Store
from rag.config.source import node_from_python
from rag.eval.datasets.base import Split
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run
from rag.hpo.samplers.additive import Additive
from rag.hpo.samplers.base import Sampler
from rag.hpo.samplers.greedy import Greedy
from rag.hpo.samplers.map_elites import MapElites
from rag.hpo.samplers.optuna import NSGA2, TPE
from rag.hpo.samplers.random import Random
from rag.hpo.samplers.random_decompositions import RandomDecompositions
from rag.hpo.space.distributions import Categorical
from rag.hpo.space.parameter import Parameter
from rag.hpo.space.space import Space

GRID: dict[str, list[Any]] = {
    "fusion": ["rrf", "min_max", "z_score"],
    "weight": [0.3, 0.5, 0.7],
    "k1": [0.6, 0.9, 1.5],
    "b": [0.2, 0.4, 0.75],
    "feedback": [0.0, 0.4],
}
SAMPLERS: dict[str, Sampler] = {
    "random": Random(),
    "greedy": Greedy(order=list(GRID)),
    "additive": Additive(),
    "tpe": TPE(),
    "random_decompositions": RandomDecompositions(),
}
ARCHIVES: dict[str, Sampler] = {
    "random": Random(),
    "tpe": TPE(),
    "nsga2": NSGA2(population=8),
    "map_elites": MapElites(),
}
Key = frozenset[tuple[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="nfcorpus,scifact")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parameters = [Parameter(name, name, Categorical(choices=values), ({},)) for name, values in GRID.items()]
    space = Space(node_from_python({}), tuple(parameters))
    tables = {
        name: grid(given.data / name, Store(given.store) if given.store else None) for name in given.sets.split(",")
    }
    columns = " | ".join(f"it {n}" for n in SHOWN)
    print(f"| set | sampler | {columns} | to random, it {SHOWN[-1]} |\n|---|---|{'---|' * (len(SHOWN) + 1)}")
    for name, table in tables.items():
        print_best(name, space, table, given.seeds)
    print("\n| set | sampler | 30 tries: of the best in every cell | hypervolume |\n|---|---|---|---|")
    for name, table in tables.items():
        print_archives(name, space, table, given.seeds)


def grid(path: Path, store: Store | None) -> dict[Key, tuple[float, float, float]]:
    """nDCG@10 on dev and on test, and minus the CPU milliseconds of a dev question, of every point."""
    dataset = load_dataset(path)
    test = dataset.split("test")
    dev = sampled(dataset.split("dev" if "dev" in dataset.splits else "train"), 150)
    table = {}
    for values in itertools.product(*GRID.values()):
        point = dict(zip(GRID, values, strict=True))
        pipeline = Pipeline.from_config(config(point)).fit(dataset.corpus, store=store)
        on_dev, spent = measured(pipeline, dev)
        table[frozenset(point.items())] = (on_dev, measured(pipeline, test)[0], -spent)
    return table


def config(point: Mapping[str, Any]) -> dict[str, Any]:
    bm25 = {"type": "bm25", "k1": point["k1"], "b": point["b"]}
    embedder = {"type": "sentence_transformer", "model": MODEL}
    dense = {"type": "dense", "embedder": embedder, "index": {"type": "flat"}}
    retriever: dict[str, Any] = {
        "type": "hybrid",
        "retrievers": [bm25, dense],
        "fusion": {"type": point["fusion"]},
        "weights": [1 - point["weight"], point["weight"]],
    }
    if point["feedback"]:
        retriever = {"type": "feedback", "target": retriever, "vector_weight": point["feedback"]}
    return {"type": "pipeline", "retriever": retriever}


def measured(pipeline: Pipeline, split: Split) -> tuple[float, float]:
    batch = QueryBatch(split.queries)
    for _, part in pipeline.spec.walk():
        if part.kind == "embedder":
            vectors = VECTORS.setdefault(tuple(query.id for query in split.queries), {})
            if part.fingerprint not in vectors:
                vectors[part.fingerprint] = batch.embeddings(part)
            batch.remember("embeddings", part.fingerprint, lambda: vectors[part.fingerprint])  # noqa: B023 - called now
    start = time.process_time()
    candidates = pipeline.run(batch)
    spent = (time.process_time() - start) / len(split.queries) * 1e3
    values = per_query(parse_measures(["nDCG@10"]), split.qrels, as_run(split.queries, candidates, pipeline.corpus))
    return float(np.mean(list(values["nDCG@10"].values()))), spent


VECTORS: dict[tuple[str, ...], dict[str, Any]] = {}
"""Vectors of a split's questions by embedder, so that each is embedded once."""


def print_best(name: str, space: Space, table: dict[Key, tuple[float, float, float]], seeds: int) -> None:
    dev, curves = {key: row[0] for key, row in table.items()}, {}
    for label, sampler in SAMPLERS.items():
        rows = []
        for seed in range(seeds):
            points, _ = trajectory(sampler, space, dev, seed)
            best = [max(points[: n + 1], key=dev.__getitem__) for n in range(len(points))]
            rows.append([table[best[min(n, len(best)) - 1]][1] for n in SHOWN])
        curves[label] = np.array(rows)
        gap = curves[label][:, -1] - curves["random"][:, -1]
        cells = " | ".join(f"{mean:.4f}" for mean in curves[label].mean(axis=0))
        shown = "" if label == "random" else f"{gap.mean():+.4f} ± {gap.std(ddof=1) / np.sqrt(seeds):.4f}"
        print(f"| {name} | {label} | {cells} | {shown} |", flush=True)
    test = [row[1] for row in table.values()]
    whole = table[max(dev, key=dev.__getitem__)][1]
    print(f"| {name} | all {len(table)} on dev: {whole:.4f}; test from {min(test):.4f} to {max(test):.4f} {'| ' * 6}|")


def print_archives(name: str, space: Space, table: dict[Key, tuple[float, float, float]], seeds: int) -> None:
    slowest = -min(row[2] for row in table.values())
    values = {key: (row[0], 1 + row[2] / slowest) for key, row in table.items()}  # saved share of the slowest's time
    for label, sampler in ARCHIVES.items():
        print(f"| {name} | {label} | {archived(sampler, space, values, seeds)} |", flush=True)


if __name__ == "__main__":
    main()
