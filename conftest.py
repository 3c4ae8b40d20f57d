"""Runs the Python and YAML examples of the documentation (``pytest README.md CONTRIBUTING.md docs``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser


def check_yaml(example: Example) -> None:
    """A pipeline in an example must be one; a sweep a sweep; a part of a pipeline a component of its type."""
    from rag.config import load_component
    from rag.eval.datasets.file import read_dataset_file
    from rag.eval.judges.base import check_judge
    from rag.hpo.sweep import check_sweep
    from rag.pipeline import Pipeline
    from rag.registry import contract_of, kinds, types_of

    path = Path("example.yaml")
    path.write_text(example.parsed, encoding="utf-8")
    kind = example.parsed.split()[1]
    checks = {"sweep": check_sweep, "claims": check_judge, "dataset": read_dataset_file, "pipeline": Pipeline.from_yaml}
    if kind in checks:
        checks[kind](path)
        return
    parts = [contract_of(other) for other in kinds() if kind in types_of(other)]
    assert parts, f"no component is called {kind}"
    load_component(path, parts[0])


def enter(namespace: dict[str, Any]) -> None:
    import tempfile

    folder = tempfile.TemporaryDirectory()
    namespace["_folder"], namespace["_before"] = folder, Path.cwd()
    os.chdir(folder.name)


def leave(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser(language="yaml", evaluator=check_yaml)],
    patterns=["*.md"],
    excludes=["tests/*", "eval/*", "benchmarks/*"],
    setup=enter,
    teardown=leave,
).pytest()
