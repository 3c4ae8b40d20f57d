"""Vectors and words in Milvus, against milvus-lite in a process of its own: the same answers as in memory."""

from __future__ import annotations

import itertools
import os
import pickle
import random
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from rag import LSA, ArtifactError, ConfigError, DataError, Document, Pipeline, RagError
from rag.conditions import check_condition
from rag.corpus import Corpus
from rag.corpus.passages import Passages
from rag.retrievers import BM25, Dense, Flat, Milvus, MilvusBM25
from rag.retrievers.indexes.milvus.columns import sortable
from tests.unit.retrievers.test_filters import CONDITIONS, DOCUMENTS, QUERIES
from tests.unit.retrievers.test_pgvector import answers, pipeline, random_condition, random_document

NAMES = (f"papers{number}" for number in itertools.count())


@pytest.fixture
def uri(milvus, monkeypatch) -> str:
    monkeypatch.setenv("RAG_TEST_MILVUS", milvus.uri)
    monkeypatch.setenv("RAG_TEST_TOKEN", "root:t0ken")
    return "${RAG_TEST_MILVUS}"


def in_milvus(uri, **arguments) -> Milvus:
    return Milvus(uri=uri, token="${RAG_TEST_TOKEN}", **{"collection": next(NAMES), "m": 4, "timeout": 5.0} | arguments)


@pytest.mark.parametrize("chunked", [False, True])
def test_the_same_answers_as_in_memory(uri, chunked):
    exact = pipeline(Flat(), chunked=chunked, top_k=200).fit(DOCUMENTS)
    there = pipeline(in_milvus(uri), chunked=chunked, top_k=200).fit(DOCUMENTS)
    for condition in [None, *(condition for condition, _ in CONDITIONS)]:
        assert answers(there, filter=condition) == answers(exact, filter=condition)


def test_random_conditions_find_what_they_find_in_memory(uri):
    draw = random.Random(7)
    documents = [random_document(draw, number) for number in range(100)]
    for document in documents:
        document.metadata.pop("mixed", None)  # a collection has room for 59 columns
    corpus = Corpus.from_documents(documents)
    index = in_milvus(uri)
    index.hold(Passages.whole(corpus), np.ones((len(documents), 2), dtype=np.float32))
    asked = 0
    while asked < 80:
        try:
            condition = check_condition(random_condition(draw))
            if "mixed" in str(condition):
                continue
            wanted = np.flatnonzero(corpus.fields.mask(condition)).tolist()
        except (ConfigError, DataError):
            continue
        asked += 1
        keys = index.search_where(np.ones((1, 2), dtype=np.float32), 200, condition)[0][0]
        assert sorted(keys[keys >= 0].tolist()) == wanted, condition


def test_numbers_as_texts_are_ordered_as_numbers():
    draw = random.Random(0)
    numbers = [0, -1, 1, 10, -10, 0.5, -0.5, 1e300, -1e300, 5e-324, 10**30, -(10**30), 2**53 + 1, 2**53 + 2]
    numbers += [draw.randint(-(10 ** draw.randint(1, 40)), 10 ** draw.randint(1, 40)) for _ in range(200)]
    assert sorted(numbers, key=sortable) == sorted(numbers)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"t": "x" * 70_000}, "a text of 't' has 70000 bytes"),
        ({"t": ["a", "x\x1fy"]}, "has the character U\\+001F"),
        ({"t": ["a"] * 5000}, "the list of 't' has 5000 values"),
        ({f"f{n}": n for n in range(60)}, "takes 61 columns, a table has room for 59"),
        ({f"f{n}": [n, 1] for n in range(25)}, "takes 76 columns, a collection has room for 59"),
    ],
)
def test_fields_that_milvus_does_not_take(uri, metadata, message):
    with pytest.raises(DataError, match=message):
        pipeline(in_milvus(uri)).fit([Document("a", "text", metadata)])


def test_its_vectors_come_back(uri):
    there, local = pipeline(in_milvus(uri)).fit(DOCUMENTS), pipeline(Flat()).fit(DOCUMENTS)
    keys = np.array([5, 3, 3, 119])
    assert np.array_equal(there.retriever.index.reconstruct(keys), local.retriever.index.reconstruct(keys))


# -- generations ---------------------------------------------------------------------------------------------------


def collections(milvus, name) -> list[str]:
    return [collection for collection in milvus.client().list_collections() if collection.startswith(f"{name}_")]


def saved(index, folder) -> None:
    """A saved pipeline that finds everything: no vector of a query is zero."""
    Pipeline(retriever=Dense(embedder=LSA(dim=8), index=index, top_k=500)).fit(DOCUMENTS).save(folder)


def ids(pipe) -> set[str]:
    return {hit.document.id for hit in pipe.search(QUERIES[0], top_k=500)}


def test_changes_are_generations_and_readers_keep_theirs(uri, tmp_path, milvus):
    index = in_milvus(uri, keep_hours=0)
    saved(index, tmp_path / "a")
    reader = Pipeline.load(tmp_path / "a", verify=True)
    everything = {document.id for document in DOCUMENTS}
    assert ids(reader) == everything
    assert answers(pickle.loads(pickle.dumps(reader))) == answers(reader)
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.delete(["d1"])
        writer.add([Document("new", "blue blue 7", {"number": 7})])
    assert ids(reader) == everything
    changed = Pipeline.load(tmp_path / "a")
    assert ids(changed) == everything - {"d1"} | {"new"}
    assert [hit.document.id for hit in changed.search("blue", filter={"id": "new"})] == ["new"]
    changed.retriever.index.verify_elsewhere()
    assert len(collections(milvus, index.collection)) == 1
    with Pipeline.editing(tmp_path / "a") as writer:  # a field without a column: rows are copied
        writer.add([Document("newer", "blue", {"unheard": ["of", "it"]})])
    last = Pipeline.load(tmp_path / "a")
    assert [hit.document.id for hit in last.search("blue", filter={"unheard": "of"})] == ["newer"]
    assert ids(last) == everything - {"d1"} | {"new", "newer"}
    last.retriever.index.verify_elsewhere()
    with pytest.raises(ArtifactError, match="is not there|not exist|given up"):  # given up, removed at the last write
        ids(reader)
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"t0ken" in text for text in texts)


def test_rolled_back_it_goes_on_from_there(uri, tmp_path, milvus):
    index = in_milvus(uri)
    saved(index, tmp_path / "a")
    everything = {document.id for document in DOCUMENTS}
    with Pipeline.editing(tmp_path / "a", keep=2) as writer:
        writer.delete(["d1", "d2"])
    Pipeline.rollback(tmp_path / "a")
    assert ids(Pipeline.load(tmp_path / "a")) == everything
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.add([Document("new", "blue blue 7")])
    again = Pipeline.load(tmp_path / "a")
    assert ids(again) == everything | {"new"}
    again.retriever.index.verify_elsewhere()
    assert len(collections(milvus, index.collection)) == 1


def test_a_copy_of_the_folder_that_writes_gets_a_collection_of_its_own(uri, tmp_path, milvus, caplog):
    index = in_milvus(uri)
    saved(index, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for name, gone in (("a", "d1"), ("b", "d2")):
        with Pipeline.editing(tmp_path / name) as writer:
            writer.delete([gone])
        if name == "a":
            Pipeline.load(tmp_path / "b").retriever.index.verify_elsewhere()
            assert "has given them up, so they will be removed" in caplog.text
            caplog.clear()
    Pipeline.load(tmp_path / "a").retriever.index.verify_elsewhere()
    assert "has given them up" not in caplog.text
    assert len(collections(milvus, index.collection)) == 2
    for name, gone in (("a", "d1"), ("b", "d2")):
        pipe = Pipeline.load(tmp_path / name, verify=True)
        assert ids(pipe) == {document.id for document in DOCUMENTS} - {gone}


def test_an_interrupted_write_leaves_the_old_and_a_rerun_finishes(uri, tmp_path, milvus, monkeypatch):
    from rag.retrievers.indexes.milvus import writing

    index = in_milvus(uri)
    saved(index, tmp_path / "a")

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "made", killed)
    with pytest.raises(KeyboardInterrupt), Pipeline.editing(tmp_path / "a") as writer:
        writer.sync(DOCUMENTS[5:] + [Document("new", "blue")], max_deletes=None)
    monkeypatch.undo()
    monkeypatch.setenv("RAG_TEST_MILVUS", milvus.uri)
    monkeypatch.setenv("RAG_TEST_TOKEN", "root:t0ken")
    before = Pipeline.load(tmp_path / "a", verify=True)
    before.retriever.index.verify_elsewhere()
    assert ids(before) == {document.id for document in DOCUMENTS}
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.delete(["d7"])
    after = Pipeline.load(tmp_path / "a")
    after.retriever.index.verify_elsewhere()
    assert ids(after) == {document.id for document in DOCUMENTS} - {"d7"}


def test_killed_after_the_folder_was_written_it_is_kept_from_others(uri, tmp_path, monkeypatch):
    from rag.pipeline import saving

    def killed(*arguments):
        raise KeyboardInterrupt

    index = in_milvus(uri)
    with monkeypatch.context() as patch:
        patch.setattr(saving, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            saved(index, tmp_path / "a")
    pipeline(in_milvus(uri, collection=index.collection, keep_hours=0)).fit(DOCUMENTS[:9])
    assert ids(Pipeline.load(tmp_path / "a")) == {document.id for document in DOCUMENTS}


def made_by_another(milvus, base) -> None:
    """As if the process that made a collection were another, which is gone."""
    client = milvus.client()
    (own,) = [alias for alias in client.list_aliases(base)["aliases"] if "__by_" in alias]
    client.drop_alias(own)
    head, _, hour = own.rpartition("_")
    client.create_alias(base, f"{head.rpartition('_')[0]}_{2**22 + 1}_{hour}")


def test_what_was_never_saved_is_removed_when_its_process_has_ended(uri, milvus):
    index = in_milvus(uri)
    pipeline(index).fit(DOCUMENTS[:9])
    (base,) = collections(milvus, index.collection)
    made_by_another(milvus, base)
    pipeline(in_milvus(uri, collection=index.collection)).fit(DOCUMENTS[:9])
    assert base not in collections(milvus, index.collection)


# -- faults --------------------------------------------------------------------------------------------------------


def test_arguments_are_refused_all_at_once():
    with pytest.raises(ConfigError) as error:
        Milvus(uri="http://root:s3cret@x:19530", token="s3cret", collection="a-b", m=64, ef_construction=8)
    assert [mistake.path for mistake in error.value.mistakes] == ["uri", "token", "collection", "ef_construction"]
    assert "s3cret" not in str(error.value)


def refused(call) -> str:
    with pytest.raises(RagError) as error:
        call()
    assert "t0ken" not in str(error.value)
    return str(error.value)


def test_a_server_that_stops_and_comes_back(uri, tmp_path, milvus, monkeypatch):
    from rag.retrievers.indexes.milvus.writing import MilvusWriter

    index = in_milvus(uri)
    saved(index, tmp_path / "a")
    reader = Pipeline.load(tmp_path / "a")
    before = answers(reader)
    made = MilvusWriter._made

    def stopped(*arguments):
        milvus.stop()
        return made(*arguments)

    try:
        with monkeypatch.context() as patch:  # in the middle of a build
            patch.setattr(MilvusWriter, "_made", stopped)
            assert "cannot be written" in refused(
                lambda: saved(in_milvus(uri, collection=index.collection), tmp_path / "b")
            )
        assert not (tmp_path / "b").exists()
        assert "cannot be searched" in refused(lambda: answers(reader))
        assert "cannot be opened" in refused(lambda: Pipeline.load(tmp_path / "a"))
        monkeypatch.setenv("RAG_TEST_MILVUS", "http://root:t0ken@127.0.0.1:1")
        assert "Milvus at 127.0.0.1:1" in refused(lambda: Pipeline.load(tmp_path / "a"))
        monkeypatch.setenv("RAG_TEST_MILVUS", milvus.uri)
    finally:
        milvus.start()
    assert answers(reader) == before
    saved(in_milvus(uri, collection=index.collection), tmp_path / "b")
    assert answers(Pipeline.load(tmp_path / "b")) == before
    monkeypatch.delenv("RAG_TEST_MILVUS")
    assert "RAG_TEST_MILVUS is not set" in refused(lambda: Pipeline.load(tmp_path / "a"))


def test_collections_that_are_not_what_they_were(uri, tmp_path, milvus):
    index = in_milvus(uri)
    saved(index, tmp_path / "a")
    reader = Pipeline.load(tmp_path / "a")
    client, (base,) = milvus.client(), collections(milvus, index.collection)
    row = dict(client.query(base, filter="id == 3", output_fields=["*"])[0])
    client.upsert(base, [{**row, "v": [9.0] * 8}])
    assert "1 rows were changed" in refused(reader.retriever.index.verify_elsewhere)
    client.upsert(base, [row])
    reader.retriever.index.verify_elsewhere()
    client.upsert(base, [{**row, "id": 999}])
    assert "1 rows are not ours" in refused(reader.retriever.index.verify_elsewhere)
    assert "answered with the row 999, which this index has not written" in refused(lambda: answers(reader))
    client.delete(base, filter="id in [3, 999]")
    assert "1 rows are missing" in refused(reader.retriever.index.verify_elsewhere)
    assert "has fewer rows than were written" in refused(lambda: ids(reader))
    assert "rows where 120 were written" in refused(lambda: Pipeline.load(tmp_path / "a"))
    for alias in client.list_aliases(base)["aliases"]:
        client.drop_alias(alias)
    assert "Open the newest folder, or index again" in refused(lambda: Pipeline.load(tmp_path / "a"))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"description": "rag-pipelines, format 2"}, "is in format 2, this version reads up to 1"),
        ({"dimension": 9}, "has 9 dimensions, this index has 8"),
        ({"columns": ["v"]}, "belongs to another index: it has no column f0_t"),
        ({"rows": 3}, "has 3 rows where 5 were written"),
    ],
)
def test_a_collection_of_another_index_or_version(about, message):
    from rag.retrievers.indexes.milvus.contents import VectorContent
    from rag.retrievers.indexes.milvus.generations import Generation
    from rag.retrievers.indexes.milvus.reading import MilvusReader
    from rag.retrievers.indexes.remote.fields import Layout
    from rag.retrievers.indexes.remote.rows import Held, empty_rows

    fields = [
        {"name": name, "params": {"dim": about.get("dimension", 8)}} for name in about.get("columns", ["v", "f0_t"])
    ]
    client = SimpleNamespace(
        describe_collection=lambda name: {"description": about.get("description", ""), "fields": fields},
        query=lambda *arguments, **options: [{"count(*)": about["rows"]}],
    )
    server = SimpleNamespace(run=lambda doing, call, reads="": call(client))
    held = Held(Generation("papers_1", 1, 5, 5, 8, ""), Layout({}, {"id": {"t": "f0_t"}}), *empty_rows(5))
    content = VectorContent(m=4, ef_construction=8, ef_search=8)
    with pytest.raises(ArtifactError, match=message):
        MilvusReader(server, content, held, consistency="strong").open()


# -- words ---------------------------------------------------------------------------------------------------------


def with_bm25(uri, **arguments) -> Pipeline:
    names = {"uri": uri, "token": "${RAG_TEST_TOKEN}", "collection": next(NAMES), "timeout": 5.0}
    return Pipeline(retriever=MilvusBM25(**names | arguments))


def test_bm25_of_the_server_ranks_as_ours(uri):
    words = ["red", "green", "blue", "yellow", "thing", "number", "small", "large", "old", "new"]
    draw = random.Random(1)
    documents = [
        Document(str(n), " ".join(draw.choices(words, k=draw.randint(3, 30))), {"n": n % 5}) for n in range(200)
    ]
    ours = Pipeline(retriever=BM25(language=None, variant="lucene", top_k=100)).fit(documents)
    there = with_bm25(uri, stemmer=None).fit(documents)
    for condition in (None, {"n": {"lt": 2}}):
        for query in ("red thing", "small blue yellow", "nothing known"):
            expected = {hit.document.id: hit.score for hit in ours.search(query, top_k=20, filter=condition)}
            actual = {hit.document.id: hit.score for hit in there.search(query, top_k=20, filter=condition)}
            assert len(actual) == len(expected)
            assert len(set(actual) & set(expected)) >= 0.9 * len(expected)


def test_bm25_changes_with_the_documents(uri, tmp_path):
    with_bm25(uri).fit(DOCUMENTS).save(tmp_path / "a")
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.delete(["d1"])
        writer.add([Document("new", "unheard words here")])
    pipe = Pipeline.load(tmp_path / "a", verify=True)
    assert [hit.document.id for hit in pipe.search("unheard")] == ["new"]
    assert "d1" not in {hit.document.id for hit in pipe.search(QUERIES[0], top_k=500)}
    pipe.retriever.verify_elsewhere()


def test_bm25_refuses_passages_that_are_too_long(uri):
    with pytest.raises(DataError, match="a passage of the document 'a' has 70000 bytes"):
        with_bm25(uri).fit([Document("a", "x" * 70_000)])


def test_the_process_is_the_only_one_that_writes(uri, milvus):
    from rag.retrievers.indexes.milvus.connection import MilvusServer
    from rag.retrievers.indexes.milvus.generations import writing

    index = in_milvus(uri)
    pipeline(index).fit(DOCUMENTS[:9])
    (base,) = collections(milvus, index.collection)
    server = MilvusServer(uri, "", 0.5)
    client = milvus.client()
    client.create_alias(base, f"{base}__writing_00000000_1_{10**6}_abc")
    with pytest.raises(RagError, match="another machine has been writing"), writing(server, base):
        pass
    client.drop_alias(f"{base}__writing_00000000_1_{10**6}_abc")
    with writing(server, base):
        assert any(f"_{os.getpid()}_" in alias for alias in client.list_aliases(base)["aliases"])
    assert not any("writing" in alias for alias in client.list_aliases(base)["aliases"])
