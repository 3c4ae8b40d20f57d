"""The reference of the site, made from the code."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from rag.config import dump
from rag.config.schema import component_schema
from rag.config.source import node_from_python
from rag.registry import component_class, kinds, types_of

SCRIPT = Path(__file__).parents[2] / "docs" / "site" / "reference.py"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["reference"]


@pytest.fixture(scope="module")
def pages(reference) -> dict[str, str]:
    return reference.pages()


def test_every_component_has_its_arguments_and_an_example(pages: dict[str, str]) -> None:
    for kind in kinds():
        page = pages[f"reference/components/{kind}.md"]
        for name in types_of(kind):
            cls = component_class(kind, name)
            part = page[page.index(f"## {name}\n") :]
            assert re.search(rf"^type: \"?{name}\"?$|Python object", part, flags=re.MULTILINE)
            missing = [parameter for parameter in cls.spec.parameters if f"| `{parameter}` |" not in part]
            assert missing == []


def test_examples_give_every_argument_that_is_required(reference) -> None:
    for kind in kinds():
        for name in types_of(kind):
            cls = component_class(kind, name)
            if component_schema(cls) is None:
                continue
            example = reference.component_example(cls)
            assert "..." not in dump(example).replace('"..."', "") or kind == "table", (kind, name)
            assert set(example) - {"type"} == {p.name for p in cls.spec.parameters.values() if p.required}
            assert node_from_python(example) is not None


def test_every_command_option_and_public_name_is_there(pages: dict[str, str]) -> None:
    commands = pages["reference/commands.md"]
    for words in ("## rag index", "## rag datasets split", "## rag store gc", "`--group-duplicates`", "`DIR`"):
        assert words in commands
    for option in ("--trial-timeout SECONDS", "--on-error report\\|stop\\|skip", "--trials N", "--split TEXT"):
        assert f"| `{option}` |" in commands
    assert "| `` |" not in commands
    python = pages["reference/python.md"]
    for words in ("### evaluate", "### Pipeline", "- `.search()`", "**Raises**"):
        assert words in python
    assert ":class:" not in python
    assert "``" not in python.replace("```", "")


def test_errors_are_described(pages: dict[str, str]) -> None:
    assert "## ConfigError" in pages["reference/errors.md"]
