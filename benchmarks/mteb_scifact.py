"""The same pipelines measured by us and by mteb: do both say the same?

    python benchmarks/mteb_scifact.py DATA [NAME...]    # folders in BEIR's layout below DATA, by default scifact

Makes an mteb task from each folder and lets ``mteb.evaluate`` run the pipelines of ``configs/``. Prints Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mteb

from rag import Pipeline, Store
from rag.eval import evaluate, load_dataset
from rag.eval.integrations.mteb import PipelineSearch, mteb_task

CONFIGS = Path(__file__).parent.parent / "configs"
MEASURES = {"nDCG@10": "ndcg_at_10", "R@100": "recall_at_100", "AP@100": "map_at_100", "P@5": "precision_at_5"}


def main(data: Path, names: list[str]) -> None:
    print(f"| pipeline | dataset | measure | `evaluate` | `mteb.evaluate` (mteb {mteb.__version__}) | difference |")
    print("|---|---|---|---|---|---|")
    with Store() as store:
        for name in names:
            dataset = load_dataset(data / name)
            for config in ("bm25", "dense", "hybrid"):
                pipeline = Pipeline.from_yaml(CONFIGS / f"{config}.yaml")
                ours = evaluate(pipeline, dataset, measures=list(MEASURES), store=store, timed=False)
                search = PipelineSearch(Pipeline.from_yaml(CONFIGS / f"{config}.yaml"), store=store)
                result = mteb.evaluate(search, mteb_task(dataset), cache=None, show_progress_bar=False)
                (theirs,) = result.task_results[0].scores["test"]
                for measure, key in MEASURES.items():
                    a, b = ours.mean(measure), float(theirs[key])
                    print(f"| {config} | {name} | {measure} | {a:.5f} | {b:.5f} | {abs(a - b):.1e} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["scifact"])
