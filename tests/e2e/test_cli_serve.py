"""``rag serve`` and ``rag datasets judge``: what is wrong is one message, before anything is served."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rag import Document, Pipeline
from rag.retrievers import BM25
from tests.e2e.test_cli import rag  # noqa: F401 - a fixture


@pytest.fixture
def index(tmp_path: Path) -> Path:
    Pipeline(retriever=BM25()).fit([Document("a", "apples")]).save(tmp_path / "index")
    return tmp_path / "index"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--host: 0.0.0.0 may be reached by others: give keys with --key-env, or --insecure"),
        (["--host", "::"], "--host: :: may be reached by others"),
        (["--host", "example.org"], "example.org may be reached by others"),
        (["--key-env", "NOT_SET"], "--key-env: the environment variable NOT_SET holds no key"),
        (["--key-env", "SHORT"], "a key has at least 8 characters and no white space"),
        (["--port", "{port}"], "--port: cannot listen on 127.0.0.1:{port}: Address already in use"),
        (["--judgements", "notes.txt"], "notes.txt:1: expected a line of judgments"),
    ],
)
def test_what_is_wrong_is_said(rag, index, monkeypatch, tmp_path, options, said):  # noqa: F811
    monkeypatch.setenv("SHORT", "secret")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("shopping\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        given = [option.format(port=port) for option in options]
        given += [] if "--port" in options else ["--port", "0"]
        outcome = rag("serve", index, *given)
    assert outcome.code == 2
    assert said.format(port=port) in " ".join(outcome.err.split())
    assert "secret" not in outcome.err


def test_there_must_be_an_index(rag, tmp_path):  # noqa: F811
    outcome = rag("serve", tmp_path / "nothing")
    assert (outcome.code, "no saved pipeline" in outcome.err) == (2, True)


def test_an_index_that_is_damaged_ends_the_server(rag, index):  # noqa: F811
    [generation] = index.glob("data-*")
    (generation / "corpus.arrow").write_bytes(b"damaged")
    outcome = rag("serve", index, "--port", "0")
    assert outcome.code == 2
    assert "damaged: corpus.arrow" in outcome.err


def test_nothing_to_judge(rag, tmp_path):  # noqa: F811
    folder = tmp_path / "data"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "text": "text"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "one"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    run = tmp_path / "run.trec"
    run.write_text("q1 Q0 d1 1 1.0 tag\n")
    outcome = rag("datasets", "judge", folder, "--runs", run, "--judgements", tmp_path / "judged.tsv")
    assert outcome.code == 2
    assert "are already judged: raise --depth, or show them with --again" in " ".join(outcome.err.split())
