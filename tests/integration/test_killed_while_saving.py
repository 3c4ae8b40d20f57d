"""A process that is killed while it saves leaves the old pipeline or the new one, never half of one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

from rag import Document, Pipeline
from rag.retrievers import BM25

pytestmark = pytest.mark.slow

WRITER = """
import itertools, sys
from rag import Document, Pipeline
from rag.retrievers import BM25
pipelines = [
    Pipeline(retriever=BM25(top_k=k)).fit([Document(f"v{k}-{n}", f"version{k} word{n} " * 50) for n in range(300)])
    for k in (1, 2)
]
print("ready", flush=True)
for pipeline in itertools.cycle(pipelines):
    pipeline.save(sys.argv[1])
    print("saved", flush=True)
"""
SECONDS = 6.0


def writer(folder):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_killed_writer_leaves_a_whole_pipeline(tmp_path):
    rng = random.Random(4)
    folder = tmp_path / "p"
    Pipeline(retriever=BM25(top_k=3)).fit([Document("v3-0", "version3 word0")]).save(folder)
    deadline, rounds = time.monotonic() + SECONDS, 0
    while rounds < 3 or (time.monotonic() < deadline and rounds < 12):
        process = writer(folder)
        saves = rounds % 3
        for _ in range(saves):
            assert process.stdout.readline() == "saved\n"
        time.sleep(rng.uniform(0.0, 0.1))
        kill(process)
        pipeline = Pipeline.load(folder, verify=True)
        version = pipeline.retriever.top_k
        result = pipeline.search(f"version{version} word0")
        assert result[0].document.id == f"v{version}-0"
        assert (1 if version == 3 else 300) == len(pipeline.corpus)
        assert version != 3 or rounds == 0  # from the second round on, something was saved
        rounds += 1
    Pipeline(retriever=BM25(top_k=5)).fit([Document("v5-0", "version5")]).save(folder)
    assert Pipeline.load(folder, verify=True).retriever.top_k == 5
    assert sorted(path.name.partition("-")[0].partition(".")[0] for path in folder.glob("[!.]*")) == [
        "data",
        "manifest",
    ]
