"""Sweeps by real processes: killed and gone on with, by two workers at once, and by command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest

from rag.hpo.execution.storage import open_storage
from tests.e2e.test_cli import rag  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow

RAG = str(Path(sys.executable).parent / "rag")

SWEEP = """\
type: sweep
dataset: data
pipeline:
  type: pipeline
  chunker: {type: recursive, size: {tune: categorical, choices: [50, 100, 200]}, unit: characters}
  retriever:
    type: hybrid
    retrievers:
      - {type: bm25, k1: {tune: categorical, choices: [0.9, 0.5, 1.5]}}
      - {type: dense, embedder: {type: lsa, dim: {tune: categorical, choices: [4, 6]}}}
sampler: {type: random}
n_trials: 9
"""


@pytest.fixture
def folder(tmp_path):
    subprocess.run([RAG, "init", str(tmp_path / "start")], check=True, capture_output=True)
    (tmp_path / "start" / "sweep.yaml").write_text(SWEEP)
    return tmp_path / "start"


def command(folder, out, *more):
    environment = os.environ | {"RAG_STORE": str(folder / "store"), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    arguments = [RAG, "tune", str(folder / "sweep.yaml"), "--out", str(out), *more]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process):
    out, err = process.communicate(timeout=200)
    assert (0, "") == (process.returncode, "" if process.returncode == 0 else err)
    return out


def tried(out):
    rows = pq.read_table(out / "trials.parquet").to_pylist()
    return [
        (
            json.dumps({k: v for k, v in row.items() if k.startswith("parameter.")}, sort_keys=True),
            row["metric.nDCG@10"],
        )
        for row in rows
    ]


def complete(out) -> int:
    if not (out / "study.journal").exists():
        return 0
    storage = open_storage(None, out)
    names = optuna.get_all_study_names(storage)
    if not names:
        return 0
    return sum(
        trial.state.name == "COMPLETE" for trial in optuna.load_study(study_name=names[0], storage=storage).trials
    )


def test_killed_again_and_again_it_tries_the_same(folder, tmp_path):
    finished(command(folder, tmp_path / "whole"))
    out = tmp_path / "killed"
    for number, least in enumerate((1, 4)):
        process = command(folder, out)
        deadline = time.monotonic() + 100
        while complete(out) < least and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02 + 0.01 * number)
        process.send_signal(signal.SIGINT if number else signal.SIGKILL)
        process.communicate()
    finished(command(folder, out))
    assert tried(tmp_path / "whole") == tried(out)


def test_two_workers_share_and_compute_nothing_twice(folder, tmp_path):
    out = tmp_path / "two"
    said = finished(command(folder, out, "--workers", "2", "--json"))
    result = json.loads(said)
    assert result["trials"] == {"complete": 9}
    assert len({attributes for attributes, _ in tried(out)}) == 9
    listing = [RAG, "store", "ls", "--store", str(folder / "store"), "--json"]
    listed = subprocess.run(listing, check=True, capture_output=True, text=True)
    kinds = [entry["kind"] for entry in json.loads(listed.stdout)]
    chosen = [json.loads(attributes) for attributes, _ in tried(out)]
    pairs = {(row["parameter.chunker.size"], row["parameter.retriever.retrievers.1.embedder.dim"]) for row in chosen}
    words = {(row["parameter.chunker.size"], row["parameter.retriever.retrievers.0.k1"]) for row in chosen}
    # The baseline and the choice are among the trials, so the test queries need nothing new.
    assert len(pairs) == kinds.count("embedder")
    assert len(words) == kinds.count("retriever")
    # The two of them have found what one alone finds.
    finished(command(folder, tmp_path / "one"))
    alone, together = dict(tried(tmp_path / "one")), dict(tried(out))
    assert all(alone[point] == together[point] for point in set(alone) & set(together))


@pytest.fixture
def postgresql(tmp_path_factory):
    """The URL of a server of our own, where the programs are installed."""
    programs = [p.parent for p in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    programs += [Path(program).parent for program in [shutil.which("initdb")] if program]
    if not programs:
        pytest.skip("needs PostgreSQL's server (Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="pg") as name:  # its sockets' paths must be short
        folder = Path(name)
        user = None
        if os.geteuid() == 0:  # which the server refuses to run as
            user = "nobody"
            shutil.chown(folder, user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def run(program, *arguments):
            subprocess.run([programs[-1] / program, *arguments], check=True, capture_output=True, user=user, cwd=name)

        run("initdb", "-D", folder / "data", "-A", "trust", "-U", "postgres")
        server = subprocess.Popen(
            [programs[-1] / "postgres", "-D", folder / "data", "-p", str(port), "-k", name, "-c", "fsync=off"],
            stderr=subprocess.DEVNULL,
            user=user,
            cwd=name,
        )
        try:
            for _ in range(100):
                if (folder / f".s.PGSQL.{port}").exists():
                    break
                time.sleep(0.1)
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)


def test_two_workers_share_a_server(folder, tmp_path, postgresql):
    finished(command(folder, tmp_path / "here"))
    finished(command(folder, tmp_path / "there", "--storage", postgresql, "--workers", "2"))
    assert sorted(tried(tmp_path / "here")) == sorted(tried(tmp_path / "there"))
    assert not (tmp_path / "there" / "study.journal").exists()
    lost = command(folder, tmp_path / "lost", "--storage", postgresql.removesuffix("postgres") + "nothere")
    _, said = lost.communicate(timeout=60)
    assert lost.returncode == 2
    assert 'database "nothere" does not exist' in said
    assert "Traceback" not in said


def test_the_command_and_its_mistakes(rag, folder, tmp_path):  # noqa: F811
    planned = json.loads(rag("tune", folder / "sweep.yaml", "--plan", "--json").out)
    assert (18, 9) == (planned["points"], planned["trials"])
    assert "ok (3 parameters, 18 configurations" in rag("check", folder / "sweep.yaml").out
    done = rag("tune", folder / "sweep.yaml", "--trials", "2", "--out", "o")
    assert "2 trials, tuned on train (6 questions), tested on test (8)" in done.out
    for arguments, message in [
        (["--set", "seed=-1"], "seed: must be greater than or equal to 0"),
        (["--set", "objectives=[speed]"], "unknown objective"),
        (["--set", "objectives=[AP]"], "another sweep"),
        (["--dataset", "nowhere"], "no such folder, dataset file or built-in dataset: 'nowhere'"),
        (["--set", "constraints=[latency_p50_ms <= 0]", "--out", "p"], "came closest"),
    ]:
        assert message in rag.refused("tune", folder / "sweep.yaml", "--trials", "2", "--out", "o", *arguments)
