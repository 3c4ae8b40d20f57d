"""What people write by hand, beside ``rag tune --auto``: a loop over bm25s and sentence-transformers.

    python benchmarks/plain_loop.py DATA [--sets cranfield,cacm] [--dense MODEL]

Documents are embedded once by ``SentenceTransformer.encode``; the loop tries BM25's k1 and b (3 pairs), both kinds of
fusion (reciprocal ranks; scores scaled to 0..1 with 9 weights), 30 settings in all, chooses by nDCG@10 on the questions
that ``auto.py`` tunes on and is measured once on the same test questions. Seconds are CPU, of everything. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from auto import halved

from rag.eval.datasets.base import Split
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.models.names import resolve_model

PAIRS = ((0.9, 0.4), (1.2, 0.75), (1.5, 0.75))
WEIGHTS = tuple(np.linspace(0.1, 0.9, 9).round(1))
DEPTH = 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="cranfield,cacm")
    parser.add_argument("--dense", default="sentence-transformers/all-MiniLM-L6-v2")
    given = parser.parse_args()
    print("| set | tuned on | test questions | settings | CPU s, embedding | CPU s, all | nDCG@10 on test | chosen |")
    print("|---" * 8 + "|")
    for name in given.sets.split(","):
        dataset = halved(load_dataset(name if name == "python-reference" else given.data / name))
        tuning = "dev" if "dev" in dataset.splits else "train"
        start = time.process_time()
        documents, texts = [d.id for d in dataset.corpus], [_text(d) for d in dataset.corpus]
        parts = {split: dataset.split(split) for split in (tuning, "test")}
        cosines = _cosines(given.dense, texts, parts)
        embedded = time.process_time() - start
        best = max(
            (
                (_quality(_fused(kind, words[tuning], cosines[tuning]), documents, parts[tuning]), pair, kind)
                for pair, words in ((pair, _words(texts, parts, *pair)) for pair in PAIRS)
                for kind in (0.0, *WEIGHTS)
            ),
            key=lambda tried: tried[0],
        )
        _, pair, kind = best
        scores = _fused(kind, _words(texts, parts, *pair)["test"], cosines["test"])
        quality = _quality(scores, documents, parts["test"])
        how = f"k1 {pair[0]}, b {pair[1]}, " + (f"weight {kind}" if kind else "reciprocal ranks")
        print(
            f"| {name} | {tuning}, {len(parts[tuning].queries)} | {len(parts['test'].queries)} | 30 | {embedded:.0f} "
            f"| {time.process_time() - start:.0f} | {quality:.4f} | {how} |",
            flush=True,
        )


def _text(document: Any) -> str:
    title = document.metadata.get("title") or ""
    return f"{title}\n{document.text}" if title else str(document.text)


def _cosines(model: str, texts: list[str], parts: dict[str, Split]) -> dict[str, Any]:
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(resolve_model(model))
    documents = encoder.encode(texts, normalize_embeddings=True)
    return {
        name: encoder.encode([query.text for query in split.queries], normalize_embeddings=True) @ documents.T
        for name, split in parts.items()
    }


def _words(texts: list[str], parts: dict[str, Split], k1: float, b: float) -> dict[str, Any]:
    import bm25s
    import Stemmer

    def tokens(some: list[str]) -> Any:
        stemmer = Stemmer.Stemmer("english")
        return bm25s.tokenize(some, stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False)

    index = bm25s.BM25(k1=k1, b=b)
    index.index(tokens(texts), show_progress=False)
    scores = {}
    for name, split in parts.items():
        known = [
            [word for word in words if word in index.vocab_dict] for words in tokens([q.text for q in split.queries])
        ]
        nothing = np.zeros(len(texts))
        scores[name] = np.stack([index.get_scores(words) if words else nothing for words in known])
    return scores


def _fused(weight: float, words: Any, cosines: Any) -> Any:
    """Scores of all documents: by reciprocal ranks where the weight is 0, else by scaled scores."""
    if not weight:
        return sum(1 / (60 + np.argsort(np.argsort(-scores, axis=1), axis=1)) for scores in (words, cosines))
    return (1 - weight) * _scaled(words) + weight * _scaled(cosines)


def _scaled(scores: Any) -> Any:
    last = -np.partition(-scores, DEPTH, axis=1)[:, DEPTH : DEPTH + 1]
    return np.clip((scores - last) / np.maximum(scores.max(axis=1, keepdims=True) - last, 1e-9), 0, None)


def _quality(scores: Any, documents: list[str], split: Split) -> float:
    run = {}
    for query, row in zip(split.queries, scores, strict=True):
        best = np.argsort(-row, kind="stable")[:DEPTH]
        run[query.id] = {documents[n]: float(row[n]) for n in best}
    values = per_query(parse_measures(["nDCG@10"]), split.qrels, run)["nDCG@10"]
    return float(np.mean(list(values.values())))


if __name__ == "__main__":
    main()
