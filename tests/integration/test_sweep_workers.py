"""Workers of a sweep as real processes: they end with their parent, at their time limit, and are started anew."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.chat_server import chat_server

RAG = str(Path(sys.executable).parent / "rag")

SWEEP = """\
type: sweep
dataset: data
pipeline:
  type: pipeline
  retriever:
    type: keyed
    keys:
      - type: summary
        summarizer:
          type: chat_model
          model: {{tune: categorical, choices: [{models}], name: model}}
          base_url: {url}
          concurrency: 1
          timeout: 600
        retriever: {{type: bm25}}
sampler: grid
n_trials: 9
"""


@pytest.fixture
def folder(tmp_path):
    subprocess.run([RAG, "init", str(tmp_path / "start")], check=True, capture_output=True)
    return tmp_path / "start"


def begin(folder, server, *more, models="a, b, c, d"):
    (folder / "sweep.yaml").write_text(SWEEP.format(url=server.url, models=models))
    environment = os.environ | {"RAG_STORE": str(folder / "store"), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    command = [RAG, "tune", str(folder / "sweep.yaml"), "--out", str(folder / "out"), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process):
    out, err = process.communicate(timeout=200)
    assert (0, "") == (process.returncode, "" if process.returncode == 0 else err)
    return out, err


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def workers(pid: int) -> list[int]:
    """Processes of multiprocessing below, without its resource tracker."""
    return [worker for worker in children(pid) if b"spawn_main" in command_of(worker)]


def command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def until(true, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(true())


def rows(folder):
    table = pq.read_table(folder / "out" / "trials.parquet").to_pylist()
    return [(row["number"], row["parameter.model"], row["state"], row["reason"]) for row in table]


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes in /proc"),
]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(folder, how):
    slow = {"delay": 600.0}

    def answer(request, number):
        return {"body": "short", **slow}

    with chat_server(answer) as server:
        process = begin(folder, server, "--workers", "2")
        assert until(lambda: len({request["model"] for request in server.requests}) == 2, 200)
        pids = workers(process.pid)
        assert len(pids) == 2
        process.send_signal(how)  # to the parent alone
        assert until(lambda: not any(map(lives, pids)), 10)
        assert until(lambda: process.poll() is not None, 10)
        process.communicate()
        assert {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[how] == process.returncode
        asked = len(server.requests)
        time.sleep(0.5)
        assert asked == len(server.requests)
        slow["delay"] = 0.0
        finished(begin(folder, server, "--workers", "2"))
    assert sorted((model, state) for _, model, state, _ in rows(folder)) == [
        ("a", "complete"),
        ("b", "complete"),
        ("c", "complete"),
        ("d", "complete"),
    ]
    assert [number for number, *_ in rows(folder)] == [0, 1, 2, 3]


def test_a_trial_that_takes_too_long_is_ended(folder):
    slow = {"c": 600.0}

    def answer(request, number):
        return {"body": "short", "delay": slow.get(request["model"], 0.0)}

    with chat_server(answer) as server:
        _, said = finished(begin(folder, server, "--trial-timeout", "20"))
        assert "took longer than trial_timeout, 20 s: it was ended" in said
        assert [row for row in rows(folder) if row[2] != "complete"] == [
            (2, "c", "failed", "took longer than trial_timeout, 20 s")
        ]
        assert [model for _, model, *_ in rows(folder)] == ["a", "b", "c", "d"]
        _, said = finished(begin(folder, server, "--trial-timeout", "10"))  # still too long: not tried
        assert len(rows(folder)) == 4
        slow.clear()
        _, said = finished(begin(folder, server, "--trial-timeout", "100"))
        assert "1 trial that failed is run again: trial_timeout was raised" in said
    assert [(number, model) for number, model, *_ in rows(folder)] == [(0, "a"), (1, "b"), (3, "d"), (4, "c")]
    assert {state for _, _, state, _ in rows(folder)} == {"complete"}


def test_a_trial_that_kills_its_process_fails_and_the_sweep_goes_on(folder):
    """As when the system kills what takes too much memory."""
    victims = []

    def answer(request, number):
        if request["model"] == "c":
            for pid in workers(process.pid):
                if pid not in victims:
                    victims.append(pid)
                    os.kill(pid, signal.SIGKILL)
        return {"body": "short"}

    with chat_server(answer) as server:
        process = begin(folder, server, "--trial-timeout", "100")
        _, said = finished(process)
    assert "a worker died (signal 9); trial 2 is run again" in said
    assert len(victims) == 2
    (failed,) = [row for row in rows(folder) if row[2] == "failed"]
    assert ("c", "its process died twice (signal 9): out of memory?") == (failed[1], failed[3])
    assert sorted(model for _, model, *_ in rows(folder)) == ["a", "b", "c", "d"]


def test_the_best_so_far_and_the_time_left_are_said_by_time(folder):
    with chat_server(lambda request, number: {"body": "short", "delay": 0.5}) as server:
        _, said = finished(begin(folder, server, models="a, b, c"))
    lines = [line for line in said.splitlines() if " of 9 trials" in line]
    assert lines[0].startswith("0 of 9 trials, none is complete")
    assert re.fullmatch(r"\d of 9 trials, best nDCG@10 [0-9.]+ \(trial \d\), about \d+ (s|min) left", lines[-1])


def test_every_call_of_the_language_model_fails(folder):
    with chat_server(lambda request, number: {"status": 400, "body": "no"}) as server:
        process = begin(folder, server, "--workers", "2", "--json")
        _, said = process.communicate(timeout=200)
    assert process.returncode == 2
    assert "gave nothing for" in said
    assert not (folder / "out" / "best.yaml").exists()
    assert json.loads((folder / "out" / "sweep.json").read_text())["trials"] == {"failed": 4}
