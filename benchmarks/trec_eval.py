"""Do our measures equal trec_eval's, ties, grades and negative grades included?

    python benchmarks/trec_eval.py DATA        # folders in BEIR's layout below DATA

Every run is measured by us and by trec_eval (pytrec_eval), query by query. Prints Markdown.

- as returned: BM25's run as `rag eval` writes it, read by trec_eval's own parser
- ties: the scores rounded to whole numbers, so that most documents are tied, in a file that `rag compare` reads
- negative: the same file; a third of what is not relevant, judged or not, is judged -1 or -2 as TREC has it
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytrec_eval

from rag import Pipeline
from rag.eval import evaluate, load_dataset
from rag.eval.datasets.base import Qrels
from rag.eval.runs.folder import write_run
from rag.eval.runs.reading import read_run_values

SETS = ("scifact", "nfcorpus", "cranfield", "cacm", "msmarco_dl19_union", "python-reference")
NAMES = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG": "ndcg",
    "AP": "map",
    "AP@100": "map_cut_100",
    "R@100": "recall_100",
    "P@5": "P_5",
    "RR": "recip_rank",
    "Rprec": "Rprec",
    "Bpref": "bpref",
    "Success@1": "success_1",
}


def reference(path: Path, qrels: Qrels) -> dict[str, dict[str, float]]:
    """trec_eval's values; of queries it leaves out, none."""
    with path.open(encoding="utf-8") as file:
        run = pytrec_eval.parse_run(file)
    judged = {query: dict(grades) for query, grades in qrels.items()}
    return pytrec_eval.RelevanceEvaluator(judged, set(NAMES.values())).evaluate(run)


def largest(values: dict[str, dict[str, float]], theirs: dict[str, dict[str, float]], qrels: Qrels) -> float:
    return max(
        abs(values[ours].get(query, 0.0) - theirs.get(query, {}).get(name, 0.0))
        for ours, name in NAMES.items()
        for query in qrels
    )


def tied(path: Path, target: Path) -> float:
    """Write the run with whole scores; the share of documents that are tied with another one."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row[4] = str(round(float(row[4])))
    counts = Counter((row[0], row[4]) for row in rows)
    target.write_text("".join(" ".join(row) + "\n" for row in rows), encoding="utf-8")
    return sum(count for count in counts.values() if count > 1) / len(rows)


def negative(qrels: Qrels, path: Path) -> dict[str, dict[str, int]]:
    rng = random.Random(0)
    judged = {query: dict(grades) for query, grades in qrels.items()}
    for line in path.read_text(encoding="utf-8").splitlines():
        query, _, document, *_ = line.split()
        if judged[query].get(document, 0) <= 0 and rng.random() < 1 / 3:
            judged[query][document] = rng.choice([-1, -2])
    return judged


def main(data: Path) -> None:
    print("| dataset | documents | queries | judgments | grades | as returned | tied documents | ties | negative |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in SETS:
        dataset = load_dataset(data / name if (data / name).is_dir() else name)
        pipeline = Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25", "top_k": 1000}})
        evaluation = evaluate(pipeline, dataset, measures=list(NAMES), timed=False)
        qrels = evaluation.split.qrels
        with tempfile.TemporaryDirectory() as folder:
            path = write_run(evaluation, Path(folder) / "run") / "run.trec"
            ties = Path(folder) / "tied.trec"
            returned = largest(dict(evaluation.values), reference(path, qrels), qrels)
            share = tied(path, ties)
            differences = []
            for judged in (qrels, negative(qrels, ties)):
                values = read_run_values(ties, measures=list(NAMES), qrels=judged).values
                differences.append(largest(dict(values), reference(ties, judged), judged))
        grades = sorted({grade for judged in qrels.values() for grade in judged.values()})
        print(
            f"| {dataset.name} | {len(dataset.corpus):,} | {len(qrels):,} | {sum(map(len, qrels.values())):,} "
            f"| {grades[0]} to {grades[-1]} | {returned:.1e} | {share:.0%} "
            f"| {differences[0]:.1e} | {differences[1]:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
