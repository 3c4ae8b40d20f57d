"""Vectors in PostgreSQL, against a real server: the same answers as an index in memory, whatever is asked."""

from __future__ import annotations

import itertools
import pickle
import random
import re

import numpy as np
import pytest

from rag import LSA, ConfigError, DataError, Document, Pipeline, RecursiveChunker
from rag.conditions import check_condition
from rag.corpus import Corpus
from rag.corpus.passages import Passages
from rag.retrievers import Dense, Flat, PgVector
from tests.fakes import WordEmbedder
from tests.unit.retrievers.test_filters import CONDITIONS, DOCUMENTS, QUERIES

TABLES = (f"papers_{number}" for number in itertools.count())


def in_postgres(database: str, **arguments) -> PgVector:
    return PgVector(url=database, **{"table": next(TABLES), "m": 4, "ef_construction": 16} | arguments)


def pipeline(index, *, chunked=False, top_k=10, size=16) -> Pipeline:
    chunker = {"chunker": RecursiveChunker(size=16, overlap=0, unit="characters")} if chunked else {}
    return Pipeline(retriever=Dense(embedder=WordEmbedder(size=size), index=index, top_k=top_k), **chunker)


def answers(pipe: Pipeline, **arguments) -> list[list[tuple[str, float]]]:
    """Ids and scores; equal scores in the order of ids, since which of them comes first is nobody's promise."""
    lists = [[(hit.document.id, round(hit.score, 4)) for hit in result] for result in pipe.search(QUERIES, **arguments)]
    return [sorted(hits, key=lambda pair: (-pair[1], pair[0])) for hits in lists]


@pytest.mark.parametrize("chunked", [False, True])
def test_the_same_answers_as_in_memory(database, chunked):
    exact = pipeline(Flat(), chunked=chunked, top_k=200).fit(DOCUMENTS)
    there = pipeline(in_postgres(database), chunked=chunked, top_k=200).fit(DOCUMENTS)
    for condition in [None, *(condition for condition, _ in CONDITIONS)]:
        assert answers(there, filter=condition) == answers(exact, filter=condition)
    for top_k in (1, 3, 10):
        scores = [[round(hit.score, 4) for hit in result] for result in there.search(QUERIES, top_k=top_k)]
        assert scores == [[round(hit.score, 4) for hit in result] for result in exact.search(QUERIES, top_k=top_k)]


def test_queries_with_different_filters_in_one_batch(database):
    from rag import Query

    exact, there = pipeline(Flat()).fit(DOCUMENTS), pipeline(in_postgres(database)).fit(DOCUMENTS)
    queries = [Query(str(n), text, filter=CONDITIONS[n % 5][0]) for n, text in enumerate(QUERIES * 2)]
    assert [[round(h.score, 4) for h in result] for result in there.search(queries)] == [
        [round(h.score, 4) for h in result] for result in exact.search(queries)
    ]


# -- conditions ------------------------------------------------------------------------------------

VALUES = {
    "number": [1, 2.5, -3, 0, 10**18, -(10**30), 2**53 + 1, 1e300],
    "text": ["a", "b", "ä", "zebra", "", "a b", "x" * 700, "'; drop table x; --", "%(c0)s", "{}", "100%"],
    "flag": [True, False],
    "date": ["2024-01-31", "2024-01-31T20:00:00+01:00", "1969-12-31", "2024-06-01"],
}


def random_document(draw: random.Random, number: int) -> Document:
    metadata = {}
    for name, kinds in (("n", ["number"]), ("t", ["text"]), ("b", ["flag"]), ("d", ["date"]), ("mixed", list(VALUES))):
        if draw.random() < 0.7:
            values = [draw.choice(VALUES[draw.choice(kinds)]) for _ in range(draw.choice([1, 1, 1, 2, 3]))]
            metadata[name] = values if len(values) > 1 or draw.random() < 0.2 else values[0]
    if draw.random() < 0.2:
        metadata["nested"] = {"deep.er": {"n": draw.choice(VALUES["number"])}, "list": [], "id": "inner"}
    if draw.random() < 0.3:
        metadata["id"] = draw.choice(["own", "other"])
    if draw.random() < 0.2:
        metadata["odd"] = [None, {"a": 1}]
    return Document(f"doc/{number:03}" if number % 7 else f"{'long' * 200}{number}", f"text {number}", metadata)


def random_condition(draw: random.Random, depth: int = 0) -> dict:
    if depth < 3 and draw.random() < 0.35:
        word = draw.choice(["and", "or", "not"])
        if word == "not":
            return {"not": random_condition(draw, depth + 1)}
        return {word: [random_condition(draw, depth + 1) for _ in range(draw.choice([1, 2, 3]))]}
    name = draw.choice(["n", "t", "b", "d", "mixed", "nested.deep.er.n", "nested.list", "id", "metadata.id", "odd"])
    kind = {"n": "number", "t": "text", "b": "flag", "d": "date", "nested.deep.er.n": "number"}.get(name)
    pool = VALUES[kind or draw.choice(list(VALUES))] + ([f"doc/{draw.randrange(80):03}", "own"] if "id" in name else [])
    test = draw.choice(["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "prefix", "contains", "exists"])
    if test == "exists":
        return {name: {test: draw.random() < 0.5}}
    value = draw.choice(pool)
    if test in ("prefix", "contains"):
        value = str(value)[: draw.choice([1, 2, 5])]
    elif draw.random() < 0.2 and isinstance(value, int) and not isinstance(value, bool):
        value += draw.choice([-1, 1])
    return {name: {test: [value, draw.choice(pool)] if test in ("in", "nin") else value}}


def test_random_conditions_find_what_they_find_in_memory(database):
    draw = random.Random(7)
    documents = [random_document(draw, number) for number in range(150)]
    corpus = Corpus.from_documents(documents)
    passages = Passages.whole(corpus)
    index = in_postgres(database)
    index.hold(passages, np.ones((len(documents), 2), dtype=np.float32))
    query = np.ones((1, 2), dtype=np.float32)
    asked = refused = 0
    while asked < 250:
        condition = random_condition(draw)
        try:
            condition = check_condition(condition)
        except ConfigError:
            continue
        try:
            wanted = np.flatnonzero(corpus.fields.mask(condition)).tolist()
        except DataError as error:
            refused += 1
            with pytest.raises(DataError, match=f"^{re.escape(str(error))}$"):
                index.search_where(query, 200, condition)
            continue
        asked += 1
        keys = index.search_where(query, 200, condition)[0][0]
        assert sorted(keys[keys >= 0].tolist()) == wanted, condition
    assert refused > 20


def test_a_text_that_no_database_takes_is_named(database):
    with pytest.raises(DataError, match=r"document 'a': the text 'x\\x00y'"):
        pipeline(in_postgres(database)).fit([Document("a", "text", {"t": "x\0y"})])


# -- the graph -------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["vector", "halfvec"])
def test_the_graph_finds_nearly_all_and_no_list_is_short(database, storage):
    draw = np.random.default_rng(0)
    centers = draw.normal(size=(40, 24))
    vectors = centers[draw.integers(40, size=3000)] + 0.6 * draw.normal(size=(3000, 24))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    documents = [Document(str(n), "x", {"tenth": n % 10, "few": n % 1000}) for n in range(3000)]
    index = in_postgres(database, m=8, ef_construction=40, ef_search=20, storage=storage)
    index.hold(Passages.whole(Corpus.from_documents(documents)), vectors)
    queries, scores = vectors[:40], vectors[:40] @ vectors.T
    searched = {"graph": 0, "exact": 0}
    reader = index._fitted()
    for name in searched:
        setattr(reader, f"_{name}", counted(getattr(reader, f"_{name}"), searched, name))
    for condition, passes, by, least in [
        (None, lambda n: n >= 0, "graph", 0.95),
        ({"tenth": {"lt": 8}}, lambda n: n % 10 < 8, "graph", 0.95),
        ({"tenth": 3}, lambda n: n % 10 == 3, "exact", 1.0),
        ({"few": 7}, lambda n: n % 1000 == 7, "exact", 1.0),
        ({"few": 1000}, lambda n: n < 0, "exact", 1.0),
    ]:
        searched.update(graph=0, exact=0)
        inside = np.flatnonzero(passes(np.arange(3000)))
        keys, actual = index.search_where(queries, 10, condition)
        assert searched[by] == 1
        wanted = inside[np.argsort(-scores[:, inside], axis=1, kind="stable")[:, :10]]
        assert keys.shape == wanted.shape
        tolerance = 1e-4 if storage == "vector" else 2e-3
        assert np.allclose(np.take_along_axis(scores, keys, 1), actual, atol=tolerance)
        lowest = np.take_along_axis(scores, wanted, 1)[:, -1:] if len(inside) else actual
        assert (actual >= lowest - tolerance).mean() >= least if actual.size else not wanted.size
        assert (np.diff(actual, axis=1) <= 0).all()


def counted(call, counts, name):
    def with_count(*arguments):
        counts[name] += 1
        return call(*arguments)

    return with_count


def test_wrong_statistics_leave_no_list_short(database, monkeypatch):
    index = in_postgres(database)
    documents = [Document(str(n), "x", {"few": n % 300}) for n in range(900)]
    vectors = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32)
    index.hold(Passages.whole(Corpus.from_documents(documents)), vectors)
    monkeypatch.setattr(index._fitted(), "_passing", lambda key: 10**9)
    keys, _ = index.search_where(vectors[:5], 3, {"few": 7})
    assert sorted(keys[0].tolist()) == [7, 307, 607]
    assert index.search_where(vectors[:5], 10, {"few": 7})[0].shape == (5, 3)


# -- keeping ---------------------------------------------------------------------------------------


def test_saved_loaded_and_pickled_it_answers_the_same(database, tmp_path, postgres):
    there = Pipeline(
        chunker=RecursiveChunker(size=16, overlap=0, unit="characters"),
        retriever=Dense(embedder=LSA(dim=8), index=in_postgres(database), top_k=10),
    ).fit(DOCUMENTS)
    there.save(tmp_path / "index")
    before = answers(there, filter={"even": True})
    assert answers(Pipeline.load(tmp_path / "index", verify=True), filter={"even": True}) == before
    assert answers(pickle.loads(pickle.dumps(there)), filter={"even": True}) == before
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(postgres.password.encode() in text or b"w0rd" in text for text in texts)
    assert any(b"url: ${RAG_TEST_DATABASE}\n" in text for text in texts)
    assert "w0rd" not in repr(there)


def test_its_vectors_come_back_and_feed_feedback(database):
    there = pipeline(in_postgres(database)).fit(DOCUMENTS)
    local = pipeline(Flat()).fit(DOCUMENTS)
    keys = np.array([5, 3, 3, 119])
    assert np.array_equal(there.retriever.index.reconstruct(keys), local.retriever.index.reconstruct(keys))
    half = pipeline(in_postgres(database, storage="halfvec")).fit(DOCUMENTS)
    assert half.retriever.index.reconstruct(keys) is None
    allowed = np.array([2, 4, 6])
    assert sorted(there.retriever.index.search(np.ones((1, 16), np.float32), 9, allowed)[0][0].tolist()) == [2, 4, 6]


def test_where_it_lies_is_no_part_of_what_it_is(database):
    here, other = PgVector(url=database, table="a"), PgVector(url="postgresql://elsewhere/x", table="a", timeout=3.0)
    assert here.fingerprint == other.fingerprint
    assert here.fingerprint != PgVector(url=database, table="a", storage="halfvec").fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "postgresql://u:secret@h/x"}, "url: has a password in it"),
        ({"url": "host=h password = secret"}, "url: has a password in it"),
        ({"url": "${DATABASE_URL:-postgres://u:secret@h/x}"}, "url: has a password in it"),
        ({"table": "Papers; drop"}, "table: must be a name of small letters"),
        ({"ef_construction": 20}, r"ef_construction: must be at least 2 m \(32\), got 20"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ConfigError, match=message) as error:
        PgVector(**{"url": "${DATABASE_URL}", "table": "papers"} | arguments)
    assert "secret" not in str(error.value)


def test_vectors_that_do_not_fit(database):
    passages = Passages.whole(Corpus.from_documents([Document("a", "x")]))
    for n, storage, message in [
        (2001, "vector", "indexed up to 2000 dimensions, the vectors have 2001: set storage to halfvec"),
        (4001, "halfvec", "indexed up to 4000 dimensions, the vectors have 4001$"),
    ]:
        with pytest.raises(DataError, match=message):
            in_postgres(database, storage=storage).hold(passages, np.ones((1, n), dtype=np.float32))
    with pytest.raises(DataError, match="beyond 65504"):
        in_postgres(database, storage="halfvec").hold(passages, np.full((1, 2), 1e6, dtype=np.float32))
    index = in_postgres(database, storage="halfvec")
    index.hold(passages, np.ones((1, 2500), dtype=np.float32))
    with pytest.raises(DataError, match="have 3 dimensions, the index has 2500"):
        index.search_where(np.ones((1, 3), dtype=np.float32), 1, None)
    with pytest.raises(DataError, match="1 of 1 queries' vectors have NaN"):
        index.search_where(np.full((1, 2500), np.nan, dtype=np.float32), 1, None)


def test_arguments_are_refused_all_at_once():
    with pytest.raises(ConfigError) as error:
        PgVector(url="postgresql://me:s3cret@x/y", table="A b", m=32, ef_construction=8)
    assert [mistake.path for mistake in error.value.mistakes] == ["url", "table", "ef_construction"]
    assert "s3cret" not in str(error.value)
