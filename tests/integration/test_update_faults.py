"""What can happen to a saved pipeline that is changed: kills, other writers, readers, a full disk, a flipped byte."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag import ArtifactError, Document, Pipeline

pytestmark = pytest.mark.slow

COMMON = """
from rag import LSA, Document, Pipeline, RecursiveChunker
from rag.retrievers import BM25, Dense, Hybrid

def documents(first, last, version):
    return [
        Document(f"d{n}", f"{version} item{n} about thing{n % 17} and thing{n % 23}. " * (1 + n % 5))
        for n in range(first, last)
    ]

def build():
    retrievers = [BM25(top_k=30), Dense(embedder=LSA(dim=8), top_k=30)]
    return Pipeline(chunker=RecursiveChunker(size=60, unit="characters"), retriever=Hybrid(retrievers=retrievers))

def index(folder):
    build().fit(documents(0, 240, "old")).save(folder)

def add(folder):
    with Pipeline.editing(folder) as pipeline:
        pipeline.add(documents(200, 280, "new"))

def delete(folder):
    with Pipeline.editing(folder) as pipeline:
        pipeline.delete([f"d{n}" for n in range(0, 20)])

def compact(folder):
    with Pipeline.editing(folder) as pipeline:
        pipeline.compact()

def write(folder):
    for n in range(6):
        with Pipeline.editing(folder) as pipeline:
            pipeline.add([Document(f"b{n}", f"the other wrote {n}")])
"""

# Imports take seconds. They are done before the forks, so that a child is killed at a moment of its work; only imports,
# since the threads that libraries start when they work would be lost in a fork.
PARENT = (
    COMMON
    + """
import contextlib, importlib, os, sys, tempfile
out, into = os.pipe()
if os.fork() == 0:
    with tempfile.TemporaryDirectory() as folder:
        for operation in (index, add, delete, compact):
            operation(folder)
    with os.fdopen(into, "w") as names:
        names.write(" ".join(sys.modules))
    os._exit(0)
os.close(into)
with os.fdopen(out) as names:
    for name in names.read().split():
        with contextlib.suppress(Exception):
            importlib.import_module(name)
os.wait()
print("ready", flush=True)
for line in sys.stdin:
    what, folder = line.split()
    child = os.fork()
    if child == 0:
        globals()[what](folder)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
)
HERE: dict[str, Callable[[Path], None]] = {}
exec(COMMON, HERE)  # the same operations, in this process
index, add, delete = HERE["index"], HERE["add"], HERE["delete"]

ORDER = ("index", "add", "delete", "compact")
MOMENTS = 52


class Forks:
    """Runs an operation on a folder in a process of its own, and kills it when asked to."""

    def __init__(self) -> None:
        # No threads, which a fork would lose.
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout.readline() == "ready\n"

    def __call__(self, change: str, folder: Path, kill_after: float | None = None) -> bool:
        """Whether it came to its end."""
        self.process.stdin.write(f"{change} {folder}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = int(self.process.stdout.readline())
        assert code in (0, -signal.SIGKILL)
        return code == 0


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.process.stdin.close()
    forks.process.stdout.close()
    assert forks.process.wait() == 0


def seen(folder: Path) -> tuple:
    """What there is to be seen of a saved pipeline, all checksums compared."""
    pipeline = Pipeline.load(folder, verify=True)
    hits = pipeline.search(["item7 thing3", "item250", "new thing5"])
    return (
        len(pipeline.corpus),
        pipeline.corpus.n_alive,
        [[(hit.document.id, hit.document.text, hit.start, round(hit.score, 6)) for hit in result] for result in hits],
    )


def test_killed_at_any_moment_it_is_as_before_or_after(forks: Forks, tmp_path: Path) -> None:
    """Index, add, delete, compact, each killed at 13 moments spread over twice the time it takes to write."""
    rng = random.Random(5)
    states: dict[str, object] = {"": None}
    took: dict[str, float] = {}
    stages = {"": tmp_path / "nothing"}
    before = ""
    for change in ORDER:  # what each leads to, without a kill
        stages[change] = tmp_path / f"after-{change}"
        if before:
            shutil.copytree(stages[before], stages[change])
        start = time.perf_counter()
        assert forks(change, stages[change])
        took[change] = time.perf_counter() - start
        states[change] = seen(stages[change])
        before = change
    assert len({repr(state) for state in states.values()}) == 5
    killed = finished = 0
    for number in range(MOMENTS):
        change = ORDER[number % 4]
        before = ("", *ORDER)[number % 4]
        folder = tmp_path / f"killed-{number}"
        if before:
            shutil.copytree(stages[before], folder)
        done = forks(change, folder, kill_after=rng.uniform(0, 1.1 * took[change]))
        killed += not done
        if before or (folder / "manifest.json").exists():
            now = seen(folder)
            assert now in (states[before], states[change])
            finished += now == states[change]
            assert not done or now == states[change]
        if number % 3 == 0:  # a rerun finishes the job, and clears up
            if (folder / "manifest.json").exists() and seen(folder) == states[change]:
                continue
            assert forks(change, folder)
            assert states[change] == seen(folder)
            assert len(list(folder.glob("data-*"))) == 1
        shutil.rmtree(folder, ignore_errors=True)
    assert killed > MOMENTS // 2
    assert 0 < finished


def test_a_reader_keeps_its_snapshot_and_loading_races_with_commits(forks: Forks, tmp_path: Path) -> None:
    index(tmp_path)
    snapshot = Pipeline.load(tmp_path)
    question = ["item7 thing3", "old thing5"]
    before = [[hit.document.text for hit in result] for result in snapshot.search(question)]
    stop = threading.Event()
    failures: list[BaseException] = []
    loads = 0

    def read() -> None:
        nonlocal loads
        while not stop.is_set():
            try:
                pipeline = Pipeline.load(tmp_path)
                documents = pipeline.corpus.n_alive
                texts = {hit.document.text.split()[0] for hit in pipeline.search("item210 item215")}
                assert (documents, texts) in (
                    (240, {"old"}),
                    (280, {"new"}),
                    (280, {"new", "old"}),
                    (260, {"new", "old"}),
                ), (documents, texts)
                loads += 1
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for change in ("add", "delete", "compact") * 4:
        assert forks(change, tmp_path)
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert loads > 5
    assert before == [[hit.document.text for hit in result] for result in snapshot.search(question)]


def test_two_writers_lose_nothing(forks: Forks, tmp_path: Path) -> None:
    index(tmp_path)
    other = threading.Thread(target=forks, args=("write", tmp_path))
    other.start()
    for n in range(6):
        with Pipeline.editing(tmp_path) as pipeline:
            pipeline.add([Document(f"a{n}", f"this one wrote {n}")])
    other.join()
    pipeline = Pipeline.load(tmp_path, verify=True)
    assert {f"{name}{n}" for name in "ab" for n in range(6)} == set(pipeline.corpus.ids()[240:])


def test_threads_of_one_process_wait_for_each_other(tmp_path: Path) -> None:
    index(tmp_path)

    def write(name: str) -> None:
        with Pipeline.editing(tmp_path) as pipeline:
            pipeline.add([Document(name, f"thread {name}")])

    threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(Pipeline.load(tmp_path).corpus.ids()[240:]) == {"t0", "t1", "t2", "t3"}


def test_a_flipped_byte_anywhere_is_refused(tmp_path: Path) -> None:
    index(tmp_path)
    delete(tmp_path)
    data = tmp_path / json.loads((tmp_path / "manifest.json").read_text())["data"]
    files = sorted(path for path in data.rglob("*") if path.is_file())
    assert {"corpus.arrow", "deleted.npy", "frequencies.npy", "index.faiss", "passages.npy", "components.npy"} < {
        path.name for path in files
    }
    for path in files:
        about, whole = path.stat(), path.read_bytes()
        offset = random.Random(path.name).randrange(len(whole))
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        with pytest.raises(ArtifactError, match=f"damaged: the checksum of .*{path.name} is wrong"):
            Pipeline.load(tmp_path)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # as a bad disk does it
        with pytest.raises(ArtifactError, match=f"damaged: the checksum of .*{path.name} is wrong"):
            Pipeline.load(tmp_path, verify=True)
        before = (tmp_path / "manifest.json").read_text()
        with pytest.raises(ArtifactError, match="damaged"), Pipeline.editing(tmp_path) as pipeline:
            pipeline.add([Document("new", "text")])  # damage is not written again under a new checksum
        assert before == (tmp_path / "manifest.json").read_text()
        path.write_bytes(whole)
    add(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"its manifest.json cannot be read"):
        Pipeline.load(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_pipeline(small_disk: Path) -> None:
    folder = small_disk / "index"
    index(folder)
    before = seen(folder)
    for filler in (0, 300_000, 100_000, 30_000):
        (small_disk / "filler").write_bytes(b"x" * 1000)
        free = shutil.disk_usage(small_disk).free
        (small_disk / "filler").write_bytes(b"x" * (free - filler))
        full = pytest.raises(ArtifactError, match="cannot be written: .*[Nn]o space left on device")
        with full, Pipeline.editing(folder) as pipeline:
            pipeline.add([Document(f"big{n}", f"much text {n} " * 30) for n in range(900)])
        assert len(list(folder.glob("data-*"))) == 1
        assert before == seen(folder)
    (small_disk / "filler").unlink()
    add(folder)
    assert Pipeline.load(folder, verify=True).corpus.n_alive == 280


def test_read_only_is_enough_for_reading(small_disk: Path) -> None:
    folder = small_disk / "index"
    index(folder)
    before = seen(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert before == seen(folder)
    with pytest.raises(ArtifactError, match="cannot be written: Read-only file system"):
        delete(folder)


def test_editing_what_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no saved pipeline"), Pipeline.editing(tmp_path / "nothing"):
        pass
    assert not (tmp_path / "nothing").exists()
