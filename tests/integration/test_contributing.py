"""The stage in ten lines of CONTRIBUTING.md: installed, used from YAML and checked, by nothing but the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
USE = """
import sys
from rag import Document, Pipeline
from rag.cli import main
documents = [Document("long", "a cat " + "and more " * 50), Document("short", "a cat")]
pipeline = Pipeline.from_yaml("pipeline.yaml").fit(documents)
print([hit.document.id for hit in pipeline.search("cat")])
for command in ("check pipeline.yaml", "components stage brevity"):
    sys.argv = ["rag", *command.split()]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code
"""


def block(language: str, marked: str) -> str:
    (text,) = (text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if marked in text)
    return text


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install -e .` of the page's package comes to."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "my_package").mkdir()
    (folder / "my_package" / "__init__.py").touch()
    (folder / "my_package" / "brevity.py").write_text(block("python", "class Brevity"), encoding="utf-8")
    about = folder / "my_package-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 0.1\n", encoding="utf-8")
    points = block("toml", "stage.brevity").partition("[project.entry-points")[1:]
    points = "".join(points).replace('[project.entry-points."rag.components"]', "[rag.components]")
    (about / "entry_points.txt").write_text(points.replace('"', ""), encoding="utf-8")
    (folder / "pipeline.yaml").write_text(block("yml", "brevity"), encoding="utf-8")
    return folder


def run(site: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=site, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_stage_is_ten_lines() -> None:
    lines = re.sub(r'""".*?"""', "", block("python", "class Brevity"), flags=re.DOTALL).splitlines()
    body = [line for line in lines if line.strip() and not line.startswith(("from ", "import "))]
    assert len(body) <= 10


def test_it_works_from_yaml_and_is_described(site: Path) -> None:
    ids, checked, shown = run(site, "-c", USE).split("\n", 2)
    assert ids == "['short', 'long']"
    assert checked.startswith("pipeline.yaml: ok")
    assert "Prefers short passages" in shown
    assert "each doubling" in shown


@pytest.mark.slow
def test_its_tests_pass(site: Path) -> None:
    text = "from my_package.brevity import Brevity\n" + block("python", "class TestBrevity")
    (site / "test_brevity.py").write_text(text, encoding="utf-8")
    (site / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    said = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "test_brevity.py")
    assert re.search(r"[12]\d passed", said)
