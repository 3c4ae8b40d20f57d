"""The tutorial, as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_step_works(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    words, hybrid = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "words.yaml").write_text(words, encoding="utf-8")
    (tmp_path / "hybrid.yaml").write_text(hybrid, encoding="utf-8")
    commands = re.findall(r"^\$ rag (.+)$", text, flags=re.MULTILINE)
    assert len(commands) == 10
    outputs = []
    for command in commands:
        arguments = [part.strip('"') for part in re.findall(r'"[^"]*"|\S+', command)]
        done = subprocess.run(
            [sys.executable, "-m", "rag", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stderr)
        outputs.append(done.stdout)
    assert re.search(r"(words|hybrid).*(words|hybrid).* nDCG@10", outputs[5])  # the verdict, whatever it is
    assert (tmp_path / "tuned" / "best.yaml").exists()
    assert "1. " in outputs[-1]
