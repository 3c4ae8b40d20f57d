"""Run folders made up for tests of what reads them: no pipeline, no model, every number from a seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["MEASURES", "fake_filter", "fake_queries", "write_fake_run"]

MEASURES = ("nDCG@10", "R@100", "RR@10", "AP", "P@5")

CONFIG = """\
type: pipeline
chunker: {type: recursive, size: 256, overlap: 32}
retriever:
  type: hybrid
  fusion: {type: rrf, k: 60}
  retrievers:
    - {type: bm25, k1: 1.2, b: 0.75, stemmer: english}
    - type: dense
      embedder: {type: sentence_transformer, model: sentence-transformers/all-MiniLM-L6-v2}
      index: {type: hnsw, m: 32, ef_construction: 200, ef_search: 128}
  top_k: 200
stages:
  - {type: rerank, scorer: {type: cross_encoder, model: cross-encoder/ms-marco-MiniLM-L6-v2}, budget: 60, top_k: 50}
  - {type: threshold, min_relative: 0.6}
"""
_SUBJECTS = ("the vaccine", "aspirin", "sleep", "vitamin D", "green tea", "the gut flora", "statins", "naïve T cells")
_VERBS = ("reduces", "does not change", "raises", "is linked to", "predicts")
_OBJECTS = (
    "mortality",
    "blood pressure in adults over 65",
    "the risk of stroke",
    "IL-6 levels",
    "relapse after surgery",
)
_TEXT = (
    "We followed {n} patients for five years and compared those given treatment with a matched group. The hazard "
    "ratio was 0.{r} (95 % CI 0.61–0.94), and the effect held after adjusting for age, smoking and β-blockers. "
)
_HIT = pa.struct(
    [
        ("id", pa.string()),
        ("title", pa.string()),
        ("link", pa.string()),
        ("passage", pa.string()),
        ("score", pa.float64()),
        ("grade", pa.int64()),
    ]
)
_DUE = [("id", pa.string()), ("title", pa.string()), ("link", pa.string()), ("grade", pa.int64()), ("rank", pa.int64())]
_STAGE = pa.struct([("name", pa.string()), ("candidates", pa.int64()), ("best", pa.list_(_HIT))])
_FAULT = pa.struct([("mode", pa.string()), ("stage", pa.string()), ("documents", pa.int64()), ("loss", pa.float64())])
_SINCE = [("ranks", pa.list_(pa.int64())), ("lost_at", pa.string())]
_STAGES = ("retriever", "stages.0 rerank", "stages.1 threshold")


def fake_queries(n: int = 120, *, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of ``per_query.parquet``; scores pile up at 0 and 1 as those of real runs do."""
    random = np.random.default_rng(seed)
    return [_query(number, random) for number in range(n)]


def fake_filter(text: str = "Aspirin and the risk of stroke", name: str = "stages.1 cosine_adapter") -> dict[str, Any]:
    """An entry of ``filters`` in ``metrics.json``; the texts of its examples are ``text``."""
    recall = np.linspace(0, 1, 20)

    def curve(power: float) -> dict[str, Any]:
        points = np.stack([recall, (1 - recall * 0.9) ** power], axis=1).round(4).tolist()
        return {"pr_auc": 0.1 + 0.4 / power, "p_at_r95": 0.05 / power, "points": points}

    def example(rank: int, grade: int | None) -> dict[str, Any]:
        return {
            "query": text,
            "document": text,
            "title": text,
            "grade": grade,
            "score": 0.7 / rank,
            "value": 0.01 / rank,
            "rank": rank,
        }

    calibration = {"threshold": 0.02, "queries": 809, "relevant": 852, "recall": 0.951, "precision": 0.1, "kept": 0.2}
    return {
        "name": name,
        "before": "stages.0 rerank",
        "threshold": 0.0213,
        "keep": {"recall": 0.95},
        "calibration": calibration | {"empty": 0.05},
        "pairs": 6000,
        "relevant": 118,
        "judged": 0.021,
        "removed": 0.787,
        "recall": 0.941,
        "precision": 0.0871,
        "empty": 0.058,
        "unanswerable": {"queries": 7, "empty": 0.86},
        "kept": [{"low": low, "high": high, "queries": n} for low, high, n in ((0, 0, 7), (1, 1, 53), (2, 3, 60))],
        "curve": curve(1.0),
        "curve_before": curve(3.0),
        "ece": 0.0123,
        "brier": 0.0456,
        "reliability": [
            {"pairs": 60 * (10 - n), "probability": n / 10 + 0.04, "relevant": n / 11 + 0.03} for n in range(10)
        ],
        "examples": {"lost": [example(1, 1), example(12, 2)], "cut": [example(2, None), example(3, 0)]},
    }


def write_fake_run(
    folder: Path, queries: list[dict[str, Any]] | None = None, *, old: bool = False, **metrics: Any
) -> Path:
    """A complete run folder.

    Args:
        folder: Made when missing.
        queries: Rows, by default those of :func:`fake_queries`.
        old: As runs were before they kept what every stage returned, and failure modes.
        metrics: Replace entries of ``metrics.json``.
    """
    queries = fake_queries() if queries is None else queries
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    record = _metrics(queries) | metrics
    if old:
        del record["failures"]
    (folder / "metrics.json").write_text(json.dumps(record), encoding="utf-8")
    texts = [(name, pa.string()) for name in ("query_id", "query", "metadata")]
    counts = [(name, pa.int64()) for name in ("n_relevant", "n_returned")]
    schema = pa.schema(
        [
            *texts,
            *counts,
            *((m, pa.float64()) for m in MEASURES),
            ("returned", pa.list_(_HIT)),
            ("expected", pa.list_(pa.struct(_DUE if old else [*_DUE, *_SINCE]))),
            *(() if old else [("stages", pa.list_(_STAGE)), ("failures", pa.list_(_FAULT))]),
        ]
    )
    pq.write_table(pa.Table.from_pylist(queries, schema=schema), folder / "per_query.parquet")
    lines = [
        f"{query['query_id']} Q0 {hit['id']} {rank} {hit['score']!r} rag\n"
        for query in queries
        for rank, hit in enumerate(query["returned"], 1)
    ]
    (folder / "run.trec").write_text("".join(lines), encoding="utf-8")
    return folder


def _query(number: int, random: np.random.Generator) -> dict[str, Any]:
    subject, verb, thing = (str(random.choice(words)) for words in (_SUBJECTS, _VERBS, _OBJECTS))
    kind = random.random()
    score = 0.0 if kind < 0.08 else 1.0 if kind < 0.3 else round(float(random.beta(4, 2)), 4)
    returned = [
        {
            "id": f"d{random.integers(5000)}",
            "title": f"{subject.capitalize()} and {random.choice(_OBJECTS)}: a cohort study",
            "passage": _TEXT.format(n=random.integers(90, 4000), r=random.integers(60, 99)) * 3,
            "score": 9.0 - rank * 0.7 + float(random.random()),
            "grade": 1 if score and rank == 1 else 0 if rank == 3 else None,
        }
        for rank in range(10 if number % 7 else 4)
    ]
    standing = (
        {"rank": 2, "ranks": [7, 3, 2]} if score else {"rank": None, "ranks": [14, None, None], "lost_at": _STAGES[1]}
    )
    gone = {"rank": None, "ranks": [None] * 3, "lost_at": _STAGES[0]}
    expected = [
        {"id": returned[1]["id"], "title": returned[1]["title"], "grade": 1} | standing,
        {"id": "d9001", "title": f"{subject.capitalize()}: results of a randomized trial", "grade": 1} | gone,
    ]
    faults = [{"mode": "missed", "stage": _STAGES[0], "documents": 1, "loss": 0.4 * (1 - score)}]
    if not score:
        faults.append({"mode": "cut", "stage": _STAGES[1], "documents": 1, "loss": 0.6})
    values = {"nDCG@10": score, "R@100": min(1.0, score * 1.3), "RR@10": score**0.5, "AP": score**1.4, "P@5": score / 5}
    return {
        "query_id": f"q{number:03}",
        "query": f"{subject.capitalize()} {verb} {thing}",
        "metadata": json.dumps({"category": "claim", "year": 2000 + number % 20}),
        "n_relevant": 2,
        "n_returned": len(returned),
        **values,
        "returned": returned,
        "expected": expected,
        "stages": [
            {"name": name, "candidates": candidates, "best": best}
            for name, candidates, best in (
                (_STAGES[0], 200, returned[::-1]),
                (_STAGES[1], 50, returned),
                (_STAGES[2], len(returned), returned),
            )
        ],
        "failures": faults,
    }


def _metrics(queries: list[dict[str, Any]]) -> dict[str, Any]:
    n = len(queries)

    def measure(name: str) -> dict[str, Any]:
        values = np.array([query[name] for query in queries])
        half = 1.96 * float(values.std()) / n**0.5
        mean = float(values.mean())
        return {"mean": mean, "ci95": [mean - half, mean + half] if n > 1 else None}

    def stage(name: str, seconds: float, **more: float) -> dict[str, Any]:
        counters = dict.fromkeys(("texts_embedded", "scorer_calls", "llm_calls", "llm_tokens"), 0)
        return {"name": name, "seconds": seconds, **counters, **more}

    return {
        "dataset": "scifact",
        "split": "test",
        "n_queries": n,
        "measures": {name: measure(name) for name in MEASURES},
        "latency_ms": {"p50": 41.3, "p95": 78.94, "n_queries": min(n, 100)},
        "throughput_qps": 31.27,
        "costs": {"seconds": 3.837, "texts_embedded": n, "scorer_calls": 60 * n, "llm_calls": 0, "llm_tokens": 0},
        "stages": [
            stage("retriever", 0.412, candidates=200.0, texts_embedded=n),
            stage("stages.0 rerank", 3.421, candidates=50.0, scorer_calls=60 * n),
            stage("stages.1 threshold", 0.004, candidates=8.43),
        ],
        "fit": [
            stage("corpus", 0.21),
            stage("chunker", 1.84),
            stage("shared", 84.1, texts_embedded=11216),
            stage("retriever", 6.35),
        ],
        "filters": [fake_filter()],
        "attribution": {
            "relevant": 2 * n,
            "measure": MEASURES[0],
            "stages": [
                {"name": "retriever", "left": 2 * n - 9, "recall": 0.954, "lost": 8, "oracle": 0.97},
                {"name": "stages.0 rerank", "left": 2 * n - 12, "recall": 0.931, "lost": 3, "oracle": 0.94},
                {"name": "stages.1 threshold", "left": n, "recall": 0.52, "lost": n - 12, "oracle": 0.71},
            ],
            "not_in_corpus": 1,
        },
        "failures": _failures(queries),
        "slices": [
            {
                "by": "metadata category",
                "kinds": [
                    {"kind": kind, "n_queries": n // 2, "measures": {name: measure(name) for name in MEASURES}}
                    for kind in ("claim", "a kind of which the name is longer than it should be " * 3)
                ],
            }
        ],
        "corpus": {"documents": 5183, "passages": 11216},
        "config_fingerprint": "9f2c61d07ab84e31",
        "versions": {"rag-pipelines": "0.1.0", "torch": "2.9.1", "faiss-cpu": "1.13.0", "python": "3.12.4"},
        "seed": 0,
        "notes": ["3 of the judged documents are not in the corpus; they cannot be found."],
        "created": "2026-11-21T09:30:00+00:00",
    }


def _failures(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    modes = []
    for mode, stage in (("missed", _STAGES[0]), ("cut", _STAGES[1])):
        hit = [(query, fault) for query in queries for fault in query["failures"] if fault["mode"] == mode]
        if not hit:
            continue
        setting = "retriever.top_k" if mode == "missed" else "stages.0.budget"
        entry = {
            "mode": mode,
            "stage": stage,
            "setting": setting,
            "documents": len(hit),
            "share": len(hit) / (2 * len(queries)),
        }
        loss = {"queries": len(hit), "loss": sum(fault["loss"] for _, fault in hit) / len(queries)}
        worst = [
            {"query_id": query["query_id"], "query": query["query"], "documents": 1, "loss": fault["loss"]}
            for query, fault in sorted(hit, key=lambda pair: -pair[1]["loss"])[:5]
        ]
        modes.append(entry | loss | {"worst": worst})
    return modes
