"""Put the pages of the site together, and build it: ``make docs``.

Pages are those of ``docs/``, the Markdown files at the root and of ``benchmarks/``, configurations and examples that
pages link to, and the reference, which is made from the code. Links are pointed at the pages of the site; a link that
leads nowhere stops the build.
"""

from __future__ import annotations

import json
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
_SHOWN = ("configs/*.yaml", "configs/*/*.yaml", "constraints.txt", "examples/*")
"""Files that pages link to; each becomes a page that shows it."""
_LANGUAGES = {".yaml": "yaml", ".py": "python", ".sh": "bash"}

_MENU = {
    "Start": ["install", "tutorial", "gallery", "your-documents", "python"],
    "How to": [
        "configuration", "documents", "languages", "metadata", "indexing", "datasets", "tuning", "sweeps", "serving",
        "tracing", "scale", "store", "contributing",
    ],
    "Notebooks": [f"notebooks/{name}" for name in ("first-pipeline", "evaluation", "tuning", "langchain")],
    "Understand": [
        "architecture", "indexes", "learning", "cur", "filters", "summaries", "late-interaction", "sparse", "diversity",
        "several-documents", "answers", "speed", "measures", "compare",
    ],
    "Reference": ["reference/commands", "reference/components", "reference/python", "reference/errors", "run-folder"],
    "Measured": ["benchmarks/README", "other-frameworks", "changelog"],
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
    code = subprocess.run([*command, str(PAGES), str(SITE)], check=False).returncode  # noqa: S603 - our own arguments
    for page in SITE.rglob("*.html"):
        page.write_text(_accessible(page.read_text(encoding="utf-8")), encoding="utf-8")
    return code


def _accessible(page: str) -> str:
    """The page with what the theme leaves out for screen readers and keyboards."""
    page = page.replace('class="caption" role="heading">', 'class="caption" role="heading" aria-level="2">')
    page = page.replace('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="Menu">')
    page = page.replace('<aside class="toc-drawer', '<aside aria-label="On this page" class="toc-drawer')
    page = page.replace('<th class="head"><p></p></th>', '<td class="head"></td>')
    return page.replace("<pre><span></span>", '<pre tabindex="0"><span></span>')


def _pages() -> dict[str, str]:
    """Texts by path in the site."""
    sources = [ROOT / name for name in _MOVED] + sorted((ROOT / "docs").glob("*.md"))
    sources += sorted((ROOT / "benchmarks").rglob("*.md"))
    pages = {_target(path): _linked(path) for path in sources}
    pages |= {f"notebooks/{path.stem}.md": _notebook(path) for path in sorted(ROOT.glob("docs/notebooks/*.ipynb"))}
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


def _notebook(path: Path) -> str:
    """The cells of a notebook as a page."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in texts) + "\n"


def _target(path: Path) -> str:
    """Path in the site of a file of the repository."""
    relative = str(path.relative_to(ROOT))
    if relative in _MOVED or relative.startswith("docs/"):
        return _MOVED.get(relative, relative.removeprefix("docs/"))
    return relative if path.suffix == ".md" else f"files/{relative}.md"


if __name__ == "__main__":
    sys.exit(main())
