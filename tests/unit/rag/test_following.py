"""A followed folder: the newest generation, beside the old one, and never a broken one."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from rag import ArtifactError, ConfigError, Document, Pipeline
from rag.retrievers import BM25


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Pipeline(retriever=BM25()).fit([Document("a", "apples are red"), Document("b", "bananas")]).save(tmp_path / "index")
    return tmp_path / "index"


def add(folder: Path, id: str, text: str, **options: object) -> None:
    with Pipeline.editing(folder, **options) as pipeline:
        pipeline.add([Document(id, text)])


def ids(result: object) -> list[str]:
    return [hit.document.id for hit in result]


def test_a_new_generation_is_in_use_after_a_look(folder):
    with Pipeline.follow(folder, every=None) as index:
        before = index.current
        assert not index.refresh()
        add(folder, "c", "cherries")
        assert ids(index.search("cherries")) == []
        assert index.refresh()
        assert ids(index.search("cherries")) == ["c"]
        assert ids(before.pipeline.search("cherries")) == []  # what was held stays
        assert index.current.generation != before.generation
        assert index.current.generation == Pipeline.generations(folder)[0].name


def test_a_thread_looks_by_itself(folder):
    changed = []
    with Pipeline.follow(folder, every=0.02) as index:
        index.on_change(changed.append)
        add(folder, "c", "cherries")
        deadline = time.monotonic() + 20
        while not changed and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ids(index.search("cherries")) == ["c"]
        assert changed == [index.current]


def test_a_rollback_is_followed(folder):
    with Pipeline.follow(folder, every=None) as index:
        first = index.current.generation
        add(folder, "c", "cherries", keep=1)
        index.refresh()
        Pipeline.rollback(folder)
        assert index.refresh()
        assert index.current.generation == first
        assert ids(index.search("cherries")) == []


def test_a_broken_generation_is_refused_and_the_old_one_goes_on(folder, caplog):
    with Pipeline.follow(folder, every=None) as index:
        before = index.current
        add(folder, "c", "cherries", keep=1)
        newest = folder / json.loads((folder / "manifest.json").read_text())["data"]
        (newest / "corpus.arrow").write_bytes(b"damaged")
        assert not index.refresh()
        assert index.current is before
        assert "corpus.arrow" in index.problem
        assert index.refused == 1
        assert "refused" in caplog.text
        assert not index.refresh()
        assert index.refused == 1  # not tried again at every look
        Pipeline.rollback(folder)
        assert not index.refresh()
        assert index.problem is None
        add(folder, "d", "dates")
        assert index.refresh()
        assert ids(index.search("dates")) == ["d"]


def test_one_that_answers_with_an_error_is_refused(folder, monkeypatch):
    with Pipeline.follow(folder, every=None) as index:
        add(folder, "c", "cherries")
        with monkeypatch.context() as patch:
            patch.setattr(BM25, "retrieve", lambda self, batch: 1 / 0)
            assert not index.refresh()
        assert index.problem == "ZeroDivisionError: division by zero"
        assert ids(index.search("apples")) == ["a"]


def test_a_folder_that_goes_leaves_what_is_open(folder):
    with Pipeline.follow(folder, every=None) as index:
        shutil.rmtree(folder)
        assert not index.refresh()
        assert "no saved pipeline" in index.problem
        assert ids(index.search("apples")) == ["a"]


def test_what_is_wrong_is_said_at_once(tmp_path):
    with pytest.raises(ArtifactError, match="no saved pipeline"):
        Pipeline.follow(tmp_path)
    Pipeline(retriever=BM25()).fit([Document("a", "b")]).save(tmp_path / "index")
    with pytest.raises(ConfigError, match="every: must be a number of seconds above 0"):
        Pipeline.follow(tmp_path / "index", every=0)


async def test_search_without_blocking_the_loop(folder):
    pipeline = Pipeline.load(folder)
    assert ids(await pipeline.asearch("apples")) == ["a"]
    assert [ids(result) for result in await pipeline.asearch(["apples", "bananas"], top_k=1)] == [["a"], ["b"]]


def test_a_document_with_its_passages(folder):
    from rag import DataError
    from rag.corpus.chunkers.recursive import RecursiveChunker

    text = "One sentence here. Another sentence there. A third one at the end."
    pipeline = Pipeline(retriever=BM25(), chunker=RecursiveChunker(size=25, unit="characters"))
    pipeline.fit([Document("a", "first"), Document("b", text, {"year": 1}), Document("c", "last")])
    document = pipeline.document("b")
    assert (document.id, document.text, document.metadata) == ("b", text, {"year": 1})
    assert len(document.passages) > 1
    assert [text[passage.start : passage.end] for passage in document.passages] == [p.text for p in document.passages]
    pipeline.delete(["c"])
    for gone in ("c", "nobody"):
        with pytest.raises(DataError, match=f"no such document: '{gone}'"):
            pipeline.document(gone)


def test_each_query_of_a_batch_has_its_own_number_of_hits(folder):
    from rag import Query, QueryBatch

    pipeline = Pipeline(retriever=BM25()).fit([Document(str(n), f"word {n}") for n in range(9)])
    results = pipeline.search_batch(QueryBatch([Query(str(n), "word") for n in range(3)]), [2, None, 5])
    assert [ids(result) for result in results] == [ids(pipeline.search("word", top_k=k)) for k in (2, None, 5)]
