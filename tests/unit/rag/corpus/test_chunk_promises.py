"""What chunkers promise of sizes and blocks, on texts nobody would write."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import Corpus, Document, Pipeline
from rag.corpus.chunkers.markdown import MarkdownChunker
from rag.corpus.chunkers.sentence import SentenceChunker
from rag.corpus.chunkers.structure import structure_of
from rag.retrievers import BM25

WORDS = st.text("abcdefgh ", min_size=1, max_size=90)
CODE = st.lists(st.sampled_from(["# step", "", "x = 1", "    y = 2", "call(a, b)"]), min_size=1, max_size=9).map(
    lambda lines: "```python\n" + "\n".join(lines) + "\n```"
)
TABLE = st.integers(1, 9).map(
    lambda n: "| key | value |\n|---|---|\n" + "\n".join(f"| k{number} | some value {number} |" for number in range(n))
)
HEADING = st.integers(1, 4).map(lambda level: "#" * level + f" Title {level}")
MARKDOWN = st.lists(st.one_of(WORDS, CODE, TABLE, HEADING, WORDS), min_size=1, max_size=60).map("\n\n".join)


@settings(max_examples=60, deadline=None)
@given(MARKDOWN, st.integers(60, 400), st.sampled_from([0, 40]), st.booleans())
def test_blocks_that_fit_are_not_cut(text, size, overlap, long):
    text = "\n\n".join([text] * (1 + long * (20_000 // len(text))))
    chunker = MarkdownChunker(size=size, overlap=overlap, unit="characters")
    spans = chunker.spans([text], None)[0]
    blocks = structure_of(text).blocks
    fit = [block for block in blocks if len(text[block.start : block.end].strip()) <= size]
    for block in fit:
        end = block.start + len(text[block.start : block.end].rstrip())
        inside = [span for span in spans if block.start < span.start < end or block.start < span.end < end]
        assert inside == [], text[block.start : end]
    for span in spans:
        header = (span.metadata or {}).get("table_header", "")
        assert len(header) + span.end - span.start <= size
    covered = set().union(*(range(span.start, span.end) for span in spans)) if spans else set()
    assert [position for position, letter in enumerate(text) if not letter.isspace() and position not in covered] == []


def test_a_table_in_parts_repeats_its_header():
    header = "| city | people |\n|---|---|\n"
    rows = [f"| place{number} | {number * 1000} |\n" for number in range(40)]
    text = "# Cities\n\nBefore.\n\n" + header + "".join(rows) + "\nAfter.\n"
    pipeline = Pipeline(chunker=MarkdownChunker(size=120, unit="characters"), retriever=BM25())
    pipeline.fit([Document("cities", text)])
    texts = pipeline.passages.texts(range(len(pipeline.passages)))
    parts = [part for part in texts if "place" in part]
    assert 8 < len(parts)
    assert {part[: len(header)] for part in parts} == {header}
    assert [row.strip() for row in rows] == [line for part in parts for line in part[len(header) :].splitlines()]
    assert texts == [part for block in pipeline.passages.iter_texts() for part in block]
    [hit] = pipeline.search("place33 people")
    assert hit.passage.startswith(header)
    assert "place33" in text[hit.start : hit.end]


def test_a_row_that_does_not_fit_is_cut_and_nothing_lost():
    text = "| a | b |\n|---|---|\n| 1 | " + "word " * 40 + "|\n| 2 | x |\n"
    spans = MarkdownChunker(size=60, unit="characters").spans([text], None)[0]
    covered = set().union(*(range(span.start, span.end) for span in spans))
    assert [position for position, letter in enumerate(text) if not letter.isspace() and position not in covered] == []
    assert all(span.end - span.start <= 60 for span in spans)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_front_matter_is_metadata(newline):
    lines = ["---", "title: Returns", "date: 2024-05-01", "tags: [a, b]", "---", "", "# Back", "", "Send it.", ""]
    [span] = MarkdownChunker(size=300, unit="characters").spans([newline.join(lines)], None)[0]
    expected = {"title": "Returns", "date": "2024-05-01", "tags": ["a", "b"]}
    assert span.metadata["front_matter"] == expected
    assert "headings" not in span.metadata  # none above its beginning


@pytest.mark.parametrize("text", ["---\n\nA rule.\n\n---\n\nAnother.", "--- no\nkey: value\n---\n", "---\nopen: yes\n"])
def test_rules_are_no_front_matter(text):
    assert dict(structure_of(text).front_matter) == {}


def test_headings_are_plain_text():
    text = "# A [link](https://a.b/c) and *some* **`code`** ![alt *text*](x.png) <b>bold</b> &amp; more\n"
    assert [heading.title for heading in structure_of(text).headings] == ["A link and some code alt text bold & more"]


@given(st.lists(st.text("ab. \n!?。字", max_size=200), max_size=4), st.integers(1, 50), st.integers(0, 10))
@settings(max_examples=100, deadline=None)
def test_sentences_keep_their_promise_on_size(texts, size, overlap):
    chunker = SentenceChunker(size=size, overlap=min(overlap, size - 1), unit="characters")
    for text, spans in zip(texts, chunker.spans(texts, None), strict=True):
        assert all(0 < span.end - span.start <= size for span in spans)
        covered = set().union(*(range(span.start, span.end) for span in spans)) if spans else set()
        assert [
            position for position, letter in enumerate(text) if not letter.isspace() and position not in covered
        ] == []


def test_a_long_sentence_becomes_several_passages():
    text = "Short one. " + "word " * 50 + "end. Last one."
    passages = SentenceChunker(size=60, unit="characters").chunk(Corpus.from_documents([Document("a", text)]))
    texts = passages.texts(range(len(passages)))
    assert texts[0] == "Short one."
    assert max(map(len, texts)) <= 60
    assert text.split() == " ".join(texts).split()
