"""Kills clients that change a saved pipeline at random moments: ``python -m tests.integration.killed_clients``.

Every client is a fork of this process, so that only one pays for imports; this process itself opens nothing.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rag import LSA, Document, Pipeline
from rag.pipeline import saving
from rag.retrievers import Dense
from tests.unit.retrievers.test_filters import DOCUMENTS


def change(folder: Path, number: int) -> None:
    with Pipeline.editing(folder) as pipeline:
        if number % 3 == 0:
            metadata = {"even": True, f"field{number}": number}
            pipeline.add([Document(f"n{number}-{n}", f"green thing {n}", metadata) for n in range(30)])
        elif number % 3 == 1:
            pipeline.delete(filter={"number": {"gte": 3 * (number % 30), "lt": 3 * (number % 30) + 20}})
        else:
            pipeline.sync(DOCUMENTS[number % 40 :], max_deletes=None)


def check(folder: Path) -> None:
    """What the folder says is there is there: no more, no less."""
    pipeline = Pipeline.load(folder)
    pipeline.retriever.index.verify_elsewhere()
    corpus = pipeline.corpus
    alive = {document.id for position, document in enumerate(corpus) if corpus.alive is None or corpus.alive[position]}
    hits = pipeline.search("green thing and red", top_k=500, filter={"id": {"exists": True}})
    assert {hit.document.id for hit in hits} == alive


def killed_at(step: str, folder: Path, number: int) -> None:
    """A change whose process is killed at a step of saving it."""
    keep, settle = saving.keep_elsewhere, saving.settle

    def kept(pipeline):
        keep(pipeline)
        if step == "the server keeps it":
            os.kill(os.getpid(), signal.SIGKILL)

    def settled(pipeline, where, held):
        if step == "settled":
            settle(pipeline, where, held)
        os.kill(os.getpid(), signal.SIGKILL)

    saving.keep_elsewhere, saving.settle = kept, settled
    change(folder, number)


def forked(call: Callable[[], None], seconds: float | None = None) -> int:
    """The status of a process that calls; killed after so many seconds from when it began."""
    begun, begin = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.write(begin, b"x")
            call()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    os.read(begun, 1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(begun)
    os.close(begin)
    return status


def warm() -> None:
    """Import everything that clients need."""
    import filelock
    import psycopg_pool

    import rag.retrievers.indexes.pgvector

    assert filelock, psycopg_pool
    assert rag.retrievers.indexes.pgvector
    with tempfile.TemporaryDirectory() as name:
        Pipeline(retriever=Dense(embedder=LSA(dim=8))).fit(DOCUMENTS).save(name)
        Pipeline.load(name).delete(["d1"])


def main(folder: Path, times: int, seed: int) -> None:
    warm()
    draw = random.Random(seed)
    start = time.perf_counter()
    assert forked(lambda: change(folder, 0)) == 0
    usual = time.perf_counter() - start
    killed = 0
    for number in range(1, times + 1):
        killed += forked(lambda number=number: change(folder, number), draw.random() * 1.2 * usual) != 0
        assert forked(lambda: check(folder)) == 0, f"after the kill of {number}"
        assert forked(lambda number=number: change(folder, number)) == 0, f"{number} again"
        assert forked(lambda: check(folder)) == 0, f"after {number} again"
    for number, step in enumerate(("the server keeps it", "the folder has it", "settled"), times + 1):
        status = forked(lambda number=number, step=step: killed_at(step, folder, number))
        assert status == signal.SIGKILL, step
        for name in (folder.with_name("other"), folder):  # another folder's writer removes what nobody needs
            assert forked(lambda name=name, number=number: change(name, number)) == 0, f"{name} after '{step}'"
            assert forked(lambda: check(folder)) == 0, f"after '{step}'"
    print(f"{killed} of {times} killed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
