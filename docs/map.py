"""Draws the folders and the arrows between them into architecture.md: ``make map``.

A unit is a folder, or a file, that stands directly in ``rag/``, and each family at the top of the repository. An arrow
is an import, wherever it stands: at the top of a file, inside a function, or for types only. Units that import each
other in a circle are drawn together.
"""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path

__all__ = ["arrows", "drawing", "layers", "main", "with_drawing"]

ROOT = Path(__file__).parents[1]
FAMILIES = ("retrievers", "rerankers", "summarizers", "eval", "hpo")
_BEGIN, _END = "<!-- map: made by `make map` -->\n", "<!-- end of map -->"


@functools.cache
def arrows() -> dict[str, set[str]]:
    """The units that each unit imports."""
    files: dict[str, str] = {}
    for path in sorted((ROOT / "rag").glob("**/*.py")) + [
        p for f in FAMILIES for p in sorted((ROOT / f).glob("**/*.py"))
    ]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[1:] if parts[0] == "rag" else parts
        if parts[0] not in ("__init__", "__main__", "templates"):
            files[str(path)] = parts[0]
    units = set(files.values())
    imported: dict[str, set[str]] = {unit: set() for unit in units}
    for file, unit in files.items():
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            targets = {name.split(".")[1] for name in names if name.startswith("rag.")}
            imported[unit] |= (targets & units) - {unit}
    return imported


def layers(imported: dict[str, set[str]]) -> list[list[list[str]]]:
    """Units from the lowest layer to the highest; in each layer groups, of which those of several units are circles."""
    reach = {unit: set(targets) for unit, targets in imported.items()}
    for middle in reach:
        for targets in reach.values():
            if middle in targets:
                targets |= reach[middle]
    group = {unit: frozenset({unit} | {other for other in reach[unit] if unit in reach[other]}) for unit in reach}
    height: dict[frozenset[str], int] = {}

    def height_of(members: frozenset[str]) -> int:
        if members not in height:
            below = {group[target] for unit in members for target in imported[unit]} - {members}
            height[members] = 1 + max(map(height_of, below), default=-1)
        return height[members]

    rows: dict[int, list[list[str]]] = {}
    for members in sorted(set(group.values()), key=sorted):
        rows.setdefault(height_of(members), []).append(sorted(members))
    return [rows[number] for number in sorted(rows)]


def drawing() -> str:
    """The layers, highest first, then the arrows of each folder."""
    imported = arrows()
    lines = ["```text"]
    for number, row in reversed(list(enumerate(layers(imported)))):
        groups = [members[0] if len(members) == 1 else f"({' <-> '.join(members)})" for members in row]
        lines.append(f"{number:2}  {'   '.join(groups)}")
    lines += ["```", "", "| unit | imports |", "|---|---|"]
    folders = [unit for unit in sorted(imported) if (ROOT / "rag" / unit).is_dir()]
    lines += [f"| `{unit}` | {', '.join(sorted(imported[unit])) or 'none'} |" for unit in folders]
    return "\n".join(lines) + "\n"


def with_drawing(text: str) -> str:
    """A page with the drawing between its two marks."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}{drawing()}{_END}{rest.partition(_END)[2]}"


def main() -> None:
    page = ROOT / "docs" / "architecture.md"
    page.write_text(with_drawing(page.read_text(encoding="utf-8")), encoding="utf-8")
    if "--layers" in sys.argv:  # for the contract in pyproject.toml
        for row in reversed(layers(arrows())):
            lines = [" : ".join(members) for members in row if len(members) > 1]
            lines.append(" | ".join(members[0] for members in row if len(members) == 1))
            sys.stdout.writelines(f'    "{line}",\n' for line in lines if line)


if __name__ == "__main__":
    main()
