"""Damaged files of the store and of saved pipelines: computed again and replaced, or one error that names the file."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from rag import LSA, ArtifactError, Document, Embedder, Pipeline
from rag.retrievers import BM25, HNSW, Dense, Hybrid
from rag.store.key_value_cache import KeyValueCache, text_key
from rag.store.leases import Leases
from rag.store.store import Store
from tests.fakes import WordEmbedder

DOCUMENTS = [Document(str(n), f"section {n} is about item {n * 7}. " * (1 + n % 4)) for n in range(60)]

DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "no UTF-8": lambda data: b"\xff\xfe" + data[2:],
    "noise": lambda data: np.random.default_rng(0).bytes(max(len(data), 64)),
    "zeros": lambda data: bytes(len(data)),
    "other JSON": lambda data: b'{"a": [1]}',
}


def build(embedder: Embedder) -> Pipeline:
    return Pipeline(retriever=Hybrid(retrievers=[BM25(), Dense(embedder=embedder, index=HNSW(m=8))]))


def answers(pipeline: Pipeline) -> list[list[tuple[str, float]]]:
    results = pipeline.search([f"item {n * 7}" for n in range(0, 60, 7)])
    return [[(hit.document.id, hit.score) for hit in result] for result in results]


@pytest.mark.parametrize("how", DAMAGE)
def test_any_damaged_file_of_the_store_is_computed_again_and_replaced(tmp_path, how):
    with Store(tmp_path) as store:
        expected = answers(build(WordEmbedder(size=16)).fit(DOCUMENTS, store=store))
    victims = [path for path in tmp_path.rglob("*") if path.is_file() and "locks" not in path.parts]
    victims = [path for path in victims if not path.name.startswith(".") and path.suffix != ".aside-lock"]
    assert {"manifest.json", ".npy", ".sqlite"} <= {path.name for path in victims} | {path.suffix for path in victims}
    for victim in victims:
        if not victim.exists():
            continue  # of a generation that has been replaced
        victim.write_bytes(DAMAGE[how](victim.read_bytes()))
        if victim.suffix == ".sqlite":
            shutil.rmtree(tmp_path / "artifacts")  # what was built of them: else nobody looks at them
        with Store(tmp_path) as store:
            assert answers(build(WordEmbedder(size=16)).fit(DOCUMENTS, store=store)) == expected
        with Store(tmp_path) as store:
            again = build(WordEmbedder(size=16)).fit(DOCUMENTS, store=store)
            assert answers(again) == expected
            assert again.reused == ("retriever bm25", "index hnsw")
            assert [problem for problem in store.verify() if ".damaged.sqlite" not in problem] == []
            list(store.entries())


@pytest.mark.parametrize("how", DAMAGE)
def test_any_damaged_file_of_a_saved_pipeline_is_named(tmp_path, how):
    build(LSA(dim=4)).fit(DOCUMENTS).save(tmp_path / "index")
    for victim in sorted(path for path in (tmp_path / "index").rglob("*") if path.is_file() and path.name != ".lock"):
        before = victim.read_bytes()
        victim.write_bytes(DAMAGE[how](before))
        if victim.read_bytes() != before:
            with pytest.raises(ArtifactError, match=victim.name.replace(".", r"\.")):
                Pipeline.load(tmp_path / "index")
        victim.write_bytes(before)
    (tmp_path / "index" / "manifest.json").write_bytes(b"")
    build(LSA(dim=4)).fit(DOCUMENTS).save(tmp_path / "index")  # the way out
    assert len(Pipeline.load(tmp_path / "index").corpus) == 60


def test_a_damaged_manifest_among_files_of_others_is_not_replaced(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"")
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="holds other files than a pipeline"):
        build(LSA(dim=4)).fit(DOCUMENTS).save(tmp_path)


KEYS = [text_key(str(n)) for n in range(2000)]


def damaged_values(path: Path) -> None:
    values = KeyValueCache(path, description="test")
    values.put((key, np.full(64, n, dtype=np.float32).tobytes()) for n, key in enumerate(KEYS))
    values.close()
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):  # all but the first, which has the schema
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)


def test_damaged_pages_of_values_are_set_aside_and_computed_anew(tmp_path, caplog):
    path = tmp_path / "v.sqlite"
    damaged_values(path)
    values = KeyValueCache(path, description="test")
    filled = values.fill(KEYS, lambda missing: [[(n, str(n).encode()) for n in missing]])
    assert [str(n).encode() for n in range(2000)] == filled.values
    assert 2000 == filled.n_computed == len(values)
    assert "set aside as v.damaged.sqlite, its values are computed again" in caplog.text
    assert (tmp_path / "v.damaged.sqlite").exists()
    values.close()
    assert KeyValueCache(path, description="test").fill(KEYS, lambda missing: []).n_computed == 0


def test_damage_that_another_process_has_seen_first_is_set_aside_once(tmp_path):
    path = tmp_path / "v.sqlite"
    damaged_values(path)
    first, second = KeyValueCache(path, description="test"), KeyValueCache(path, description="test")
    assert first.get(KEYS) == {}
    first.put([(KEYS[0], b"new")])
    assert second.get(KEYS) == {KEYS[0]: b"new"}
    assert sorted(file.name for file in tmp_path.glob("*.sqlite")) == ["v.damaged.sqlite", "v.sqlite"]


def test_damaged_values_where_nothing_may_be_written_or_computed(tmp_path, caplog):
    path = tmp_path / "v.sqlite"
    damaged_values(path)
    assert KeyValueCache(path, description="test", write=False).get(KEYS) == {}
    assert "its values are computed again, and not cached" in caplog.text
    with pytest.raises(ArtifactError, match="v.sqlite: damaged: .*run once in store mode 'use'"):
        KeyValueCache(path, description="test", mode="only", write=False).get(KEYS)


def test_a_locked_file_of_values_is_no_damaged_one(tmp_path, monkeypatch):
    path = tmp_path / "v.sqlite"
    values = KeyValueCache(path, description="test")
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    values._connection.execute("PRAGMA busy_timeout=10")
    with pytest.raises(ArtifactError, match="cannot be used: database is locked"):
        values.put([(b"a", b"b")])
    other.rollback()
    values.put([(b"a", b"b")])
    assert not (tmp_path / "v.damaged.sqlite").exists()


def test_a_damaged_note_of_a_user_stops_nobody(tmp_path):
    alive, other = Leases(tmp_path), Leases(tmp_path)
    alive.note("a")
    with alive._file.open("ab") as file:
        file.write(b"\xff\xfe")
    with other.unless_used("a") as unused:
        assert not unused
