"""Only the name ``rag`` is taken: foreign modules with the names of our folders change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import rag

RAG = str(Path(sys.executable).with_name("rag"))


def run(*command: str, cwd: Path, pythonpath: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if pythonpath is not None:
        environment["PYTHONPATH"] = str(pythonpath)
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with modules and packages named like the folders of this repository; importing any of them fails."""
    bomb = "raise SystemExit('a foreign module was imported')\n"
    for name in ("eval", "rerankers", "summarizers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(bomb)
    for name in ("hpo", "retrievers"):
        (tmp_path / f"{name}.py").write_text(bomb)
    return tmp_path


def test_one_top_level_package_is_installed() -> None:
    top_level = distribution("rag-pipelines").read_text("top_level.txt")
    assert top_level is not None
    assert top_level.split() == ["rag"]


def test_the_license_is_a_notice_that_the_distribution_carries() -> None:
    about = distribution("rag-pipelines")
    (file,) = [file for file in about.files or () if file.name == "LICENSE"]
    text = file.read_text()
    assert "SPDX-License-Identifier: Apache-2.0" in text
    assert "Copyright 20" in text
    assert "https://www.apache.org/licenses/LICENSE-2.0" in text
    assert about.metadata["License-Expression"] == "Apache-2.0"


def test_version_is_stated_once() -> None:
    assert rag.__version__ == distribution("rag-pipelines").version


@pytest.mark.parametrize("command", [["tune", "--help"], ["components", "retriever"]])  # all load all commands
def test_foreign_modules_leave_commands_working(foreign: Path, command: list[str]) -> None:
    result = run(RAG, *command, cwd=foreign, pythonpath=foreign)
    assert (result.returncode, result.stderr) == (0, "")


def test_foreign_modules_leave_imports_working(foreign: Path) -> None:
    code = (
        "from rag.retrievers import *; from rag.rerankers import *; from rag.summarizers import *\n"
        "from rag.eval import *; from rag.hpo import *; from rag import *\n"
        "print(BM25.__module__, Rerank.__module__, evaluate.__module__, tune.__module__)"
    )
    result = run(sys.executable, "-c", code, cwd=foreign, pythonpath=foreign)
    assert result.stdout.split() == [
        "rag.retrievers.bm25",
        "rag.rerankers.rerank",
        "rag.eval.evaluation",
        "rag.hpo.tuning",
    ]


SWEEP = """\
type: sweep
dataset: data
pipeline: {type: pipeline, retriever: {type: bm25, k1: {tune: categorical, choices: [0.9, 1.2]}}}
n_trials: 2
"""


@pytest.mark.slow
def test_foreign_modules_leave_work_and_reports_working(foreign: Path) -> None:
    start = foreign / "start"
    commands = [
        ["init", "start"],
        ["eval", "start/pipeline.yaml", "--dataset", "start/data", "--out", "run"],
        ["report", "run"],
        ["tune", "start/sweep.yaml", "--out", "sweep"],
        ["compare", "first=run", "second=run", "--out", "compared"],
    ]
    for command in commands:
        result = run(RAG, *command, cwd=foreign, pythonpath=foreign)
        assert result.returncode == 0, result.stderr
        (start / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    for page in ("run/report.html", "sweep/report.html", "compared/compare.html"):
        assert (foreign / page).is_file()


def test_a_foreign_rag_in_the_working_folder_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "rag").mkdir()
    (tmp_path / "rag" / "__init__.py").write_text("raise SystemExit('the foreign rag was imported')\n")
    result = run(RAG, "--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"rag {rag.__version__}\n")


def test_a_command_that_cannot_be_loaded_costs_that_command_only(tmp_path: Path) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rag.commands]\nshout = no_such_module:shout\n")

    shown = run(RAG, "--help", cwd=tmp_path, pythonpath=tmp_path)
    assert shown.returncode == 0
    assert "shout" in shown.stdout
    assert run(RAG, "components", "retriever", cwd=tmp_path, pythonpath=tmp_path).returncode == 0

    asked = run(RAG, "shout", "--loud", "x", cwd=tmp_path, pythonpath=tmp_path)
    assert asked.returncode == 2
    message = "error: the command 'shout' (no_such_module:shout) cannot be loaded: ModuleNotFoundError: No module named"
    assert " ".join(asked.stderr.split()) == f"{message} 'no_such_module'"
