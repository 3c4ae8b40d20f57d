"""Every index family against products in numpy: all keys, some keys, more keys, on disk, and input that is no good."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import ConfigError, Corpus, DataError, Document, FitContext, NotFittedError, Passages
from rag.retrievers import (
    HNSW,
    IVFPQ,
    LSH,
    NSG,
    Auto,
    Factory,
    Flat,
    IVFFastScan,
    IVFFlat,
    RaBitQ,
    ScalarQuantized,
    Truncate,
)
from rag.retrievers.indexes.auto import pick
from rag.retrievers.indexes.scan import scan_cost
from rag.retrievers.indexes.subset import Subset

N, D, K = 3000, 32, 10
RNG = np.random.default_rng(3)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# Like embeddings: clusters, and axes of different weight.
CENTRES = RNG.normal(size=(40, D)) * np.linspace(2, 0.3, D)
VECTORS = unit(CENTRES[RNG.integers(40, size=N)] + RNG.normal(size=(N, D)) * np.linspace(1, 0.2, D))
QUERIES = unit(VECTORS[:60] + 0.1 * RNG.normal(size=(60, D)))

FAMILIES = {
    "auto": lambda: Auto(),
    "auto with little memory": lambda: Auto(memory_mib=0.01),
    "factory, a graph": lambda: Factory("HNSW16,Flat"),
    "factory, decoded": lambda: Factory("SQ4"),
    "factory, inverted": lambda: Factory("IVF16,SQ8"),
    "flat": lambda: Flat(),
    "hnsw": lambda: HNSW(m=16, ef_construction=60, ef_search=60),
    "ivf_fastscan": lambda: IVFFastScan(n_probe=8, refine=8),
    "ivf_flat": lambda: IVFFlat(n_probe=8),
    "ivf_pq": lambda: IVFPQ(n_probe=8),
    "ivf_pq without vectors": lambda: IVFPQ(n_probe=8, opq=False, refine=None),
    "lsh": lambda: LSH(),
    "nsg": lambda: NSG(r=24),
    "rabitq": lambda: RaBitQ(n_probe=8),
    "rabitq without vectors": lambda: RaBitQ(n_probe=8, refine=None),
    "scalar_quantized": lambda: ScalarQuantized(),
    "scalar_quantized without vectors": lambda: ScalarQuantized(bits="6", refine=None),
    "truncate, binary": lambda: Truncate(refine=30),
    "truncate, float": lambda: Truncate(values="float", refine=40),
}
LOSSY = {family for family in FAMILIES if "without" in family or "decoded" in family or "inverted" in family}
BUILT = {}


def built(name):
    if name not in BUILT:
        BUILT[name] = FAMILIES[name]()
        BUILT[name].build(VECTORS)
    return BUILT[name]


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


def exact(allowed=slice(None), queries=QUERIES, k=K, vectors=VECTORS):
    keys = np.arange(len(vectors))[allowed]
    products = queries @ vectors[keys].T
    return keys[np.argsort(-products, axis=1)[:, :k]]


def recall(expected, actual):
    return np.mean(
        [len(set(a) & set(b)) / max(len(a), 1) for a, b in zip(expected.tolist(), actual.tolist(), strict=True)]
    )


def check_table(keys, scores, k, n=N):
    assert keys.shape == scores.shape
    assert (keys.dtype, scores.dtype) == (np.int64, np.float32)
    assert keys.shape[1] <= k
    assert keys.max(initial=-1) < n
    assert all((np.diff(score[key >= 0]) <= 0).all() for key, score in zip(keys, scores, strict=True))
    assert np.isfinite(scores[keys >= 0]).all()


def fractions():
    rng = np.random.default_rng(8)
    for power in (0, 1, 2, 3, 5, 7, 9, 11):
        yield np.sort(rng.choice(N, max(1, N >> power), replace=False)).astype(np.int64)


# -- all keys -------------------------------------------------------------------------------------------------------


def test_it_finds_what_is_nearest(name):
    keys, scores = built(name).search(QUERIES, K)
    check_table(keys, scores, K)
    assert recall(exact(), keys) >= (0.35 if "rabitq without" in name else 0.45 if name in LOSSY else 0.95)
    if name not in LOSSY:
        products = np.take_along_axis(QUERIES @ VECTORS.T, keys, 1)
        np.testing.assert_allclose(products, scores, atol=1e-4)


def test_more_than_there_are_may_be_asked_for(name):
    keys, scores = built(name).search(QUERIES[:2], N + 5)
    check_table(keys, scores, N)
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in keys)


# -- some keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_queries", [1, 60])
def test_among_some_keys_all_are_allowed_none_is_missing_and_recall_stays(name, n_queries):
    index = built(name)
    queries = QUERIES[:n_queries]
    whole = recall(exact(queries=queries), index.search(queries, K)[0])
    for allowed in fractions():
        keys, scores = index.search(queries, K, allowed)
        check_table(keys, scores, K)
        assert keys.shape == (n_queries, min(K, len(allowed)))
        assert np.isin(keys, allowed).all()
        assert all(len(set(row)) == len(row) for row in keys.tolist())
        least = 0.0 if "rabitq without" in name else whole - (0.2 if name in LOSSY else 0.05)
        assert recall(exact(allowed, queries), keys) >= least, len(allowed)


@pytest.mark.parametrize("window", [slice(0, 1), slice(100, 130), slice(2000, None), slice(10, 2990), slice(None)])
def test_a_window_is_the_table_of_its_keys(name, window):
    index = built(name)
    allowed = np.arange(N, dtype=np.int64)[window]
    expected = index.search(QUERIES[:5], K, allowed)
    actual = index.search(QUERIES[:5], K, window)
    assert expected[0].tolist() == actual[0].tolist()
    np.testing.assert_allclose(expected[1], actual[1], rtol=1e-6)
    assert np.isin(actual[0], allowed).all()
    assert actual[0].shape == (5, min(K, len(allowed)))


@given(seed=st.integers(0, 10**6), count=st.integers(0, N), n_queries=st.integers(0, 9), k=st.integers(1, 40))
def test_flat_is_exact_among_any_keys(seed, count, n_queries, k):
    rng = np.random.default_rng(seed)
    allowed = np.sort(rng.choice(N, count, replace=False)).astype(np.int64)
    queries = unit(rng.normal(size=(n_queries, D)) + 1e-9)
    keys, scores = built("flat").search(queries, k, allowed)
    assert keys.shape == (n_queries, min(k, count))
    products = np.sort(queries @ VECTORS[allowed].T, axis=1)[:, ::-1][:, :k]
    np.testing.assert_allclose(products, scores, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(queries @ VECTORS.T, keys, 1), scores, atol=1e-5)


@given(seed=st.integers(0, 10**6), count=st.integers(0, N), n_queries=st.integers(1, 5), k=st.integers(1, 40))
def test_whatever_is_allowed_the_count_is_full(seed, count, n_queries, k):
    rng = np.random.default_rng(seed)
    allowed = np.sort(rng.choice(N, count, replace=False)).astype(np.int64)
    for name in ("hnsw", "ivf_flat", "ivf_pq", "ivf_pq without vectors", "nsg", "truncate, binary"):
        keys, _ = built(name).search(QUERIES[:n_queries], k, allowed)
        assert keys.shape == (n_queries, min(k, count))
        assert np.isin(keys, allowed).all()
        assert all(len(set(row)) == len(row) for row in keys.tolist())


def test_far_away_keys_are_found_too():
    """What is allowed lies in clusters that the query's neighbours are not in."""
    order = np.argsort(VECTORS @ QUERIES[0])
    allowed = np.sort(order[:1200]).astype(np.int64)  # the furthest
    for name in ("hnsw", "ivf_flat", "ivf_fastscan", "nsg", "rabitq", "lsh"):
        keys, _ = built(name).search(QUERIES[:1], K, allowed)
        assert recall(exact(allowed, QUERIES[:1]), keys) >= 0.8, name


def test_no_key_is_allowed(name):
    for nothing in (np.empty(0, dtype=np.int64), slice(5, 5), slice(N, None)):
        keys, scores = built(name).search(QUERIES[:3], K, nothing)
        assert (3, 0) == keys.shape == scores.shape


def test_no_query_is_asked(name):
    for allowed in (None, slice(5, 50), np.arange(0, N, 2)):
        keys, scores = built(name).search(QUERIES[:0], K, allowed)
        assert len(keys) == len(scores) == 0


def test_a_read_only_table_is_prepared_once_and_another_again():
    index = built("hnsw")
    half = np.arange(0, N, 2)
    index.search(QUERIES[:1], K, half)
    first = index._last
    index.search(QUERIES[:1], K, half)
    assert first[1] is not index._last[1]  # it might have been written to
    half.flags.writeable = False
    index.search(QUERIES[:1], K, half)
    first = index._last
    index.search(QUERIES[:1], K, half)
    assert first[1] is index._last[1]
    other = half + 1
    other.flags.writeable = False
    assert (index.search(QUERIES[:1], K, other)[0] % 2 == 1).all()


def test_keys_that_do_not_exist_are_refused(name):
    for wrong, message in [
        (np.array([0, N]), f"allowed keys run from 0 to {N}, the index has 0 to {N - 1}"),
        (np.array([-1, 4]), f"allowed keys run from -1 to 4, the index has 0 to {N - 1}"),
        (slice(0, 10, 2), "a window of allowed keys has step 1, got slice(0, 10, 2)"),
    ]:
        with pytest.raises(DataError) as caught:
            built(name).search(QUERIES, K, wrong)
        assert message == str(caught.value)


def test_few_keys_are_scanned_and_many_are_not():
    index = built("hnsw")
    many, few = (Subset(np.sort(RNG.choice(100_000, m, replace=False)), 100_000) for m in (60_000, 500))
    assert scan_cost(1, few, in_place=True) < index.cost(K, few)
    assert scan_cost(1, many, in_place=True) > index.cost(K, many)


# -- more keys ------------------------------------------------------------------------------------------------------


def test_what_is_added_is_found(name, tmp_path):
    index = FAMILIES[name]()
    index.build(VECTORS[:2000])
    if not (index.picked if isinstance(index, Auto) else index).can_add:
        with pytest.raises(DataError) as caught:
            index.add(VECTORS[2000:])
        assert str(caught.value) == "'nsg' cannot take more vectors: build it again from all of them"
        return
    before = index.bytes
    index.add(VECTORS[2000:2500])
    index.save_state(tmp_path)
    loaded = FAMILIES[name]()
    loaded.load_state(tmp_path, CONTEXT)
    loaded.add(VECTORS[2500:])  # what is mapped grows too
    assert before < index.bytes < loaded.bytes
    keys, scores = loaded.search(QUERIES, K)
    check_table(keys, scores, K)
    least = 0.35 if "rabitq without" in name else 0.45 if name in LOSSY else 0.9
    assert recall(exact(), keys) >= least
    keys, _ = loaded.search(QUERIES, K, slice(2500, None))
    assert recall(exact(slice(2500, None)), keys) >= (0.2 if name in LOSSY else 0.9)
    assert 2000 <= index.search(QUERIES, K, slice(2000, None))[0].min()  # the file's index is as it was
    keys, _ = index.search(QUERIES, K)
    assert keys.max() < 2500


# -- on disk --------------------------------------------------------------------------------------------------------

CONTEXT = FitContext(corpus := Corpus.from_documents([Document("a", "a")]), Passages.whole(corpus))


def test_saved_and_loaded_it_finds_the_same(name, tmp_path):
    index = FAMILIES[name]()  # not the shared one, which may have been searched
    index.build(VECTORS)
    index.save_state(tmp_path)
    again = FAMILIES[name]()
    again.load_state(tmp_path, CONTEXT)
    for allowed in (None, slice(100, 2000), np.arange(0, N, 3), np.arange(0, N, 300)):
        expected, actual = (searched.search(QUERIES, K, allowed) for searched in (index, again))
        assert expected[0].tolist() == actual[0].tolist()
        np.testing.assert_allclose(expected[1], actual[1], rtol=1e-6)
    assert index.bytes == again.bytes == (tmp_path / "index.faiss").stat().st_size
    assert index.build_seconds == again.build_seconds > 0
    assert index.notes() == again.notes()


def test_codes_are_smaller_than_vectors():
    full = 4 * D * N
    for name in LOSSY:
        assert built(name).bytes < full / 2, name
    assert full < built("flat").bytes < built("hnsw").bytes


def test_an_index_of_before_build_seconds_loads(tmp_path):
    built("flat").save_state(tmp_path)
    (tmp_path / "index.json").unlink()
    again = Flat()
    again.load_state(tmp_path, CONTEXT)
    assert again.build_seconds == 0.0
    assert built("flat").search(QUERIES, 3)[0].tolist() == again.search(QUERIES, 3)[0].tolist()


# -- few, equal, empty vectors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 17, 39, 99, 120, 300])
def test_small_collections_are_complete(name, n, capfd):
    if name.startswith("factory"):
        return
    index = FAMILIES[name]()
    index.build(VECTORS[:n])
    keys, scores = index.search(QUERIES[:5], 3, slice(None) if n < 100 else None)
    check_table(keys, scores, 3, n)
    if n < 100 and name not in LOSSY:
        assert recall(exact(slice(n), QUERIES[:5], min(3, n)), keys) >= 0.9
    assert "WARNING" not in capfd.readouterr().err


@pytest.mark.parametrize("n", [50, 1500])
def test_zero_and_equal_vectors_do_no_harm(name, n):
    if name.startswith("factory"):
        return
    vectors = VECTORS[:n].copy()
    vectors[10:30] = 0
    vectors[30:45] = vectors[30]
    half = vectors.copy()
    half[: n // 2] = vectors[0]
    for given_vectors in (vectors, half, np.zeros_like(vectors), np.repeat(vectors[:1], n, axis=0)):
        index = FAMILIES[name]()
        index.build(given_vectors)
        for queries in (QUERIES[:4], np.zeros_like(QUERIES[:4])):
            for allowed in (None, np.arange(5, 40, 3), slice(0, 40)):
                check_table(*index.search(queries, K, allowed), K, n)
                if allowed is not None:
                    assert (index.search(queries, K, allowed)[0] >= 0).all()


@pytest.mark.parametrize("d", [1, 2, 3, 5, 7, 13, 33])
def test_any_dimension_will_do(name, d):
    if name.startswith("factory"):
        return
    vectors = RNG.normal(size=(600, d)).astype(np.float32)
    index = FAMILIES[name]()
    index.build(vectors)
    keys, scores = index.search(vectors[:8], 5)
    check_table(keys, scores, 5, 600)
    assert (keys[:, 0] >= 0).all()


# -- input that is no good ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_everywhere(name, bad):
    vectors = VECTORS[:50].copy()
    vectors[[7, 9], 3] = bad
    label = built(name).spec.label
    if name.startswith("auto"):
        label = built(name).picked.spec.label
    for action, subject in [
        (lambda: FAMILIES[name]().build(vectors), "vectors"),
        (lambda: built(name).search(vectors, K), "queries' vectors"),
        (lambda: built(name).search(vectors, K, slice(3)), "queries' vectors"),
        (lambda: built(name).add(vectors), "vectors"),
    ]:
        if name == "nsg" and "add" in action.__code__.co_names:
            continue
        with pytest.raises(DataError) as caught:
            action()
        message = str(caught.value)
        assert message.endswith(f"2 of 50 {subject} have NaN or infinite values, the first is row 7")
        assert "build" in action.__code__.co_names or message.startswith(label)


def test_another_dimension_is_refused(name):
    expected = f"the queries' vectors have {D - 1} dimensions, the index has {D}"
    with pytest.raises(DataError) as caught:
        built(name).search(QUERIES[:, 1:], K)
    assert str(caught.value) == expected
    if name != "nsg":
        with pytest.raises(DataError, match=f"vectors to add have {D - 1} dimensions, the index has {D}"):
            built(name).add(VECTORS[:, 1:])


def test_no_vectors_are_refused(name):
    with pytest.raises(DataError, match="no vectors to index"):
        FAMILIES[name]().build(VECTORS[:0])


def test_before_building_it_says_so(name):
    for action in (
        lambda index: index.search(QUERIES, K),
        lambda index: index.bytes,
        lambda index: index.search(QUERIES, K, slice(3)),
    ):
        with pytest.raises(NotFittedError, match="has not been fitted"):
            action(FAMILIES[name]())


@pytest.mark.parametrize("family", [IVFFlat, IVFPQ, IVFFastScan, RaBitQ])
def test_more_clusters_than_vectors_are_refused(family):
    with pytest.raises(ConfigError) as caught:
        family(n_clusters=21).build(VECTORS[:20])
    expected = f"n_clusters: '{family.type}': n_clusters must be at most the number of vectors (20), got 21"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (IVFPQ(n_parts=33), "n_parts: 'ivf_pq': n_parts must be at most the dimension of the vectors (32), got 33"),
        (
            IVFFastScan(n_parts=99),
            "n_parts: 'ivf_fastscan': n_parts must be at most the dimension of the vectors (32), got 99",
        ),
        (
            Truncate(dimensions=33),
            "dimensions: 'truncate': dimensions must be at most that of the vectors (32), got 33",
        ),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_more_than_the_vectors_have_is_refused(index, expected):
    with pytest.raises(ConfigError) as caught:
        index.build(VECTORS)
    assert str(caught.value) == expected


# -- auto -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "memory", "expected"),
    [
        (1000, 384, 4096, "flat"),
        (50_000, 384, 4096, "flat"),
        (200_000, 384, 4096, "hnsw"),
        (2_000_000, 384, 4096, "hnsw"),
        (2_500_000, 384, 4096, "ivf_flat"),
        (10_000_000, 384, 4096, "ivf_fastscan"),
        (50_000_000, 384, 4096, "rabitq"),
        (10_000, 384, 1, "ivf_fastscan"),
        (100_000, 384, 1, "rabitq"),
    ],
)
def test_auto_picks_by_size_and_memory(n, d, memory, expected):
    picked, why = pick(n, d, memory)
    assert picked.type == expected
    assert f"{n} vectors of {d} dimensions" in why
    assert expected in why


def test_auto_says_what_it_picked_and_keeps_it(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "rag.retrievers.indexes"):
        index = Auto()
        index.build(VECTORS)
    assert ["flat"] == [index.picked.type]
    assert [record.getMessage() for record in caplog.records] == list(index.notes())
    assert "flat, exact" in index.notes()[0]
    index.save_state(tmp_path)
    again = Auto(memory_mib=0.001)
    again.load_state(tmp_path, CONTEXT)
    assert index.picked.spec.to_config() == again.picked.spec.to_config()


FEWER_THAN_DIMENSIONS = """
import numpy as np
from rag.retrievers import IVFPQ, Factory

vectors = np.random.default_rng(0).normal(size=(100, 264)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
for index in (IVFPQ(n_parts=8), Factory("OPQ8_64,IVF2,PQ8x4fs")):
    for _ in range(2):
        index.build(vectors)
    assert np.mean(index.search(vectors, 1)[0][:, 0] == np.arange(100)) > 0.5
"""


def test_fewer_vectors_than_dimensions_turn_without_harm():
    """faiss corrupts its memory there, so a process of its own."""
    done = subprocess.run([sys.executable, "-c", FEWER_THAN_DIMENSIONS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
