"""What is imported when: nothing heavy before it is used, and no arrow between floors that runs back up."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "faiss", "transformers", "sentence_transformers", "pandas", "pyarrow", "sklearn", "scipy", "datasets",
         "bm25s", "langchain_core", "optuna", "plotly", "tokenizers"}  # fmt: skip


def modules_after(*steps):
    """Top-level modules that a new process has after each of the steps that it takes one after the other."""
    shown = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    code = "\n".join(f"{step}\n{shown}" for step in steps)
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return [set(json.loads(line)) for line in child.stdout.splitlines()]


LIGHT = [
    "import rag, rag.retrievers, rag.rerankers, rag.summarizers",
    "import rag; rag.Pipeline, rag.LSA, rag.SentenceTransformerEmbedder, rag.LangChainEmbedder, rag.Document",
    "from rag.retrievers import *; from rag.rerankers import *; from rag.summarizers import *",
    f"from rag import Pipeline; Pipeline.from_yaml({str(ROOT / 'configs' / 'quickstart.yaml')!r}).to_yaml()",
    "from rag.config.schema import json_schema; json_schema()",
]
SEARCH = "from rag import *; from rag.retrievers import BM25\n"
SEARCH += "Pipeline(retriever=BM25()).fit([Document('a', 'cat')]).search('cat')"


def test_nothing_heavy_is_loaded_before_it_is_used():
    for code, loaded in zip(LIGHT, modules_after(*LIGHT), strict=True):
        assert loaded & HEAVY == set(), code


def test_only_what_is_needed_is_loaded():
    (loaded,) = modules_after(SEARCH)
    assert {"bm25s", "pyarrow"} <= loaded
    assert loaded & {"torch", "faiss", "transformers", "sentence_transformers", "sklearn", "datasets"} == set()


@pytest.mark.parametrize("package", ["rag", "retrievers", "rerankers", "summarizers"])
def test_every_public_name_is_there_and_no_other(package):
    module = __import__(package)
    for name in module.__all__:
        assert name in dir(module)
        assert name == getattr(getattr(module, name), "__name__", name)
    assert sorted(module.__all__) == sorted(set(module.__all__))
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'no_such'"):
        module.no_such  # noqa: B018


ALLOWED = {
    "rag": {"rag"},
    "retrievers": {"rag", "retrievers"},
    "rerankers": {"rag", "rerankers"},
    "summarizers": {"rag", "summarizers"},
    "eval": {"rag", "eval"},
}


@pytest.mark.parametrize("package", ALLOWED)
def test_the_floors_import_only_what_is_below_them(package):
    ours, seen = {"rag", "retrievers", "rerankers", "eval", "summarizers", "hpo", "tests", "benchmarks"}, 0
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: a relative import"
                names = [node.module]
            for name in names:
                seen += 1
                assert name.partition(".")[0] not in ours - ALLOWED[package], f"{path}:{node.lineno} imports {name}"
    assert seen > 20
