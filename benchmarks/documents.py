"""What of manuals is kept, what of their structure, and how fast: PDF and HTML that Debian ships.

    apt-get download bash-doc gnuplot-doc postgresql-doc-15 git-doc python3.11-doc
    for f in *.deb; do dpkg -x $f ROOT; done
    python benchmarks/documents.py ROOT [--pages 40] [--parts pdf,html,gold,office,memory,size] [--missing]

How parts are compared: ``documents_measure.py``. For PDF the words are those of ``pdftotext`` without headers and
footers (those of the manuals are known: written below), the headings those of the outline, the code of the Bash manual
that of its HTML edition. For HTML all is taken by plain CSS queries from the element with the content, which was looked
up by hand for each collection. *Gold* are 40 pages checked by hand (``documents_gold.py``). *Office* are pages that
LibreOffice, where it is installed, made files of (``documents_office.py``). Other readers are measured where installed.
CPU time. Prints Markdown; ``--missing`` also what of ours is missing.
"""

from __future__ import annotations

import argparse
import importlib
import io
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from documents_measure import NAMES, Gold, Kept, header, installed, plain, row, words
from selectolax.lexbor import LexborHTMLParser

from rag.formats import File, reader_of
from rag.formats.base import documents_by

PDFS = {
    "bash": ("bash-doc/bashref.pdf", r"(Chapter|Appendix) \w+: .*|[\divxlc]+"),
    "gnuplot": ("gnuplot/gnuplot.pdf", r"(\d+ )?(CONTENTS|INDEX|gnuplot 5\.4)( [\divxlc]+)?|[\divxlc]+"),
}
"""Manual, and what the lines of its headers and footers look like: among the first three and the last of a page."""
HTMLS = {
    "postgresql": ("postgresql-doc-15/html/*.html", "body", ".navheader, .navfooter, .toc, script, style"),
    "git": ("git/html/git-*.html", "body", "#footer, #toc, #toctitle, script, style"),
    "python": ("python3.11/html/library/*.html", "div.body", ".headerlink, script, style"),
}
"""Pages, the element with the content, and what in it is none."""


def ours(name: str, content: bytes) -> str:
    return "\n\n".join(part.text for part in documents_by(reader_of(Path(name).suffix), File(name, content)))


# -- PDF -------------------------------------------------------------------------------------------------------------


def pdf_readers() -> dict[str, Callable[[Path], list[str]]]:
    """Text by page, by the name of what reads it."""

    def pypdf(path: Path) -> list[str]:
        return [page.extract_text() for page in importlib.import_module("pypdf").PdfReader(path).pages]

    def pdfminer(path: Path) -> list[str]:
        return importlib.import_module("pdfminer.high_level").extract_text(path).split("\f")[:-1]  # type: ignore[no-any-return]

    def markitdown(path: Path) -> list[str]:
        text: str = importlib.import_module("markitdown").MarkItDown().convert(path).text_content
        return text.split("\f")

    return {
        "ours": lambda path: ours(path.name, path.read_bytes()).split("\f"),
        "pypdf": pypdf,
        "pdfminer.six": pdfminer,
        "markitdown": markitdown,
    }


def pdftotext(path: Path) -> list[str]:
    done = subprocess.run(["pdftotext", "-enc", "UTF-8", str(path), "-"], capture_output=True, check=True)
    return done.stdout.decode().split("\f")[:-1]


def without_furniture(page: str, furniture: str) -> str:
    lines = [line for line in page.split("\n") if line.strip()]
    edge = {0, 1, 2, len(lines) - 1}
    return "\n".join(
        line for at, line in enumerate(lines) if at not in edge or not re.fullmatch(furniture, line.strip())
    )


def pdfs(root: Path, missing: bool) -> None:
    header("manual", "pages", "reader", *NAMES, "ms a page", "pages/s")
    for name, (file, furniture) in PDFS.items():
        path = root / file
        pages = [without_furniture(page, furniture) for page in pdftotext(path)]
        code = code_of(path.with_suffix(".html")) if path.with_suffix(".html").exists() else []
        gold = Gold(words("\n".join(pages)), [plain(title) for title in outline_of(path)], [], code)
        readers = pdf_readers()
        for reader in installed(readers):
            start = time.process_time()
            text = "\n".join(readers[reader](path))
            seconds = time.process_time() - start
            kept = Kept()
            kept.add(without_numbers(text, gold.headings), gold)
            row(name, len(pages), reader, *kept.cells(), *speed(seconds, len(pages)))
            if missing and reader == "ours":
                print("\n".join(kept.missing), file=sys.stderr)


def without_numbers(text: str, titles: list[str]) -> str:
    """Text whose headings have no numbers, where the outline's titles have none."""
    known = set(titles)

    def bare(match: re.Match[str]) -> str:
        number, title = "", match[1]
        while plain(title) not in known and re.match(r"(?i)(chapter|appendix|part|\w{1,3}(\.\w{1,3})*:?) ", title):
            word, _, title = title.partition(" ")
            number += f" {word}"
        return f"# {title}\n{number}" if plain(title) in known else match[0]

    return re.sub(r"(?m)^#+ (.*)$", bare, text)


def speed(seconds: float, n_pages: int) -> tuple[str, str]:
    return f"{1000 * seconds / n_pages:.1f}", f"{n_pages / seconds:.0f}"


def outline_of(path: Path) -> list[str]:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    return [bookmark.get_title() for bookmark in document.get_toc(max_depth=8) if bookmark.get_dest() is not None]


def code_of(page: Path) -> list[str]:
    tree = LexborHTMLParser(page.read_text(encoding="utf-8", errors="replace"))
    blocks = tree.css("pre.example, pre.example-preformatted")
    return [plain(line) for node in blocks for line in node.text().split("\n")]


# -- HTML ------------------------------------------------------------------------------------------------------------


def html_readers() -> dict[str, Callable[[bytes], str]]:
    def markitdown(content: bytes) -> str:
        converter = importlib.import_module("markitdown").MarkItDown()
        text = str(converter.convert_stream(io.BytesIO(content), file_extension=".html").text_content)
        return re.sub(r"\]\([^()]*\)", "]", text)  # without the addresses of links

    return {"ours": lambda content: ours("x.html", content), "markitdown": markitdown}


def htmls(root: Path, n_pages: int, missing: bool) -> None:
    header("pages", "n", "reader", *NAMES, "ms a page", "pages/s")
    for name, (pattern, _, _) in HTMLS.items():
        paths = sorted(root.glob(pattern))
        paths = random.Random(0).sample(paths, min(n_pages, len(paths)))
        contents = [path.read_bytes() for path in paths]
        golds = [html_gold(content_of(name, content)) for content in contents]
        readers = html_readers()
        for reader in installed(readers):
            readers[reader](contents[0])
            start = time.process_time()
            texts = [readers[reader](content) for content in contents]
            seconds = time.process_time() - start
            kept = Kept()
            for text, gold, path in zip(texts, golds, paths, strict=True):
                kept.add(text, gold, page=path.name)
            row(name, len(paths), reader, *kept.cells(), *speed(seconds, len(paths)))
            if missing and reader == "ours":
                print("\n".join(kept.missing), file=sys.stderr)


def content_of(name: str, page: bytes) -> Any:
    """The element of a page that has the content, without the navigation inside it."""
    _, selector, none = HTMLS[name]
    body = LexborHTMLParser(page).css_first(selector)
    for node in body.css(none):
        node.decompose()
    return body


def html_gold(body: Any) -> Gold:
    tables = [node for node in body.css("td, th") if node.css_first("table") is None and is_data(node)]
    return Gold(
        words(text_of(body)),
        [plain(node.text()) for node in body.css("h1, h2, h3, h4, h5, h6")],
        [plain(node.text()) for node in tables],
        [plain(line) for node in body.css("pre") for line in node.text().split("\n")],
    )


def text_of(node: Any) -> str:
    """The text of an element, with a space between blocks and none between parts of a word."""
    blocks = r"</?(?:p|div|li|ul|ol|d[ldt]|t[rdh]|table|pre|h\d|br|section|aside|blockquote)\b"
    return str(LexborHTMLParser(re.sub(blocks, r" \g<0>", node.html)).root.text())


def is_data(node: Any) -> bool:
    """Whether a cell is one of a table of several columns and rows, not of a box around a note."""
    table = node.parent
    while table.tag != "table":
        table = table.parent
    rows = table.css("tr")
    return len(rows) > 1 and len(rows[0].css("td, th")) > 1


# -- memory and size -------------------------------------------------------------------------------------------------

_MEASURE = """
import sys, time
from pathlib import Path
from rag.formats import File, reader_of
path = Path(sys.argv[1])
reader = reader_of(path.suffix)
peak = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
before = peak()
(found,) = reader.read(File(path.name, path.read_bytes()))
print(f"{len(found.text) / 1e6:.1f} MB of text, {time.process_time():.1f} s, {peak()} MiB at most, {before} before")
"""


def memory(root: Path, scratch: Path) -> None:
    """CPU time and memory of large files, each in a process of its own."""
    import pypdfium2

    source = pypdfium2.PdfDocument(root / PDFS["gnuplot"][0])
    large = pypdfium2.PdfDocument.new()
    for n_pages in (1000, 5000):
        while (left := n_pages - len(large)) > 0:
            large.import_pages(source, list(range(min(left, len(source)))))
        path = scratch / "large.pdf"
        large.save(path)
        _measure(f"PDF of {n_pages} pages", path)
    page = max(root.glob(HTMLS["postgresql"][0]), key=lambda path: path.stat().st_size).read_bytes()
    path = scratch / "large.html"
    path.write_bytes(page * (50_000_000 // len(page)))
    _measure("HTML page", path)


def _measure(name: str, path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
    print(f"\n{name} ({path.stat().st_size / 1e6:.0f} MB): {done.stdout.strip()}", flush=True)
    path.unlink()


def size() -> None:
    names = ("charset-normalizer", "mammoth", "cobble", "openpyxl", "et-xmlfile", "pypdfium2", "selectolax")
    total = sum(sum(file.size or 0 for file in distribution(name).files or ()) for name in names)
    print(f"\nExtra `documents`, installed: {total / 1e6:.1f} MB ({', '.join(names)}).")


def main() -> None:
    from documents_gold import against_gold
    from documents_office import office

    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="where the packages were unpacked")
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--parts", default="pdf,html,gold,office,memory,size")
    parser.add_argument("--missing", action="store_true")
    given = parser.parse_args()
    docs = given.root / "usr/share/doc"
    measures: dict[str, Callable[[], None]] = {
        "pdf": lambda: pdfs(docs, given.missing),
        "html": lambda: htmls(docs, given.pages, given.missing),
        "gold": lambda: against_gold(docs, given.missing),
        "office": lambda: office(docs, given.root, given.missing),
        "memory": lambda: memory(docs, given.root),
        "size": size,
    }
    for part in given.parts.split(","):
        measures[part]()


if __name__ == "__main__":
    main()
