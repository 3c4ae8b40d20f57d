"""The drawing of the folders in docs/architecture.md is that of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("map_of_folders", ROOT / "docs" / "map.py")
map_of_folders = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(map_of_folders)


def test_the_drawing_is_up_to_date():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert map_of_folders.with_drawing(page) == page, "run `make map`"


def test_layers_stand_above_what_they_import_and_circles_together():
    imported = {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": {"e"}, "e": {"d"}, "f": set()}
    assert map_of_folders.layers(imported) == [[["d", "e"], ["f"]], [["b"], ["c"]], [["a"]]]


def test_an_import_inside_a_function_is_an_arrow():
    assert "config" in map_of_folders.arrows()["pipeline"]
    assert map_of_folders.arrows()["errors"] == set()


def test_no_module_is_hidden_by_a_folder_of_its_name() -> None:
    """Python imports the folder and never reads the file."""
    folders = ("rag", "retrievers", "rerankers", "summarizers", "eval", "hpo")
    hidden = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.with_suffix("").is_dir()]
    assert hidden == []
