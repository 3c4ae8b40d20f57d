"""Several indexes as one, and tables of vectors that do not fit in memory."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rag import LSA, ConfigError, DataError, Document, Pipeline
from rag.retrievers import HNSW, IVFPQ, Auto, Dense, Flat, PgVector, Sharded
from rag.retrievers.indexes import clusters, sharded
from rag.store import spill

VECTORS = np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32)
QUERIES = VECTORS[::100] + np.float32(0.1)


def built(index):
    index.build(VECTORS)
    return index


@pytest.mark.parametrize("shards", [1, 3, 7, 1024])
def test_exact_parts_give_what_one_index_gives(shards):
    whole, several = built(Flat()), built(Sharded(shards=shards))
    for allowed in [None, np.array([1, 5, 333, 334, 999]), np.arange(300), slice(200, 700), slice(0, 0), np.arange(0)]:
        for k in (1, 10, 400):
            wanted_keys, wanted = whole.search(QUERIES, k, allowed)
            keys, scores = several.search(QUERIES, k, allowed)
            assert keys.shape == wanted_keys.shape
            assert np.allclose(scores, wanted, atol=1e-5)
            assert np.allclose(np.einsum("qd,qkd->qk", QUERIES, VECTORS[keys]), scores, atol=1e-5)
            assert all(len(set(row)) == len(row) for row in keys.tolist())
            assert allowed is None or set(keys.ravel()) <= set(np.arange(1000)[allowed])
    keys = np.array([999, 0, 500, 500])
    assert np.array_equal(several.reconstruct(keys), VECTORS[keys])


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_built_by_processes_it_is_the_same(monkeypatch, real):
    if not real:
        monkeypatch.setattr(sharded, "ProcessPoolExecutor", lambda n, mp_context: ThreadPoolExecutor(n))
    here, there = built(Sharded(shards=2)), built(Sharded(shards=2, processes=2))
    assert there.fingerprint == here.fingerprint
    assert np.array_equal(there.search(QUERIES, 20)[0], here.search(QUERIES, 20)[0])
    assert there.bytes == here.bytes


def test_it_grows_at_its_end_and_whoever_shares_it_keeps_theirs():
    index = Sharded(shards=3, index=HNSW(m=8))
    index.build(VECTORS[:900])
    twin = index.spec.clone()
    twin.spec.copy_state_from(index)
    twin.add(VECTORS[900:])
    assert twin.search(VECTORS[950:951], 1)[0].tolist() == [[950]]
    assert index.search(VECTORS[950:951], 1)[0] != [[950]]


@pytest.mark.parametrize("index", [Flat(), HNSW(m=8), IVFPQ(n_clusters=1), Auto()])
def test_in_a_pipeline_it_is_kept_updated_and_found_in_the_store(tmp_path, index):
    documents = [Document(str(n), f"thing {n % 7} of {n % 11} and {n % 13}", {"n": n}) for n in range(60)]
    pipe = Pipeline(retriever=Dense(embedder=LSA(dim=8), index=Sharded(shards=4, index=index), top_k=10))
    pipe.fit(documents, store=tmp_path / "store")
    again = Pipeline(retriever=Dense(embedder=LSA(dim=8), index=Sharded(shards=4, index=index), top_k=10))
    again.fit(documents, store=tmp_path / "store")
    assert "index sharded" in " ".join(again.reused)
    pipe.save(tmp_path / "index")
    asked = {"filter": {"n": {"lt": 30}}}
    wanted = [hit.document.id for hit in pipe.search("thing 3 of 5", **asked)]
    for other in (again, Pipeline.load(tmp_path / "index", verify=True), pickle.loads(pickle.dumps(pipe))):
        assert [hit.document.id for hit in other.search("thing 3 of 5", **asked)] == wanted
    with Pipeline.editing(tmp_path / "index") as editor:
        editor.add([Document("new", "thing 3 of 5", {"n": 100})])
        editor.delete(["3"])
    changed = Pipeline.load(tmp_path / "index")
    assert [hit.document.id for hit in changed.search("thing 3 of 5", filter={"n": {"gte": 59}})] in (
        ["new", "59"],
        ["59", "new"],
    )
    assert "3" not in {hit.document.id for hit in changed.search("thing 3 of 5", top_k=100)}


def test_what_it_refuses():
    with pytest.raises(ConfigError, match="index: 'pgvector' is on a server"):
        Sharded(shards=2, index=PgVector(url="${DATABASE_URL}", table="papers"))
    with pytest.raises(DataError, match="no vectors to index"):
        Sharded(shards=2).build(VECTORS[:0])


# -- tables that do not fit in memory ------------------------------------------------------------------------------


def test_a_large_table_is_a_mapped_file(monkeypatch):
    monkeypatch.setattr(spill, "IN_MEMORY", 1000)
    monkeypatch.setattr(spill, "_BLOCK", 4000)
    table = spill.VectorTable(*VECTORS.shape)
    for first in range(0, 1000, 300):
        table.append(VECTORS[first : first + 300])
    vectors = table.vectors()
    assert isinstance(vectors, np.memmap)
    assert np.array_equal(vectors, VECTORS)
    assert [first for first, _ in spill.blocks(vectors)][:3] == [0, 62, 124]
    assert np.array_equal(np.concatenate([block for _, block in spill.blocks(vectors)]), VECTORS)
    doubled = spill.mapped_rows(vectors, lambda block: 2 * block)
    assert np.array_equal(doubled, 2 * VECTORS)


def test_a_pipeline_over_a_mapped_table_is_the_same(monkeypatch):
    documents = [Document(str(n), f"thing {n % 7} of {n % 11} and {n % 13}") for n in range(300)]
    pipes = []
    for limit in (1 << 28, 100):
        monkeypatch.setattr(spill, "IN_MEMORY", limit)
        pipes.append(
            Pipeline(retriever=Dense(embedder=LSA(dim=8), index=IVFPQ(n_clusters=4, n_parts=2))).fit(documents)
        )
    in_memory, other = (
        [(hit.document.id, hit.score) for hit in pipe.search("thing 3 of 5", top_k=20)] for pipe in pipes
    )
    assert other == in_memory


def test_training_looks_at_a_sample_of_a_large_table(monkeypatch):
    monkeypatch.setattr(clusters, "_TRAINED", 100)
    monkeypatch.setattr(clusters, "_SAMPLE_PER_CLUSTER", 10)
    monkeypatch.setattr(spill, "_BLOCK", 4000)
    chosen = clusters.sampled(VECTORS, 30)
    assert chosen.shape == (300, 16)
    assert len(np.unique(chosen, axis=0)) == 300
    assert set(map(bytes, chosen)) <= set(map(bytes, VECTORS))
    assert clusters.sampled(VECTORS, 100) is VECTORS
