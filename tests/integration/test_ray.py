"""Ray with two nodes: equal results, also when one dies in the middle. Started once, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from tests.tiny_models import cross_encoder, words_of

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'ray[client]'")


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_nodes_one_of_which_dies(tmp_path):
    judge = cross_encoder(words_of(["cats dogs text on and"]), tmp_path / "judge")
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.ray_cluster", str(judge)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert max(seen["vectors"], seen["lost"], seen["scores"]) < 1e-5
