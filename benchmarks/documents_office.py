"""Files of office formats that LibreOffice makes of web pages, and what of these pages is read from them.

Twelve pages with tables, six of PostgreSQL and six of Python: their content, without navigation, goes through Writer to
DOCX, ODT, RTF, EPUB and PDF; their tables through Calc to XLSX and ODS, a sheet for each page; their headings and
paragraphs, a slide for each heading, through pandoc and Impress to PPTX and ODP. Where pandoc is installed, it makes
EPUB (that of LibreOffice has neither headings nor the first rows of tables), reStructuredText, AsciiDoc, man pages,
notebooks and Markdown of the same pages, without their links.
"""

from __future__ import annotations

import csv
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.sax.saxutils import escape

from documents import HTMLS, content_of, html_gold, ours, speed
from documents_measure import NAMES, Gold, Kept, header, plain, row, words

_WRITER = {"docx": "docx:MS Word 2007 XML", "odt": "odt", "rtf": "rtf", "epub": "epub", "pdf": "pdf"}
_PANDOC = {"epub": "epub", "rst": "rst", "asciidoc": "adoc", "man": "1", "ipynb": "ipynb", "gfm": "md"}


def office(root: Path, scratch: Path, missing: bool) -> None:
    if shutil.which("soffice") is None:
        print("\nNo LibreOffice: apt-get install --no-install-recommends libreoffice-{writer,calc,impress}-nogui")
        return
    folder = scratch / "office"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "slides").mkdir(parents=True)
    pages: dict[str, Gold] = {}
    sheets: dict[str, Gold] = {}
    slides: dict[str, Gold] = {}
    for collection in ("postgresql", "python"):
        for name, body in _pages(root, collection):
            stem = f"{collection}-{name}"
            pages[stem] = html_gold(body)
            title = f'<html><head><meta charset="utf-8"><title>{stem}</title></head>'
            (folder / f"{stem}.html").write_text(f"{title}<body>{body.inner_html}</body></html>", encoding="utf-8")
            sheets[stem] = _write_table(folder / f"{stem}.csv", body)
            slides[stem] = _write_slides(folder / "slides" / f"{stem}.html", body)
    header("made by LibreOffice", "files", *NAMES, "ms a file", "files/s")
    for form, target in _WRITER.items():
        _measure(form, _converted(folder, "html", target, "HTML (StarWriter)"), pages, missing)
    for form in ("xlsx", "ods"):
        _measure(form, _converted(folder, "csv", form, "CSV:44,34,76"), sheets, missing)
    if shutil.which("pandoc"):
        for path in (folder / "slides").glob("*.html"):
            subprocess.run(["pandoc", "-o", str(path.with_suffix(".pptx")), str(path)], check=True, timeout=60)
        for form in ("pptx", "odp"):
            _measure(form, _converted(folder / "slides", "pptx", form), slides, missing)
        header("made by pandoc", "files", *NAMES, "ms a file", "files/s")
        for target, suffix in _PANDOC.items():
            _measure(suffix, _by_pandoc(folder, target, suffix), pages, missing)


def _pages(root: Path, collection: str):  # type: ignore[no-untyped-def]
    paths = sorted(path for path in root.glob(HTMLS[collection][0]) if 5_000 < path.stat().st_size < 60_000)
    random.Random(3).shuffle(paths)
    n = 0
    for path in paths:
        body = content_of(collection, path.read_bytes())
        gold = html_gold(body)
        if n < 6 and gold.cells and 300 < gold.words.total() < 3000:
            n += 1
            yield path.stem, body


def _write_table(path: Path, body) -> Gold:  # type: ignore[no-untyped-def]
    rows = [
        [" ".join(cell.text().split()) for cell in line.css("td, th")]
        for table in body.css("table")
        for line in table.css("tr")
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    texts = [text for line in rows for text in line]
    return Gold(words("\n".join(texts)), [], [plain(text) for text in texts], [])


def _write_slides(path: Path, body) -> Gold:  # type: ignore[no-untyped-def]
    titles, texts, slides = [], [], []
    paragraphs = [" ".join(node.text().split()) for node in body.css("p")]
    for n, node in enumerate(body.css("h1, h2, h3, h4")):
        title = " ".join(node.text().split())
        shown = paragraphs[3 * n : 3 * n + 3]
        titles.append(plain(title))
        texts += [title, *shown]
        slides.append(f"<h1>{escape(title)}</h1>" + "".join(f"<p>{escape(text)}</p>" for text in shown))
    path.write_text(f'<meta charset="utf-8">{"".join(slides)}', encoding="utf-8")
    return Gold(words("\n".join(texts)), titles, [], [])


def _converted(folder: Path, suffix: str, target: str, source: str | None = None) -> list[Path]:
    profile = f"-env:UserInstallation={(folder / 'profile').resolve().as_uri()}"
    command = ["soffice", "--headless", profile, "--convert-to", target, "--outdir", str(folder / "made")]
    command += [f"--infilter={source}"] if source else []
    files = sorted(map(str, folder.glob(f"*.{suffix}")))
    subprocess.run([*command, *files], check=True, capture_output=True, timeout=300)
    return sorted((folder / "made").glob(f"*.{target.split(':')[0]}"))


def _by_pandoc(folder: Path, target: str, suffix: str) -> list[Path]:
    made = folder / "pandoc"
    made.mkdir(exist_ok=True)
    for path in folder.glob("*.html"):
        html = re.sub(r"</?(?:a|div|span|section|aside)\b[^>]*>", "", path.read_text(encoding="utf-8"))
        html = re.sub(r"<(td|th|[a-z]\w*)\b([^>]*)>", _without_attributes, html)
        command = ["pandoc", "-f", "html", "-t", target, "-s", "-o", str(made / f"{path.stem}.{suffix}")]
        subprocess.run(command, input=html.encode(), check=True, capture_output=True, timeout=60)
    return sorted(made.glob(f"*.{suffix}"))


def _without_attributes(match: re.Match[str]) -> str:
    spans = re.findall(r'(?:colspan|rowspan)="\d+"', match[2])
    return f"<{' '.join([match[1], *spans])}>"


def _measure(form: str, paths: list[Path], golds: dict[str, Gold], missing: bool) -> None:
    assert len(paths) == len(golds), f"{form}: LibreOffice made {len(paths)} files of {len(golds)}"
    contents = [path.read_bytes() for path in paths]
    ours(paths[0].name, contents[0])
    start = time.process_time()
    texts = [ours(path.name, content) for path, content in zip(paths, contents, strict=True)]
    seconds = time.process_time() - start
    kept = Kept()
    for path, text in zip(paths, texts, strict=True):
        if form in ("xlsx", "ods"):
            text = re.sub(r"(?m)^# .*\n\n(?=\|)", "", text)  # names of sheets
        if form in ("md", "ipynb"):
            text = re.sub(r"(?m)^\n((?:^ {4}.*\n|^\n(?= {4}))+)", r"\n```\n\1```\n", text)  # code by indentation
        kept.add(text, golds[path.stem], page=path.name)
    row(form, len(paths), *kept.cells(), *speed(seconds, len(paths)))
    if missing:
        print("\n".join(kept.missing), file=sys.stderr)
