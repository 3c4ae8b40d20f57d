"""The artifact store: found again by what made it, computed once by however many, whole after any death."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from rag import ArtifactError, Document, LangChainEmbedder, ModelError, Pipeline, RecursiveChunker
from rag.rerankers import MaxSim, Rerank
from rag.retrievers import BM25, HNSW, Dense, Flat, Hybrid
from rag.store.folder import read_folder
from rag.store.key_value_cache import KeyValueCache, text_key
from rag.store.store import Store
from tests.fakes import WordEmbedder

DOCUMENTS = [Document(str(n), f"section {n} is about item {n * 7}. " * (1 + n % 4)) for n in range(60)]


class Counting(WordEmbedder):
    """Counts the documents it embeds.

    Args:
        size: Length of the vectors.
    """

    type = "fake_counting_words"
    embedded = 0

    def embed_documents(self, texts, *, advance=None):  # type: ignore[no-untyped-def]
        type(self).embedded += len(texts)
        return super().embed_documents(texts, advance=advance)

    def embed_document_tokens(self, texts, *, advance=None):  # type: ignore[no-untyped-def]
        type(self).embedded += len(texts)
        tokens, vectors = super().embed_document_tokens(texts, advance=advance)
        return tokens, vectors


def build(size: int = 16, chunk: int = 40, **bm25: float) -> Pipeline:
    embedder = Counting(size=size)
    return Pipeline(
        chunker=RecursiveChunker(size=chunk, unit="characters"),
        retriever=Hybrid(retrievers=[BM25(**bm25), Dense(embedder=embedder, index=HNSW(m=8))]),
    )


def answers(pipeline: Pipeline) -> list[list[tuple[str, float]]]:
    results = pipeline.search([f"item {n * 7}" for n in range(0, 60, 7)])
    return [[(hit.document.id, hit.score) for hit in result] for result in results]


@pytest.fixture(autouse=True)
def _count() -> None:
    Counting.embedded = 0


def test_a_second_fit_computes_nothing_and_answers_alike(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plain = answers(build().fit(DOCUMENTS))
    first = build().fit(DOCUMENTS, store=store)
    assert first.reused == ()
    Counting.embedded = 0
    second = build().fit(DOCUMENTS, store=Store(tmp_path))
    assert second.reused == ("retriever bm25", "index hnsw")
    assert Counting.embedded == 0
    # Costs are those of when it was made.
    assert 0 < first.fit_costs.total.texts_embedded == second.fit_costs.total.texts_embedded
    assert plain == answers(first) == answers(second)


def test_late_interaction_is_kept_too(tmp_path: Path) -> None:
    def late() -> Pipeline:
        embedder = Counting(size=8)
        return Pipeline(
            retriever=Dense(embedder=embedder, index=Flat()),
            stages=[Rerank(scorer=MaxSim(embedder=embedder), budget=10)],
        )

    first = late().fit(DOCUMENTS, store=Store(tmp_path))
    Counting.embedded = 0
    second = late().fit(DOCUMENTS, store=Store(tmp_path))
    assert Counting.embedded == 0
    assert second.reused == ("index flat", "scorer max_sim")
    assert answers(first) == answers(second)


def test_vectors_are_kept_by_text_so_what_is_alike_is_shared(tmp_path: Path) -> None:
    dense = Pipeline(retriever=Dense(embedder=Counting(size=16)))
    dense.fit(DOCUMENTS, store=Store(tmp_path))
    assert len({document.text for document in DOCUMENTS}) == Counting.embedded
    more = [*DOCUMENTS[:50], Document("new", "something else"), Document("twin", DOCUMENTS[3].text)]
    again = Pipeline(retriever=Dense(embedder=Counting(size=16))).fit(more, store=Store(tmp_path))
    assert Counting.embedded == 61  # only the new text
    assert again.search("something else")[0].document.id == "new"


@pytest.mark.parametrize(
    ("change", "reused"),
    [
        ({"size": 17}, {"retriever bm25"}),  # another embedder: another index
        ({"k1": 1.7}, {"index hnsw"}),  # another BM25, the same index
        ({"chunk": 60}, set()),  # other passages: everything anew
    ],
)
def test_what_changes_is_computed_again_and_nothing_else(tmp_path: Path, change: dict, reused: set[str]) -> None:
    store = Store(tmp_path)
    build().fit(DOCUMENTS, store=store)
    assert reused == set(build(**change).fit(DOCUMENTS, store=store).reused)


def test_other_documents_other_artifacts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build().fit(DOCUMENTS, store=store)
    assert build().fit(DOCUMENTS[:-1], store=store).reused == ()
    # Ids are not part of passages: the same texts under other names are the same work.
    assert len(build().fit([Document(f"x{d.id}", d.text) for d in DOCUMENTS], store=store).reused) == 2


def test_modes(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nothing may be computed"):
        build().fit(DOCUMENTS, store=Store(tmp_path, mode="only"))
    build().fit(DOCUMENTS, store=Store(tmp_path))
    assert len(build().fit(DOCUMENTS, store=Store(tmp_path, mode="only")).reused) == 2
    Counting.embedded = 0
    refreshing = Store(tmp_path, mode="refresh")
    assert build().fit(DOCUMENTS, store=refreshing).reused == ()
    assert Counting.embedded > 0
    assert len(build().fit(DOCUMENTS, store=refreshing).reused) == 2  # refreshed once is enough


def test_a_read_only_store_serves_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build().fit(DOCUMENTS, store=Store(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write anywhere
    assert len(build().fit(DOCUMENTS, store=Store(tmp_path)).reused) == 2
    with pytest.raises(ArtifactError, match="may not be written"):
        build(k1=1.9).fit(DOCUMENTS, store=Store(tmp_path))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def test_damage_is_found_and_what_is_cut_off_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = answers(build().fit(DOCUMENTS, store=store))
    store.close()
    assert store.verify() == []
    victim = next(tmp_path.glob("artifacts/retriever/*/data-*/frequencies.npy"))
    flip(victim)
    assert [line.rpartition(": ")[2] for line in store.verify()] == ["the checksum of frequencies.npy is wrong"]
    victim.write_bytes(b"")
    again = build().fit(DOCUMENTS, store=Store(tmp_path))
    assert again.reused == ("index hnsw",)
    assert first == answers(again)
    assert store.verify() == []


def test_a_damaged_value_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    values = KeyValueCache(path, description="test")
    values.put((text_key(str(n)), np.full(64, n, dtype=np.float32).tobytes()) for n in range(20))
    values.close()
    data = path.read_bytes()
    offset = data.index(np.full(8, 7, dtype=np.float32).tobytes())
    path.write_bytes(data[:offset] + b"\xff" + data[offset + 1 :])
    values = KeyValueCache(path, description="test")
    known = values.get([text_key(str(n)) for n in range(20)])
    assert {text_key(str(n)) for n in range(20) if n != 7} == set(known)
    values.close()
    with pytest.raises(ArtifactError, match="checksum of 1 values is wrong"):
        KeyValueCache.check(path)


def test_gc_leaves_what_is_being_made(tmp_path: Path) -> None:
    from filelock import FileLock

    store = Store(tmp_path)
    build().fit(DOCUMENTS, store=store)
    entries = list(store.entries())
    assert not any(store.remove(entry) for entry in entries)  # in use, by this very process
    store.close()
    with FileLock(tmp_path / "locks" / f"{entries[0].key}.lock"):
        assert not store.remove(entries[0])
    assert all(store.remove(entry) for entry in entries)
    assert list(store.entries()) == []
    assert store.verify() == []


USER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from tests.integration.test_store import DOCUMENTS, build
from rag.store.store import Store
store = Store(sys.argv[1])
build().fit(DOCUMENTS, store=store)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_gc_leaves_what_a_living_process_uses(tmp_path: Path) -> None:
    root = str(Path(__file__).parent.parent.parent)
    user = subprocess.Popen([sys.executable, "-c", USER, str(tmp_path), root], stdout=subprocess.PIPE)
    assert user.stdout is not None
    user.stdout.readline()
    store = Store(tmp_path)
    entries = list(store.entries())
    assert len(entries) == 3
    assert not any(store.remove(entry) for entry in entries)
    user.kill()  # kill -9: it cannot say goodbye
    user.communicate()
    assert all(store.remove(entry) for entry in entries)


WORKER = """
import sys, time
from pathlib import Path
from rag.store.store import Store
store = Store(sys.argv[1])
def make(folder):
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
    time.sleep(0.2)
    (folder / "x.bin").write_bytes(b"x" * 1000)
for number in range(5):
    folder = store.artifact("thing", f"{number:032x}", make, description="a thing")
    assert (folder / "x.bin").stat().st_size == 1000
"""


def test_processes_that_want_one_artifact_make_it_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path / "store"), str(tmp_path / "log")]
    workers = [subprocess.Popen(command) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    assert len((tmp_path / "log").read_text().splitlines()) == 5


FILLER = """
import sys
sys.path.insert(0, sys.argv[2])
from tests.integration.test_store import DOCUMENTS, build
from rag.store.store import Store
from rag.store.key_value_cache import KeyValueCache, text_key
print("ready", flush=True)
store = Store(sys.argv[1])
for number in range(10_000):
    build(k1=0.1 + number / 100).fit(DOCUMENTS, store=store)
    store.cache("things", "a" * 32, description="x").put([(text_key(f"{number} {n}"), bytes(500)) for n in range(50)])
"""


@pytest.mark.parametrize("times", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_killed_at_any_moment_the_store_is_whole(tmp_path: Path, times: int) -> None:
    generator = random.Random(0)
    root = str(Path(__file__).parent.parent.parent)
    command = [sys.executable, "-c", FILLER, str(tmp_path), root]
    for _ in range(times):
        worker = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(generator.uniform(0.02, 0.6))
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        assert Store(tmp_path).verify() == []
    # and it goes on from there
    store = Store(tmp_path)
    assert answers(build().fit(DOCUMENTS, store=store)) == answers(build().fit(DOCUMENTS))


def test_vectors_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    class Moody(Counting):
        """Fails once.

        Args:
            size: Length of the vectors.
        """

        broken = True

        def embed_documents(self, texts, *, advance=None):  # type: ignore[no-untyped-def]
            vectors = super().embed_documents(texts, advance=advance)
            return vectors * np.nan if type(self).broken else vectors

    with pytest.raises(ModelError, match="NaN or infinite"):
        Pipeline(retriever=Dense(embedder=Moody(size=4))).fit(DOCUMENTS, store=Store(tmp_path))
    Moody.broken = False
    assert len(Pipeline(retriever=Dense(embedder=Moody(size=4))).fit(DOCUMENTS, store=Store(tmp_path)).search("item 7"))


def test_live_objects_without_a_name_fill_no_store(tmp_path: Path) -> None:
    embedder = LangChainEmbedder(DeterministicFakeEmbedding(size=8))
    Pipeline(retriever=Dense(embedder=embedder)).fit(DOCUMENTS, store=Store(tmp_path))
    assert list(Store(tmp_path).entries()) == []
    named = LangChainEmbedder(DeterministicFakeEmbedding(size=8), name="fake")
    Pipeline(retriever=Dense(embedder=named)).fit(DOCUMENTS, store=Store(tmp_path))
    assert {entry.kind for entry in Store(tmp_path).entries()} == {"embeddings", "index"}


def test_writers_of_one_folder_take_turns(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom rag.store.folder import write_folder\n"
        "for _ in range(5):\n"
        "    with write_folder(Path(sys.argv[1]), 'thing', {}) as folder:\n"
        "        (folder / 'x').write_text(sys.argv[2]); time.sleep(0.02)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "f"), str(n)]) for n in range(3)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "f" / "manifest.json").exists():
            seen.add(tuple(read_folder(tmp_path / "f", "thing")[1]["files"]))
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert seen == {("x",)}
    assert len(list((tmp_path / "f").glob("data-*"))) == 1
