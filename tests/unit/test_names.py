"""Variables say what they hold: names that fit anything are refused."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFUSED = {"one", "found", "place", "what"}


def refused(code: str) -> Iterator[tuple[int, str]]:
    """(line, name) of the variables, arguments, attributes and functions with such a name."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                pass
            case ast.ExceptHandler(name=name) | ast.alias(asname=name) | ast.MatchAs(name=name):
                pass
            case _:
                continue
        if name in REFUSED:
            yield node.lineno, name


def tracked() -> list[Path]:
    """The Python files of the repository; of a copy without git those that are there."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize(
    "code",
    [
        "one = 1",
        "one: int = 1",
        "a, (one, *b) = c",
        "for one in b: pass",
        "[one for one in b]",
        "if one := b: pass",
        "with a as one: pass",
        "def f(one): pass",
        "def f(*, one=1): pass",
        "lambda one: one",
        "def one(): pass",
        "self.one = 1",
        "class A:\n    one: int",
        "import a as one",
    ],
)
def test_every_way_to_give_a_name_is_looked_at(code: str) -> None:
    assert {name for _, name in refused(code)} == {"one"}


def test_names_that_fit_anything_are_not_used() -> None:
    said = [
        f"{path.relative_to(ROOT)}:{line}: '{name}' fits anything: name it by what it is"
        for path in tracked()
        for line, name in refused(path.read_text(encoding="utf-8"))
    ]
    assert said == []
