"""Put the pages of the site together, and build it: ``make docs``.

Pages are those of ``docs/``, the Markdown files at the root and of ``benchmarks/``, configurations and examples that
pages link to, and the reference, which is made from the code. Links are pointed at the pages of the site; a link that
leads nowhere stops the build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import reference

ROOT = Path(__file__).parents[2]
PAGES, SITE = ROOT / "build" / "pages", ROOT / "build" / "site"

_MOVED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages at the root of the repository, by their path in the site."""
_SHOWN = ("configs/*.yaml", "configs/*/*.yaml", "examples/*")
"""Files that pages link to; each becomes a page that shows it."""
_LANGUAGES = {".yaml": "yaml", ".py": "python", ".sh": "bash"}

_MENU = {
    "Start": ["install", "tutorial", "your-documents", "python"],
    "How to": [
        "configuration", "documents", "languages", "metadata", "indexing", "datasets", "tuning", "sweeps", "serving",
        "tracing", "scale", "store", "contributing",
    ],
    "Understand": [
        "architecture", "indexes", "learning", "cur", "filters", "summaries", "late-interaction", "sparse", "diversity",
        "answers", "speed", "measures", "compare",
    ],
    "Reference": ["reference/commands", "reference/components", "reference/python", "reference/errors", "run-folder"],
    "Measured": ["benchmarks/README", "changelog"],
}  # fmt: skip
"""The menu. Pages of docs/ that it does not have are added to "How to"."""


def main() -> int:
    """Write the pages and build the site."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for name, text in _pages().items():
        target = PAGES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for picture in (ROOT / "docs").glob("*.png"):
        shutil.copy(picture, PAGES / picture.name)
    for name, text in reference.schemas().items():
        target = PAGES / "_extra" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(Path(__file__).parent)]
    return subprocess.run([*command, str(PAGES), str(SITE)], check=False).returncode  # noqa: S603 - our own arguments


def _pages() -> dict[str, str]:
    """Texts by path in the site."""
    sources = [ROOT / name for name in _MOVED] + sorted((ROOT / "docs").glob("*.md"))
    sources += sorted((ROOT / "benchmarks").rglob("*.md"))
    pages = {_target(path): _linked(path) for path in sources}
    pages["index.md"] += "\n" + "\n".join(_menu(pages))
    for pattern in _SHOWN:
        for path in filter(Path.is_file, sorted(ROOT.glob(pattern))):
            code, language = path.read_text(encoding="utf-8"), _LANGUAGES.get(path.suffix, "text")
            pages[_target(path)] = f"---\norphan: true\n---\n# {path.relative_to(ROOT)}\n\n~~~~{language}\n{code}~~~~\n"
    return pages | reference.pages()


def _menu(pages: dict[str, str]) -> Iterator[str]:
    listed = {page for names in _MENU.values() for page in names}
    others = [name.removesuffix(".md") for name in pages if name.removesuffix(".md") not in {*listed, "index"}]
    for heading, names in _MENU.items():
        more = [name for name in others if name.startswith("benchmarks/") == (heading == "Measured")]
        added = more if heading in ("How to", "Measured") else []
        yield "\n".join(["```{toctree}", f":caption: {heading}", ":hidden:", "", *names, *added, "```", ""])


def _linked(source: Path) -> str:
    """A page with its links pointed at pages of the site."""
    depth = "../" * (len(Path(_target(source)).parts) - 1)

    def link(match: re.Match[str]) -> str:
        target, hash, anchor = match[1].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        return f"]({depth}{_target((source.parent / target).resolve())}{hash}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", link, source.read_text(encoding="utf-8"))


def _target(path: Path) -> str:
    """Path in the site of a file of the repository."""
    relative = str(path.relative_to(ROOT))
    if relative in _MOVED or relative.startswith("docs/"):
        return _MOVED.get(relative, relative.removeprefix("docs/"))
    return relative if path.suffix == ".md" else f"files/{relative}.md"


if __name__ == "__main__":
    sys.exit(main())
