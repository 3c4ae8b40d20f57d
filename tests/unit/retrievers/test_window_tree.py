"""An index with buckets for windows of its keys."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rag import ConfigError, DataError, Document, Pipeline
from rag.retrievers import HNSW, IVFPQ, Auto, Dense, Flat, IVFFlat, WindowTree
from rag.retrievers.indexes import hnsw, window_tree
from rag.retrievers.indexes.subset import Subset
from tests.fakes import WordEmbedder

N = 3000
VECTORS = np.random.default_rng(0).normal(size=(N, 16)).astype(np.float32)
QUERIES = VECTORS[::300] + np.float32(0.1)
WINDOWS = [
    slice(0, 700),
    slice(901, 1300),
    slice(1500, 1501),
    slice(2100, N),
    slice(1023, 1025),
    slice(1, N),
    slice(5, 5),
]


@pytest.fixture(autouse=True)
def _small_buckets(monkeypatch):
    monkeypatch.setattr(window_tree, "_SMALLEST", 64)


@pytest.fixture
def _cheap_graphs(monkeypatch):
    monkeypatch.setattr(hnsw, "_VISITED", 1e-4)


def built(n=N, **arguments):
    index = WindowTree(index=HNSW(m=16, ef_search=600), **arguments)
    index.build(VECTORS[:n])
    return index


def exact(allowed, k, vectors=VECTORS):
    """The best k keys among some, by NumPy."""
    keys = np.arange(len(vectors))[allowed]
    scores = QUERIES @ vectors[keys].T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return keys[order], np.take_along_axis(scores, order, 1)


@pytest.mark.usefixtures("_cheap_graphs")
@pytest.mark.parametrize("after", [0, 1])
def test_windows_answered_from_buckets_are_those_of_an_exact_scan(after):
    index = built(after=after)
    for window in [*WINDOWS, np.arange(901, 1300), np.arange(300, 900, 2)]:
        keys, scores = index.search(QUERIES, 10, window)
        wanted_keys, wanted = exact(window, 10)
        assert keys.tolist() == wanted_keys.tolist()
        assert np.allclose(scores, wanted, atol=1e-5)
    assert {(512, 1536), (2048, N)} <= set(index._buckets)


def test_every_window_lies_in_a_bucket_at_most_four_times_its_length():
    index = built(n=N)
    rng = np.random.default_rng(1)
    for first, last in np.sort(rng.integers(N, size=(2000, 2)), axis=1).tolist():
        bucket = index._around(Subset(slice(first, last + 1), N))
        if bucket is None:
            assert last - first + 1 > N / 4
            continue
        start, stop = bucket
        assert start <= first
        assert last < stop
        assert stop - start <= max(64, 4 * (last - first + 1))
        size = 1 << (stop - start - 1).bit_length()
        assert bucket in index._of_size(size)
        assert start % (size // 2) == 0


def test_a_scan_of_a_small_window_is_cheaper_and_builds_nothing():
    index = built(after=1)
    keys, _ = index.search(QUERIES, 10, slice(100, 600))
    assert keys.tolist() == exact(slice(100, 600), 10)[0].tolist()
    assert index._buckets == {}


@pytest.mark.usefixtures("_cheap_graphs")
def test_a_bucket_is_built_when_it_was_asked_for_often_enough():
    index = built(after=25)
    for asked in (10, 20, 30):
        index.search(QUERIES, 5, slice(901, 1300))
        assert (len(index._buckets) == 1) == (asked >= 25)
    before = built(after=25).bytes
    assert index.bytes > before
    assert index.notes()[0].startswith("window_tree: 1 buckets take 0.")


@pytest.mark.usefixtures("_cheap_graphs")
def test_searches_at_the_same_time_build_a_bucket_once(monkeypatch):
    index, made = built(after=1), []
    build = index._built
    monkeypatch.setattr(index, "_built", lambda *args: made.append(args) or build(*args))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: index.search(QUERIES, 5, slice(901, 1300))[0].tolist(), range(8)))
    assert len(made) == 1
    assert all(answer == exact(slice(901, 1300), 5)[0].tolist() for answer in answers)


@pytest.mark.usefixtures("_cheap_graphs")
def test_it_grows_and_whoever_shares_it_keeps_theirs():
    index = built(n=2500, after=1)
    for window in (slice(901, 1300), slice(2100, 2500)):
        index.search(QUERIES, 5, window)
    assert set(index._buckets) == {(512, 1536), (2048, 2500)}
    twin = index.spec.clone()
    twin.spec.copy_state_from(index)
    twin.add(VECTORS[2500:])
    assert set(twin._buckets) == {(512, 1536)}  # the last one ends later now
    for window in WINDOWS:
        assert twin.search(QUERIES, 10, window)[0].tolist() == exact(window, 10)[0].tolist()
    assert index.search(QUERIES, 5, slice(2100, N))[0].tolist() == exact(slice(2100, 2500), 5)[0].tolist()


@pytest.mark.usefixtures("_cheap_graphs")
def test_saved_and_pickled_it_has_its_buckets(tmp_path):
    index = built(after=1)
    index.search(QUERIES, 5, slice(901, 1300))
    index.save_state(tmp_path)
    loaded = index.spec.clone()
    loaded.load_state(tmp_path, None)
    for other in (loaded, pickle.loads(pickle.dumps(index))):
        assert set(other._buckets) == {(512, 1536)}
        assert other.search(QUERIES, 10, slice(901, 1300))[0].tolist() == exact(slice(901, 1300), 10)[0].tolist()
    assert loaded.bytes == index.bytes
    assert loaded.build_seconds == index.build_seconds


def test_a_range_of_the_field_that_documents_are_sorted_by_is_a_window(monkeypatch):
    monkeypatch.setattr(hnsw, "_VISITED", 1e-4)
    documents = [Document(str(n), f"letter {n % 7} of {n}", {"year": (n * 37) % 200}) for n in range(200)]
    tree = WindowTree(index=HNSW(ef_search=200), after=1)
    ours = Pipeline(retriever=Dense(embedder=WordEmbedder(), index=tree, top_k=10), sorted_by="year").fit(documents)
    plain = Pipeline(retriever=Dense(embedder=WordEmbedder(), index=Flat(), top_k=10), sorted_by="year").fit(documents)
    for condition in ({"year": {"gte": 40, "lt": 60}}, {"year": {"gte": 150}}, {"year": {"lt": 0}}, None):
        answers = [
            [round(hit.score, 5) for hit in pipeline.search("letter 3", filter=condition)] for pipeline in (ours, plain)
        ]
        assert answers[0] == answers[1]
    assert len(ours.retriever.index._buckets) == 2


@pytest.mark.parametrize("index", [Auto(), WindowTree()])
def test_it_is_made_of_single_indexes_of_faiss(index):
    with pytest.raises(ConfigError, match="is no single index of faiss"):
        WindowTree(index=index)


def test_a_family_without_full_vectors_cannot_be_cut_into_buckets():
    with pytest.raises(ConfigError, match="keeps no full vectors to build buckets from"):
        WindowTree(index=IVFPQ(refine=None)).build(VECTORS)


def test_bad_input_is_refused_as_by_any_index():
    index = WindowTree(index=IVFFlat())
    with pytest.raises(DataError, match="no vectors to index"):
        index.build(VECTORS[:0])
    index.build(VECTORS)
    with pytest.raises(DataError, match="the index has 0 to 2999"):
        index.search(QUERIES, 5, np.array([5, N]))
    with pytest.raises(DataError, match="step 1"):
        index.search(QUERIES, 5, slice(0, 100, 2))
    with pytest.raises(DataError, match="dimensions"):
        index.search(QUERIES[:, :3], 5, slice(0, 100))
