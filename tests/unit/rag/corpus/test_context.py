"""Pages and contexts of passages, and where hits stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag import Corpus, Document, Pipeline
from rag.answer import Answer, Citation
from rag.corpus.chunkers.auto import AutoChunker
from rag.corpus.chunkers.markdown import MarkdownChunker
from rag.corpus.chunkers.recursive import RecursiveChunker
from rag.origin import Origin, origin_of
from rag.retrievers import BM25
from rag.text.matches import excerpt, matches

MANUAL = "# Guide\n\nopening words \f\n\n## Setup\n\nfirst part of it \fsecond part of it\n\n## Use\n\nlast words here"
CORPUS = [Document("m", MANUAL, {"title": "The Guide", "path": "m.pdf", "format": "pdf"}), Document("r", "a row")]


def test_passages_know_their_pages():
    passages = RecursiveChunker(size=40, unit="characters").chunk(Corpus.from_documents(CORPUS))
    pages = [passages.metadata.get(n, {}) for n in range(len(passages))]
    assert [page.get("page") for page in pages] == [1, 2, 3, None]
    assert pages[1] == {"page": 2, "last_page": 3}


def test_pages_of_a_section_are_counted_from_its_own():
    corpus = Corpus.from_documents([Document("s", "one \f\n\ntwo", {"page": 7})])
    passages = RecursiveChunker(size=5, unit="characters").chunk(corpus)
    assert [passages.metadata[n]["page"] for n in range(2)] == [7, 8]


@pytest.mark.parametrize(
    ("context", "size", "expected"),
    [
        ("none", 50, ["# Guide", "## Setup", "## Use"]),
        ("title", 62, ["The Guide", "The Guide", "The Guide"]),
        ("headings", 72, ["The Guide", "The Guide > Guide", "The Guide > Guide"]),
    ],
)
def test_contexts_are_matched_and_not_shown(context, size, expected):
    chunker = MarkdownChunker(size=size, unit="characters", context=context)
    passages = chunker.chunk(Corpus.from_documents(CORPUS))
    texts = passages.texts(range(len(passages)))
    assert [text.splitlines()[0] for text in texts[: len(expected)]] == expected
    assert all("context" not in about or len(about["context"]) < 25 for about in passages.metadata.values())
    hits = Pipeline(chunker=chunker, retriever=BM25()).fit(CORPUS).search("guide setup first part")
    assert hits[0].passage.startswith("## Setup")


def test_a_context_that_is_too_long_loses_its_middle():
    text = "# Chapter one of many\n\n## Section two of many\n\n### Part three\n\n#### Four\n\ntext"
    passages = MarkdownChunker(size=160, unit="characters", context="headings").chunk(
        Corpus.from_documents([Document("d", text + "\n\n" + "word " * 30, {"title": "T"})])
    )
    assert passages.metadata[len(passages) - 1]["context"] == "T > Part three > Four"


def test_by_default_files_are_cut_and_rows_are_not():
    pipeline = Pipeline(chunker=AutoChunker(size=16), retriever=BM25()).fit([CORPUS[1], CORPUS[0]])
    assert pipeline.passages.document.tolist() == [0, *[1] * (len(pipeline.passages) - 1)]
    assert len(pipeline.passages) > 2
    hit = pipeline.search("last words here")[0]
    assert hit.origin == Origin("m.pdf", 3, 3, ("Guide", "Use"), "m.pdf#page=3")
    assert Pipeline(retriever=BM25()).fit([CORPUS[1]]).passages.metadata == {}


@pytest.mark.parametrize(
    ("document", "passage", "expected"),
    [
        ({}, {}, Origin()),
        (
            {"path": "a.html", "url": "https://x.org/a"},
            {"headings": ["A"]},
            Origin("https://x.org/a", None, None, ("A",), "https://x.org/a"),
        ),
        ({"path": "a #1.pdf", "page": 4}, {}, Origin("a #1.pdf", 4, 4, (), "a %231.pdf#page=4")),
        ({"source": "s.pdf", "page": "iv"}, {}, Origin("s.pdf", None, None, (), "s.pdf")),
    ],
)
def test_origins(document, passage, expected):
    assert origin_of(document, passage) == expected
    assert all(value not in (None, "", ()) for value in expected.as_dict().values())


def test_matches_are_words_as_the_index_takes_them():
    text = "Returning goods: you can return a good within days."
    assert [text[a:b] for a, b in matches("how to return goods?", text)] == ["Returning", "goods", "return", "good"]
    assert [("北京大学"[a:b]) for a, b in matches("北京", "北京大学")] == ["北京"]
    assert matches("the of", "the of") == []


def test_an_excerpt_has_most_of_the_matches():
    text = "Nothing here. " * 40 + "The answer is that goods return. " + "More nothing. " * 40
    start, end = excerpt(text, matches("goods return", text), 100)
    assert "The answer is that goods return" in text[start:end]
    assert excerpt("short", [], 100) == (0, 5)


def test_citations_open_the_page():
    result = Pipeline(retriever=BM25()).fit(CORPUS).search("second part")
    answer = Answer("As said [1].", citations=(Citation(1, "m"), Citation(2, "gone")))
    cited = replace(result, answer=answer).to_dict()["answer"]["citations"]
    assert cited == [{"rank": 1, "id": "m", "link": "m.pdf#page=1"}, {"rank": 2, "id": "gone"}]
