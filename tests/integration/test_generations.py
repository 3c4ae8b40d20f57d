"""Earlier generations of a saved pipeline are kept, listed and gone back to, whatever is killed meanwhile."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag import ArtifactError, ConfigError, Document, Pipeline
from rag.retrievers import BM25


def ids(pipeline: Pipeline) -> list[str]:
    return sorted(hit.document.id for hit in pipeline.search("word"))


def saved(folder: Path, *, keep: int | None = None) -> Path:
    """Version 1 holds v1, version 2 v1 and v2, and so on to 4."""
    Pipeline(retriever=BM25()).fit([Document("v1", "word one")]).save(folder, keep=keep)
    for number in (2, 3, 4):
        with Pipeline.editing(folder) as pipeline:
            pipeline.add([Document(f"v{number}", f"word number{number}")])
    return folder


def generations_on_disk(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("data-"))


def test_as_many_are_kept_as_were_asked_for(tmp_path):
    folder = saved(tmp_path / "index", keep=2)
    there = Pipeline.generations(folder)
    assert [generation.documents for generation in there] == [4, 3, 2]
    assert sorted(generation.name for generation in there) == generations_on_disk(folder)
    assert there[0].written >= there[1].written >= there[2].written
    Pipeline.load(folder, verify=True)


def test_none_are_kept_unless_asked_for(tmp_path):
    folder = saved(tmp_path / "index")
    assert [generation.documents for generation in Pipeline.generations(folder)] == [4]
    assert len(generations_on_disk(folder)) == 1
    with pytest.raises(ArtifactError, match="cannot go back 1: earlier generations kept: none"):
        Pipeline.rollback(folder)


def test_back_one_by_one_and_several_at_once(tmp_path):
    folder = saved(tmp_path / "index", keep=3)
    opened = Pipeline.load(folder)
    assert Pipeline.rollback(folder).documents == 3
    assert ids(Pipeline.load(folder, verify=True)) == ["v1", "v2", "v3"]
    assert Pipeline.rollback(folder, steps=2).documents == 1
    assert ids(Pipeline.load(folder, verify=True)) == ["v1"]
    assert ids(opened) == ["v1", "v2", "v3", "v4"]  # who has it open keeps it
    assert len(generations_on_disk(folder)) == 1
    with pytest.raises(ArtifactError, match="earlier generations kept: none"):
        Pipeline.rollback(folder)
    with Pipeline.editing(folder) as pipeline:  # still keeps as many as were asked for
        pipeline.add([Document("again", "word")])
    assert [generation.documents for generation in Pipeline.generations(folder)] == [2, 1]


def test_fewer_from_now_on(tmp_path):
    folder = saved(tmp_path / "index", keep=3)
    with Pipeline.editing(folder, keep=1) as pipeline:
        pipeline.delete(["v1"])
    assert [generation.documents for generation in Pipeline.generations(folder)] == [3, 4]
    with Pipeline.editing(folder, keep=0) as pipeline:
        pipeline.delete(["v2"])
    assert [generation.documents for generation in Pipeline.generations(folder)] == [2]
    assert len(generations_on_disk(folder)) == 1


def test_a_damaged_one_is_not_gone_back_to(tmp_path):
    folder = saved(tmp_path / "index", keep=2)
    older = folder / Pipeline.generations(folder)[2].name / "corpus.arrow"
    older.write_bytes(older.read_bytes()[:-1] + b"x")
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(ArtifactError, match=r"damaged: the checksum of corpus\.arrow is wrong"):
        Pipeline.rollback(folder, steps=2)
    assert before == (folder / "manifest.json").read_bytes()
    assert Pipeline.rollback(folder).documents == 3


@pytest.mark.parametrize("keep", [-1, True, 1.5, "2"])
def test_what_is_no_number_of_generations(tmp_path, keep):
    pipeline = Pipeline(retriever=BM25()).fit([Document("a", "word")])
    with pytest.raises(ConfigError, match="keep: must be a whole number of at least 0"):
        pipeline.save(tmp_path / "index", keep=keep)
    assert not (tmp_path / "index").exists()
    with pytest.raises(ConfigError, match="steps: must be a whole number of at least 1"):
        Pipeline.rollback(saved(tmp_path / "index", keep=1), steps=keep if keep != "2" else 0)


def test_there_is_nothing_to_go_back_to(tmp_path):
    for ask in (Pipeline.rollback, Pipeline.generations):
        with pytest.raises(ArtifactError, match="no saved pipeline"):
            ask(tmp_path / "none")
    assert not (tmp_path / "none").exists()


WORKER = """
import sys
from rag import Document, Pipeline
print("ready", flush=True)
for number in range(10_000):
    for _ in range(3):
        with Pipeline.editing(sys.argv[1]) as pipeline:
            n = pipeline.corpus.n_alive
            pipeline.add([Document(f"v{n + 1}", f"word number{n + 1}")])
        print(n + 1, flush=True)
    for _ in range(2):
        print(Pipeline.rollback(sys.argv[1]).documents, flush=True)
"""
SECONDS = 8.0


@pytest.mark.slow
def test_a_process_killed_while_it_writes_or_goes_back_leaves_a_whole_generation(tmp_path):
    rng = random.Random(7)
    folder = saved(tmp_path / "index", keep=3)
    deadline, rounds = time.monotonic() + SECONDS, 0
    while rounds < 4 or (time.monotonic() < deadline and rounds < 14):
        process = subprocess.Popen([sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        for _ in range(rng.randrange(1, 8)):
            process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        there = Pipeline.generations(folder)
        for generation in there:  # every one that is named is whole
            manifest = json.loads((folder / "manifest.json").read_text())
            named = [manifest, *manifest["earlier"]]
            assert generation.name in {each["data"] for each in named}
            assert (folder / generation.name / "corpus.arrow").is_file()
        pipeline = Pipeline.load(folder, verify=True)
        expected = sorted(f"v{n + 1}" for n in range(pipeline.corpus.n_alive))
        assert sorted(id for id in pipeline.corpus.ids()) == expected
        rounds += 1
    with Pipeline.editing(folder) as pipeline:  # the next writer clears up
        pipeline.add([Document("last", "word")])
    assert sorted(generation.name for generation in Pipeline.generations(folder)) == generations_on_disk(folder)
    assert 4 >= len(generations_on_disk(folder))
    while len(Pipeline.generations(folder)) > 1:
        Pipeline.rollback(folder)
        Pipeline.load(folder, verify=True)
