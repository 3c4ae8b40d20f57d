"""Evaluating a pipeline twice: with an empty store, and again with what the first run left there.

    python benchmarks/store.py CONFIG DATASET          # RAG_EMBEDDER names the model, as in configs/

Each run is a process of its own (``rag eval``), start of the interpreter included. Prints Markdown.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = """
import sys
from rag.cli import main
try:
    main()
finally:
    loaded = any(name in sys.modules for name in ("sentence_transformers", "transformers"))
    print("models loaded" if loaded else "no model loaded", file=sys.stderr)
"""


def main(config: str, dataset: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name in ("empty", "warm"):
            command = [sys.executable, "-c", RUN, "eval", config, "--dataset", dataset]
            command += ["--store", f"{folder}/store", "--out", f"{folder}/{name}", "--json"]
            start = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds = time.perf_counter() - start
            metrics = json.loads(done.stdout)
            run = (Path(folder) / name / "run.trec").read_bytes()
            rows.append((name, seconds, done.stderr.splitlines()[-1], metrics, run))
    (_, cold, _, before, run), (_, warm, _, after, again) = rows
    print(
        f"`{Path(config).name}` on {before['dataset']}, {before['corpus']['documents']} documents, "
        f"{before['n_queries']} queries\n"
    )
    print("| store | seconds | models | nDCG@10 | p50 as reported, ms |")
    print("|---|---|---|---|---|")
    for name, seconds, loaded, metrics, _ in rows:
        quality, latency = metrics["measures"]["nDCG@10"]["mean"], metrics["latency_ms"]["p50"]
        print(f"| {name} | {seconds:.1f} | {loaded} | {quality:.4f} | {latency:.1f} |")
    print(
        f"\ncold / warm: {cold / warm:.1f}; runs identical: {'yes' if run == again else 'no'}; "
        f"measures identical: {'yes' if before['measures'] == after['measures'] else 'no'}"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
