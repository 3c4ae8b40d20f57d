"""Ray with two nodes: equal results, also when a worker or a node dies. Started once, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from tests.tiny_models import cross_encoder, words_of

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'ray[client]'")


def trials(sweep) -> dict[str, float]:
    """The value of each configuration that was tried; tried twice, it is not complete the first time."""
    rows = [row for row in sweep["rows"] if row["state"] == "complete"]
    names = sorted(name for name in rows[0] if name.startswith("parameter."))
    assert len(rows) == 18
    return {json.dumps([row[name] for name in names]): row["metric.nDCG@10"] for row in rows}


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_nodes_and_what_can_go_wrong_there(tmp_path):
    judge = cross_encoder(words_of(["cats dogs text on and"]), tmp_path / "judge")
    command = [sys.executable, "-m", "tests.integration.ray_cluster", str(judge), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)  # Ray's own reports are not among it
    assert seen["killed"] == 1
    assert max(seen[key] for key in ("vectors", "after_kill", "after_missing", "lost", "scores")) < 1e-6
    assert "only_here" in seen["missing"]
    assert seen["lost_at"] < 18  # the node was lost in the middle of the sweep
    for sweep in (seen["sweep"], seen["sweep_lost"]):
        assert trials(sweep) == pytest.approx(trials(seen["sweep_local"]), abs=1e-9)
        chosen, expected = (result["result"]["best"]["parameters"] for result in (sweep, seen["sweep_local"]))
        assert chosen == expected
