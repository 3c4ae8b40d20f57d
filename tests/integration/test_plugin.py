"""A component from another distribution, installed, found by its entry point and used from YAML."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rag.registry import types_of

PLUGIN = Path(__file__).parents[1] / "plugin"
CONFIG = """\
type: pipeline
retriever:
  type: hybrid
  retrievers:
    - {type: bm25}
    - {type: parrot, fold: true}
"""
USE = """
import json, sys
from rag import Document, Pipeline
from rag.config.schema import json_schema
from rag.registry import types_of
file, folder = sys.argv[1:]
pipeline = Pipeline.from_yaml(file).fit([Document("a", "The Cat sat"), Document("b", "a dog and the cat")])
pipeline.save(folder)
hits = Pipeline.load(folder).search("the cat", explain=True)
print(json.dumps({
    "types": types_of("retriever"),
    "hits": [[hit.document.id, sorted(hit.explanation)] for hit in hits],
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which the plug-in was installed, as pip would into site-packages."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(PLUGIN, folder / "source")
    build = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    shutil.unpack_archive(wheel, folder / "site", "zip")
    return folder / "site"


def run(site, *arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, **options
    )


def test_it_is_used_from_yaml(site, tmp_path):
    (tmp_path / "p.yaml").write_text(CONFIG)
    done = run(site, "-W", "error", "-c", USE, str(tmp_path / "p.yaml"), str(tmp_path / "p"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["types"] == sorted({*types_of("retriever"), "broken", "parrot"})
    assert result["hits"] == [
        ["a", ["retriever", "retriever.0 bm25", "retriever.1 parrot"]],
        ["b", ["retriever", "retriever.0 bm25", "retriever.1 parrot"]],
    ]


REFUSED = """
import sys
from rag import ConfigError, Pipeline
for file in sys.argv[1:]:
    try:
        Pipeline.from_yaml(file)
    except ConfigError as error:
        print(error)
"""


def test_its_mistakes_are_told_like_ours_and_a_plug_in_that_does_not_work_in_one_line(site, tmp_path):
    files = {
        "mistakes": CONFIG.replace("fold: true", "folt: true, top_k: 0"),
        "broken": "type: pipeline\nretriever: {type: broken}\n",
        "liar": "type: pipeline\nretriever: {type: bm25}\nstages: [{type: liar}]\n",
    }
    for name, config in files.items():
        (tmp_path / name).write_text(config)
    assert run(site, "-c", REFUSED, *files, cwd=tmp_path).stdout.splitlines() == [
        "mistakes:6:22: retriever.retrievers.1: unknown argument 'folt' of 'parrot'; did you mean 'fold'? "
        "(valid: fold, top_k)",
        "mistakes:6:41: retriever.retrievers.1.top_k: must be greater than or equal to 1, got 0",
        "broken:2:19: retriever: the retriever 'broken' (rag_parrot.no_such_module:Broken) cannot be imported: "
        "No module named 'rag_parrot.no_such_module'",
        "liar:3:17: stages.0: entry point 'stage.liar' = rag_parrot:Parrot is not a component with kind 'stage' "
        "and type 'liar'",
    ]


@pytest.mark.slow
def test_its_author_runs_the_conformance_tests(site, tmp_path):
    shutil.copy(PLUGIN / "conformance.py", tmp_path / "test_parrot.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run(
        site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "test_parrot.py", cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
