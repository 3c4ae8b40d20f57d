"""Is it light? Process time of starting, what is loaded, and memory of indexing 100,000 documents with BM25.

    python benchmarks/light.py

Prints Markdown.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

HEAVY = ("torch", "faiss", "transformers", "pandas", "pyarrow", "sklearn", "scipy")
RAG = Path(sys.executable).parent / "rag"
REPEATS = 11


def cpu_seconds(command: list[str]) -> float:
    """Median processor time (user and system) of a process."""
    times = []
    for _ in range(REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sorted(times)[REPEATS // 2]


def loaded(code: str) -> str:
    """Which heavy packages a program has loaded at its end."""
    probe = f"{code}\nimport sys; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1].strip() or "none"


def write_corpus(path: Path, n: int, words: int) -> None:
    """Documents whose words are spread as in English (Zipf), each word of a vocabulary of 50,000."""
    generator = random.Random(0)
    vocabulary = [
        "".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=generator.randint(3, 10))) for _ in range(50_000)
    ]
    weights = [1 / (rank + 2) for rank in range(len(vocabulary))]
    with path.open("w") as file:
        for number in range(n):
            text = " ".join(generator.choices(vocabulary, weights, k=words))
            file.write(json.dumps({"_id": f"d{number}", "text": text}) + "\n")


def peak_of(command: list[str]) -> float:
    """Largest resident memory of a process in MiB."""
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return usage.ru_maxrss / 1024


def main() -> None:
    print("| start | process time, s | heavy packages loaded |")
    print("|---|---|---|")
    helped = "import sys; sys.argv = ['rag', '--help']\nfrom rag.cli import main\ntry: main()\nexcept SystemExit: pass"
    print(f"| `rag --help` | {cpu_seconds([str(RAG), '--help']):.3f} | {loaded(helped)} |")
    print(f"| `import rag` | {cpu_seconds([sys.executable, '-c', 'import rag']):.3f} | {loaded('import rag')} |")
    print(f"| `python -c pass`, to compare | {cpu_seconds([sys.executable, '-c', 'pass']):.3f} | none |")
    with tempfile.TemporaryDirectory() as folder:
        corpus, config = Path(folder) / "corpus.jsonl", Path(folder) / "bm25.yaml"
        write_corpus(corpus, 100_000, 100)
        config.write_text("type: pipeline\nretriever: {type: bm25}\n")
        peak = peak_of([str(RAG), "index", str(config), "--corpus", str(corpus), "--out", f"{folder}/index"])
        size = sum(path.stat().st_size for path in Path(folder, "index").rglob("*") if path.is_file())
    print()
    print("| indexing | peak resident memory, MiB | index on disk, MiB |")
    print("|---|---|---|")
    print(f"| 100,000 documents of 100 words, bm25 | {peak:.0f} | {size / 2**20:.0f} |")


if __name__ == "__main__":
    main()
