"""A pass over all tokens that is killed goes on where it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rag import Document, Pipeline, Store
from rag.rerankers import MaxSim, Rerank
from rag.retrievers import BM25
from tests.fakes import WordEmbedder

DOCUMENTS = [Document(f"d{n}", f"{['red', 'green', 'blue'][n % 3]} thing {n}") for n in range(1500)]


class Counting(WordEmbedder):
    """Counts texts; stops for good after some."""

    type = "fake_counting_tokens"
    texts = 0
    dies_after: int | None = None

    def embed_document_tokens(self, texts, *, advance=None):
        if self.dies_after is not None and Counting.texts >= self.dies_after:
            sys.stdout.flush()
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
        Counting.texts += len(texts)
        return super().embed_document_tokens(texts, advance=advance)


def fitted(store: Store | None) -> Pipeline:
    stage = Rerank(scorer=MaxSim(embedder=Counting()), budget=10)
    return Pipeline(retriever=BM25(), stages=[stage]).fit(DOCUMENTS, store=store)


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
import tests.integration.test_token_pass as t
t.Counting.dies_after = 1024
t.fitted(t.Store(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def counts():
    Counting.texts = 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a process that was killed after 1,024 texts."""
    folder = tmp_path_factory.mktemp("killed")
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), root], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    return folder


@pytest.fixture
def left(killed: Path, tmp_path: Path) -> Path:
    """A copy of what it left."""
    return shutil.copytree(killed, tmp_path / "store")


def test_killed_it_goes_on_where_it_was(left: Path) -> None:
    assert len(list(left.glob("unfinished/tokens/*/*.npy"))) == 2
    store = Store(left)
    assert "unfinished" in {entry.about for entry in store.entries()}
    pipeline = fitted(store)
    assert len(DOCUMENTS) - 1024 == Counting.texts
    assert list(left.glob("unfinished/tokens/*")) == []
    whole = fitted(None)
    for query in ("red thing 7", "blue 1499"):
        expected = [(hit.document.id, hit.score) for hit in whole.search(query)]
        assert [(hit.document.id, hit.score) for hit in pipeline.search(query)] == expected


def test_a_piece_that_cannot_be_read_is_made_again(left: Path) -> None:
    first = next(iter(left.glob("unfinished/tokens/*/0.npy")))
    first.write_bytes(first.read_bytes()[:200])
    fitted(Store(left))
    assert len(DOCUMENTS) - 512 == Counting.texts


def test_refresh_computes_all_again_and_a_store_not_to_be_written_keeps_nothing(left: Path) -> None:
    assert Store(left, mode="only").checkpoint("tokens", "any") is None
    fitted(Store(left, mode="refresh"))
    assert len(DOCUMENTS) == Counting.texts
