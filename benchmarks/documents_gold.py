"""Forty pages checked by hand: what is on them by hash (``documents_gold.jsonl``), as licenses differ in what may be
copied.

    python benchmarks/documents_gold.py FOLDER > benchmarks/documents_gold.jsonl

makes it of a folder of Markdown files, one for a page: ``bash-104.md`` is page 104 of the Bash manual,
``git-git-mailinfo.md`` the page ``git-mailinfo.html``. Pages were drawn by chance: ten of each PDF, and twenty of HTML
with 120 to 700 words (seven of PostgreSQL and Git each, six of Python). For PDF each was compared with its picture, for
HTML with its source: every heading, line of code and cell, and every word in which ``pdftotext`` or the text of the
element with the content differed. Terms of lists of definitions, if set in a font for code, are none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from collections import Counter
from pathlib import Path

from documents import HTMLS, PDFS, ours
from documents_measure import NAMES, Gold, Kept, header, parts_of, row, words

FILE = Path(__file__).with_suffix(".jsonl")


def key(text: str) -> str:
    """A text as 16 bits: one junk word in a few hundred passes for one of the page."""
    return hashlib.blake2b(text.encode(), digest_size=2).hexdigest()


def against_gold(root: Path, missing: bool) -> None:
    header("gold", "pages", *NAMES)
    sums: dict[str, Kept] = {}
    pages: dict[str, list[str]] = {
        name: ours(file, (root / file).read_bytes()).split("\f") for name, (file, _) in PDFS.items()
    }
    counts: Counter[str] = Counter()
    for line in FILE.read_text(encoding="utf-8").splitlines():
        page, *packed = json.loads(line)
        gold = Gold(Counter(unpacked(packed[0])), *map(unpacked, packed[1:]))
        name, _, part = page.partition("-")
        if name in PDFS:
            text = pages[name][int(part) - 1]
        else:
            text = ours("x.html", (root / HTMLS[name][0]).parent.joinpath(f"{part}.html").read_bytes())
        sums.setdefault(name, Kept()).add(text, gold, key, page)
        counts[name] += 1
    for name, kept in sums.items():
        row(name, counts[name], *kept.cells())
    if missing:
        print("\n".join(text for kept in sums.values() for text in kept.missing), file=sys.stderr)


def packed(hashes: list[str]) -> str:
    return base64.b85encode(zlib.compress(bytes.fromhex("".join(sorted(hashes))), 9)).decode()


def unpacked(text: str) -> list[str]:
    content = zlib.decompress(base64.b85decode(text)).hex()
    return [content[at : at + 4] for at in range(0, len(content), 4)]


def make(folder: Path) -> None:
    for path in sorted(folder.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        _, *others = parts_of(text)
        parts = [list(words(text, key).elements()), *([key(part) for part in texts] for texts in others)]
        print(json.dumps([path.stem, *map(packed, parts)]))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
