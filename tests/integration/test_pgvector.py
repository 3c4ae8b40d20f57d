"""Generations in PostgreSQL: updates, readers that keep theirs, faults of the server, the network and of people."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from rag import LSA, ArtifactError, Document, Pipeline, RagError, RecursiveChunker
from rag.cli.updates import verify
from rag.retrievers import Dense, Flat, PgVector
from tests.fakes import WordEmbedder
from tests.unit.retrievers.test_filters import DOCUMENTS, QUERIES

CONDITION = {"even": True}


def make(database, index=None, embedder=None, **arguments) -> Pipeline:
    index = index or PgVector(url=database, table="papers", m=4, ef_construction=16, **arguments)
    return Pipeline(
        chunker=RecursiveChunker(size=16, overlap=0, unit="characters"),
        retriever=Dense(embedder=embedder or WordEmbedder(size=16), index=index, top_k=200),
    )


def saved(database, folder, documents=DOCUMENTS, **arguments) -> None:
    make(database, embedder=LSA(dim=8), **arguments).fit(documents).save(folder)


def answers(pipe, **arguments):
    lists = [[(hit.document.id, round(hit.score, 3)) for hit in result] for result in pipe.search(QUERIES, **arguments)]
    return [sorted(hits, key=lambda pair: (-pair[1], pair[0])) for hits in lists]


def tables(postgres) -> list[str]:
    rows = postgres.execute(
        "select tablename from pg_tables where schemaname = current_schema() and tablename like 'papers%' order by 1",
        schema=os.environ["RAG_TEST_SCHEMA"],
    )
    return [name for (name,) in rows]


def forgotten(pipe, postgres) -> None:
    """Close what a pipeline has open, as the end of its process does; the server hears of it a moment later."""
    reader = pipe.retriever.index._fitted()
    reader.close()
    gc.collect()
    mine = "classid::int8 = mod(hashint8('rag_generations'::regclass::oid::int8)::int8 + 4294967296, 4294967296)"
    for _ in range(200):
        if not in_schema(postgres, f"select 1 from pg_locks where {mine} and objid = {reader.held.generation.key}"):
            return
        time.sleep(0.05)
    raise AssertionError("it is open still")


def in_schema(postgres, statement):
    return postgres.execute(statement, schema=os.environ["RAG_TEST_SCHEMA"])


# -- updates -------------------------------------------------------------------------------------------------------


def test_updates_give_what_an_index_in_memory_gives(database):
    there, local = make(database).fit(DOCUMENTS[:80]), make(database, Flat()).fit(DOCUMENTS[:80])
    changed = [Document(d.id, d.text, {**d.metadata, "number": -1, "fresh": [1.5, 2.5]}) for d in DOCUMENTS[:7]]
    rewritten = [Document(d.id, "green thing 3. " * 3, d.metadata) for d in DOCUMENTS[10:20]]
    for change in [
        lambda p: p.add(DOCUMENTS[80:]),
        lambda p: p.delete(["d3", "d5", "d85"]),
        lambda p: p.add(changed),
        lambda p: p.add(rewritten),
        lambda p: p.delete(filter={"number": {"gte": 100}}),
        lambda p: p.add([Document("d3", "red thing 3.", {"number": "now a text"})]),
        lambda p: p.sync([*DOCUMENTS[20:110], *changed], max_deletes=None),
        lambda p: p.compact(),
        lambda p: p.add([Document("new", "blue blue 7", {"even": True})]),
    ]:
        assert change(there) == change(local)
        for condition in (None, CONDITION, {"number": {"lt": 50}}, {"fresh": {"gte": 1}}, {"id": {"prefix": "d1"}}):
            try:
                wanted = answers(local, filter=condition)
            except RagError as error:
                with pytest.raises(type(error)):
                    answers(there, filter=condition)
            else:
                assert answers(there, filter=condition) == wanted
    assert there.retriever.index._fitted().held.generation.generation == 9  # compacting moves nothing there
    there.retriever.index.verify_elsewhere()


def test_a_reader_keeps_its_generation_and_others_go_when_nobody_needs_them(database, tmp_path, postgres):
    saved(database, tmp_path / "a", keep_hours=0)
    reader = Pipeline.load(tmp_path / "a")
    before = answers(reader)
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.delete([f"d{n}" for n in range(20)])
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.add([Document("new", "blue blue 7")])
    assert answers(reader) == before
    assert answers(Pipeline.load(tmp_path / "a")) != before
    count = "select count(*) from papers_1 where died < 2147483647"
    assert in_schema(postgres, count)[0][0] > 0
    forgotten(reader, postgres)
    forgotten(writer, postgres)
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.add([Document("newer", "blue blue 8")])
    generations = in_schema(postgres, "select generation, saved, released is null from rag_generations order by 1")
    assert generations == [(3, True, False), (4, True, True)]  # the one before was open while this was written
    forgotten(writer, postgres)
    saved(database, tmp_path / "a", DOCUMENTS[:50], keep_hours=0)  # everything anew
    saved(database, tmp_path / "a", DOCUMENTS[:60], keep_hours=0)
    assert tables(postgres) == ["papers_2", "papers_3"]
    with pytest.raises(ArtifactError, match='generation 1 of the table "papers_1" is not there: it was given up'):
        answers(reader)


def test_what_was_never_saved_goes_with_its_process(database, tmp_path, postgres):
    evaluated = make(database).fit(DOCUMENTS[:30])
    saved(database, tmp_path / "a")
    assert tables(postgres) == ["papers_1", "papers_2"]
    assert len(answers(evaluated)[0]) == 30
    forgotten(evaluated, postgres)
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.delete(["d1"])
    assert tables(postgres) == ["papers_2"]


def test_rolled_back_it_goes_on_from_there(database, tmp_path, postgres):
    saved(database, tmp_path / "a")
    before = answers(Pipeline.load(tmp_path / "a"))
    with Pipeline.editing(tmp_path / "a", keep=2) as writer:
        writer.delete(["d1", "d2", "d3"])
    forgotten(writer, postgres)
    Pipeline.rollback(tmp_path / "a")
    assert answers(Pipeline.load(tmp_path / "a")) == before
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.add([Document("new", "blue blue 7")])
    again = Pipeline.load(tmp_path / "a")
    assert {"new", "d1", "d2", "d3"} < {id for id, _ in answers(again)[0]}
    again.retriever.index.verify_elsewhere()
    assert tables(postgres) == ["papers_1"]


def test_killed_after_the_folder_was_written_it_is_kept_from_others(database, tmp_path, postgres, monkeypatch):
    from rag.pipeline import saving

    def killed(*arguments):
        raise KeyboardInterrupt

    saved(database, tmp_path / "a")
    with monkeypatch.context() as patch:
        patch.setattr(saving, "settle", killed)
        with pytest.raises(KeyboardInterrupt), Pipeline.editing(tmp_path / "a") as writer:
            writer.delete(["d1"])
    forgotten(writer, postgres)
    saved(database, tmp_path / "b", DOCUMENTS[:30])  # which removes what nobody has
    after = Pipeline.load(tmp_path / "a")
    assert {id for id, _ in answers(after)[0]} == {d.id for d in DOCUMENTS} - {"d1"}
    after.retriever.index.verify_elsewhere()
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.add([Document("new", "blue blue 7")])
    assert in_schema(postgres, "select saved, released is null from rag_generations order by key")[-1] == (True, True)


def test_a_copy_of_the_folder_that_writes_gets_a_table_of_its_own(database, tmp_path, postgres, caplog):
    saved(database, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.delete(["d1"])
    verify(tmp_path / "a")
    assert "has given them up" not in caplog.text
    verify(tmp_path / "b")
    assert "has given them up, so they will be removed: this is a copy of it" in caplog.text
    with Pipeline.editing(tmp_path / "b") as writer:
        writer.delete(["d2"])
    assert tables(postgres) == ["papers_1", "papers_2"]
    for name, gone in (("a", "d1"), ("b", "d2")):
        pipe = Pipeline.load(tmp_path / name)
        assert {id for id, _ in answers(pipe)[0]} == {d.id for d in DOCUMENTS} - {gone}
        pipe.retriever.index.verify_elsewhere()


def test_many_new_rows_are_written_with_all_others_to_a_table_that_is_built_at_once(
    database, tmp_path, postgres, monkeypatch
):
    from rag.retrievers.indexes.postgres import writing

    monkeypatch.setattr(writing, "_MANY", 5)
    saved(database, tmp_path / "a", DOCUMENTS[:80], keep_hours=0)
    reader = Pipeline.load(tmp_path / "a")
    before = answers(reader)
    changed = [Document(d.id, d.text, {**d.metadata, "fresh": [1.5, 2.5]}) for d in DOCUMENTS[10:40]]
    synced = [*DOCUMENTS[5:10], *changed, *DOCUMENTS[40:]]
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.sync(synced, max_deletes=None)
    assert tables(postgres) == ["papers_1", "papers_2"]
    assert answers(reader) == before
    wanted = make(database, Flat(), LSA(dim=8)).fit(DOCUMENTS[:80])
    wanted.sync(synced, max_deletes=None)
    pipe = Pipeline.load(tmp_path / "a", verify=True)
    for condition in (None, CONDITION, {"fresh": {"gte": 2}}):
        assert answers(pipe, filter=condition) == answers(wanted, filter=condition)
    pipe.retriever.index.verify_elsewhere()
    definitions = "select split_part(indexdef, ' USING ', 2) from pg_indexes where tablename = 'papers_%s' order by 1"
    fields = in_schema(postgres, definitions % 2)
    assert len(fields) == len(set(fields)) == len(in_schema(postgres, definitions % 1)) + 1
    pipe.retriever.index._fitted().close()
    forgotten(reader, postgres)
    forgotten(writer, postgres)
    with Pipeline.editing(tmp_path / "a") as writer:
        writer.delete(["d50"])  # few: it stays where it is, and what nobody needs goes
    assert tables(postgres) == ["papers_2"]


def test_two_writers_come_one_after_the_other(database, tmp_path):
    errors = []

    def write(number):
        try:
            saved(database, tmp_path / str(number), DOCUMENTS[: 40 + number])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=[number]) for number in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert errors == []
    for number in range(3):
        pipe = Pipeline.load(tmp_path / str(number))
        assert len(answers(pipe)[0]) == 40 + number
        pipe.retriever.index.verify_elsewhere()


# -- faults --------------------------------------------------------------------------------------------------------


def refused(call, *secrets) -> str:
    with pytest.raises(RagError) as error:
        call()
    text = str(error.value)
    assert not any(secret in text or secret in repr(error.value.__cause__) for secret in ("w0rd", *secrets))
    return text


def test_what_cannot_be_connected_to(database, postgres, monkeypatch):
    pipe = make(database, timeout=2.0)
    for url, message in [
        (postgres.url(password="Wr0ng"), 'password authentication failed for user "owner"'),
        (postgres.url(host="127.0.0.1:1"), "Connection refused"),
        (postgres.url().replace("/postgres?", "/nothere?"), 'database "nothere" does not exist'),
        ("postgresql://owner:Wr0ng%ZZ@127.0.0.1/x", "url: is not the address of a database"),
        *[
            (f"postgresql://owner:{secret}@127.0.0.1:1/x", "")
            for secret in ("Wr0ng@Wr0ng", "Wr0ng/Wr0ng", "Wr0ng?Wr0ng")
        ],
    ]:
        monkeypatch.setenv("RAG_TEST_DATABASE", url)
        assert message in refused(lambda: pipe.fit(DOCUMENTS[:9]), "Wr0ng")
    monkeypatch.delenv("RAG_TEST_DATABASE")
    assert "RAG_TEST_DATABASE is not set" in refused(lambda: pipe.fit(DOCUMENTS[:9]))


def test_no_pgvector_there(database, postgres, monkeypatch):
    postgres.execute("create database bare")
    monkeypatch.setenv("RAG_TEST_DATABASE", postgres.url().replace("/postgres?", "/bare?"))
    assert "create extension vector" in refused(lambda: make(database).fit(DOCUMENTS[:9]))
    postgres.execute("drop database bare")


def test_a_server_that_stops_and_comes_back(database, tmp_path, postgres):
    saved(database, tmp_path / "a", timeout=3.0)
    reader = Pipeline.load(tmp_path / "a")
    before = answers(reader, filter=CONDITION)
    postgres.stop()
    try:
        assert "cannot be" in refused(lambda: answers(reader))
        assert "Connection refused" in refused(lambda: Pipeline.load(tmp_path / "a"))
    finally:
        postgres.start()
    assert answers(reader, filter=CONDITION) == before
    writer = Pipeline.load(tmp_path / "a")
    postgres.stop()  # between two statements of a reader, and of a writer
    postgres.start()
    assert answers(reader, filter=CONDITION) == before
    writer.delete(["d1"])
    assert "d1" not in {id for id, _ in answers(writer)[0]}


def test_a_server_that_stops_in_the_middle_of_a_search(database, tmp_path, postgres, monkeypatch):
    from rag.retrievers.indexes.postgres import reading

    saved(database, tmp_path / "a", timeout=5.0)
    reader = Pipeline.load(tmp_path / "a")
    before = answers(reader)
    with monkeypatch.context() as patch:
        for name in ("_GRAPH", "_EXACT", "_EXACT_ALONE"):
            slow = getattr(reading, name).replace("unnest(%(queries)s", "pg_sleep(20) s(x), unnest(%(queries)s")
            patch.setattr(reading, name, slow)
        stop = threading.Timer(1.0, postgres.stop)
        stop.start()
        try:
            assert "cannot be" in refused(lambda: answers(reader))
        finally:
            stop.join()
            postgres.start()
    assert answers(reader) == before


def test_a_full_disk_and_a_folder_of_another_dimension_are_told(database, tmp_path, postgres, monkeypatch):
    from psycopg.errors import DiskFull

    from rag.retrievers.indexes.postgres.writing import PostgresWriter

    def full(*arguments):
        raise DiskFull("could not extend file")

    with monkeypatch.context() as patch:
        patch.setattr(PostgresWriter, "_index", full)
        assert "could not extend file: the server's disk is full" in refused(lambda: saved(database, tmp_path / "a"))
    saved(database, tmp_path / "a")
    (state,) = (tmp_path / "a").glob("data-*/state/*/elsewhere.json")
    state.write_text(state.read_text().replace('"dimension": 8', '"dimension": 9'))
    assert "elsewhere.json" in refused(lambda: Pipeline.load(tmp_path / "a", verify=True))
    in_schema(postgres, "update rag_generations set dimension = 9")
    saved(database, tmp_path / "b")
    in_schema(postgres, "update rag_generations set dimension = 16")
    assert "belongs to another index" in refused(lambda: Pipeline.load(tmp_path / "b"))


@pytest.mark.slow
def test_a_disk_that_is_full(database, tmp_path, postgres):
    disk = postgres.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k,mode=777", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    many = [Document(f"more{number}", f"red thing {number}. " * 3) for number in range(1000)]
    try:
        (disk / "own").mkdir()
        shutil.chown(disk / "own", postgres.user)
        postgres.execute(f"create tablespace tiny location '{disk / 'own'}'")
        postgres.execute("alter role owner set default_tablespace = tiny")
        assert "the server's disk is full" in refused(lambda: saved(database, tmp_path / "none", DOCUMENTS + many))
        assert not (tmp_path / "none").exists()
        saved(database, tmp_path / "a", DOCUMENTS[:20])
        before = answers(Pipeline.load(tmp_path / "a"))
        for change in (lambda pipe: pipe.add(many), lambda pipe: pipe.sync(many, max_deletes=None)):
            with pytest.raises(RagError, match="the server's disk is full"), Pipeline.editing(tmp_path / "a") as pipe:
                change(pipe)
            verify(tmp_path / "a")
            assert answers(Pipeline.load(tmp_path / "a")) == before
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        with Pipeline.editing(tmp_path / "a") as pipe:
            pipe.sync(many, max_deletes=None)
        verify(tmp_path / "a")
        assert all(id.startswith("more") for id, _ in answers(Pipeline.load(tmp_path / "a"))[0])
    finally:
        postgres.execute("alter role owner reset default_tablespace")
        in_schema(postgres, "drop table if exists papers_1, papers_2, papers_3, rag_generations")
        postgres.execute("drop tablespace if exists tiny")
        subprocess.run(["umount", str(disk)], check=True)


def test_a_server_that_stops_in_the_middle_of_a_build(database, tmp_path, postgres, monkeypatch):
    from rag.retrievers.indexes.postgres.writing import PostgresWriter

    index = PostgresWriter._index

    def stopped(*arguments):
        postgres.stop()
        return index(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PostgresWriter, "_index", stopped)
        try:
            assert "the table papers cannot be written" in refused(lambda: saved(database, tmp_path / "a"))
        finally:
            postgres.start()
    assert not (tmp_path / "a").exists()
    assert tables(postgres) == []
    saved(database, tmp_path / "a")
    verify(tmp_path / "a")


def test_tables_that_are_not_what_they_were(database, tmp_path, postgres):
    saved(database, tmp_path / "a")
    reader = Pipeline.load(tmp_path / "a")
    index = reader.retriever.index
    for damage, repair, message in [
        (
            "update papers_1 set v = v + v where id = 3",
            "update papers_1 set v = v * '[{}]' where id = 3",
            "1 rows were changed",
        ),
        (
            "update papers_1 set f0_b = not f0_b where id = 3",
            "update papers_1 set f0_b = not f0_b where id = 3",
            "1 rows were changed",
        ),
        (
            "update papers_1 set id = 999999 where id = 3",
            "update papers_1 set id = 3 where id = 999999",
            "1 rows are missing, 1 rows are not ours",
        ),
    ]:
        in_schema(postgres, damage)
        with pytest.raises(ArtifactError, match=message):
            index.verify_elsewhere()
        assert "is damaged" in refused(lambda: verify(tmp_path / "a"))
        if "999999" in damage:
            assert "answered with the row 999999, which this index has not written" in refused(lambda: answers(reader))
        in_schema(postgres, repair.format(",".join(["0.5"] * 8)))
    verify(tmp_path / "a")
    in_schema(postgres, "delete from papers_1 where id = 3")
    assert "has fewer rows than were written" in refused(lambda: answers(reader))
    in_schema(postgres, "update rag_generations set digest = 'x'")
    assert "belongs to another index" in refused(lambda: Pipeline.load(tmp_path / "a"))
    in_schema(postgres, "update rag_generations set format = 2")
    assert "is in format 2, of a newer version" in refused(lambda: Pipeline.load(tmp_path / "a"))
    assert "is in format 2, of a newer version" in refused(lambda: saved(database, tmp_path / "c"))
    in_schema(postgres, "update rag_generations set format = 1")
    in_schema(postgres, "create table papers_2 (mine int)")
    assert 'relation "papers_2" already exists' in refused(lambda: saved(database, tmp_path / "c"))
    assert not (tmp_path / "c").exists()


def test_a_role_without_rights_reads_only_what_it_may(database, tmp_path, postgres, monkeypatch):
    schema = os.environ["RAG_TEST_SCHEMA"]
    saved(database, tmp_path / "a")
    before = answers(Pipeline.load(tmp_path / "a"))
    postgres.execute("create role reader login password 'reading'")
    try:
        monkeypatch.setenv("RAG_TEST_DATABASE", postgres.url(user="reader", password="reading", schema=schema))
        assert "not there" in refused(lambda: Pipeline.load(tmp_path / "a"), "reading")
        in_schema(postgres, f"grant usage on schema {schema} to reader")
        assert "permission denied" in refused(lambda: Pipeline.load(tmp_path / "a"), "reading")
        in_schema(postgres, f"grant select on all tables in schema {schema} to reader")
        reader = Pipeline.load(tmp_path / "a")
        assert answers(reader) == before
        assert "give the role the rights that docs/scale.md names" in refused(lambda: reader.delete(["d1"]), "reading")
        assert answers(reader) == before
    finally:
        postgres.execute("drop owned by reader; drop role reader")


@pytest.mark.parametrize("times", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_while_changing(database, tmp_path, postgres, times):
    for name in ("a", "other"):
        saved(database, tmp_path / name, keep_hours=0)
    arguments = [sys.executable, "-m", "tests.integration.killed_clients", str(tmp_path / "a"), str(times), str(times)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f" of {times} killed\n")
    assert tables(postgres) == ["papers_1", "papers_2"]
    held = in_schema(postgres, "select base from rag_generations where saved and released is null order by 1")
    assert held == [(1,), (2,)]
