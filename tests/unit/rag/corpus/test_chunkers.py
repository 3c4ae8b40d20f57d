"""Chunkers: passages lie in the text, in order, and are as long as they may be."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from rag import Corpus, Document, MarkdownChunker, NoChunker, RecursiveChunker, SentenceChunker

WORD = st.sampled_from(
    ["a", "cat", "żółw", "猫猫", "🐕‍🦺", "e\u0301", "Mr.", "U.S.", "3.14", "internationalisation", "\u200b"]
)
MARK = st.sampled_from(
    [" ", "  ", "\n", "\r\n", "\n\n", "\r\n\r\n", ". ", "! ", "? ", "; ", "\n# Head\n", "\n- ", "\t", "\u2028"]
)
TEXTS = st.lists(st.tuples(WORD, MARK), max_size=40).map(lambda pairs: "".join(word + mark for word, mark in pairs))
CHUNKERS = {
    "recursive": lambda size, overlap, unit: RecursiveChunker(size=size, overlap=overlap, unit=unit),
    "sentence": lambda size, overlap, unit: SentenceChunker(size=size, overlap=overlap, unit=unit),
    "markdown": lambda size, overlap, unit: MarkdownChunker(size=size, overlap=overlap, unit=unit),
}


def words_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


TOKENIZER = words_tokenizer()


def cut(chunker, text, tokenizer=None):
    passages = chunker.chunk(Corpus.from_documents([Document("d", text)]), tokenizer)
    return passages.texts(range(len(passages))), list(zip(passages.start.tolist(), passages.end.tolist(), strict=True))


def sentences_of(text):
    """The chunker's own sentences: each its own passage."""
    return [(span.start, span.end) for span in SentenceChunker(size=1, unit="characters")._pack(text, None)]


@pytest.mark.parametrize("make", CHUNKERS.values(), ids=CHUNKERS)
@given(text=TEXTS, size=st.integers(1, 60), overlap=st.integers(0, 30), unit=st.sampled_from(["characters", "tokens"]))
def test_passages_lie_in_the_text_in_order_and_lose_no_word(make, text, size, overlap, unit):
    chunker = make(size, min(overlap, size - 1), unit)
    pieces, spans = cut(chunker, text, TOKENIZER if unit == "tokens" else None)
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert spans == sorted(spans)
    assert len(set(spans)) == len(spans)
    covered = {position for start, end in spans for position in range(start, end)}
    assert (
        "".join(letter for position, letter in enumerate(text) if position not in covered).replace("\u200b", "").strip()
        == ""
    )
    assert spans == [(0, 0)] or all(piece == piece.strip() and piece for piece in pieces)


@pytest.mark.parametrize("kind", [RecursiveChunker, MarkdownChunker])
@given(text=TEXTS, size=st.integers(1, 60), overlap=st.integers(0, 30))
def test_recursive_and_markdown_hold_the_size_in_characters(kind, text, size, overlap):
    pieces, spans = cut(kind(size=size, overlap=min(overlap, size - 1), unit="characters"), text)
    assert all(len(piece) <= size for piece in pieces)
    assert all(
        start >= before_end - min(overlap, size - 1)
        for (_, before_end), (start, _) in zip(spans, spans[1:], strict=False)
    )


@given(text=TEXTS, size=st.integers(2, 20), overlap=st.integers(0, 10))
def test_recursive_holds_the_size_in_tokens(text, size, overlap):
    pieces, _ = cut(RecursiveChunker(size=size, overlap=min(overlap, size - 1)), text, TOKENIZER)
    assert all(len(TOKENIZER.encode(piece).ids) <= size for piece in pieces)


@given(text=TEXTS, size=st.integers(1, 80), overlap=st.integers(0, 60))
def test_sentences_are_packed_as_a_plain_loop_packs_them(text, size, overlap):
    overlap = min(overlap, size - 1)
    sentences = sentences_of(text)
    assume(all(end - start <= size for start, end in sentences))
    expected, first = [], 0
    for last in range(len(sentences)):
        if last > first and sentences[last][1] - sentences[first][0] > size:
            expected.append((sentences[first][0], sentences[last - 1][1]))
            new = last
            while (
                new - 1 > first
                and sentences[last - 1][1] - sentences[new - 1][0] <= overlap
                and sentences[last][1] - sentences[new - 1][0] <= size
            ):
                new -= 1
            first = new
    if sentences:
        expected.append((sentences[first][0], sentences[-1][1]))
    _, spans = cut(SentenceChunker(size=size, overlap=overlap, unit="characters"), text)
    assert (expected or [(0, 0)]) == spans
    assert all(end - start <= size for start, end in spans)


@given(text=TEXTS, size=st.integers(1, 20), overlap=st.integers(0, 10))
def test_sentences_hold_the_size_in_tokens(text, size, overlap):
    pieces, _ = cut(SentenceChunker(size=size, overlap=min(overlap, size - 1)), text, TOKENIZER)
    assert all(len(TOKENIZER.encode(piece).ids) <= size for piece in pieces)


def test_sentences_are_whole_and_abbreviations_do_not_end_them():
    text = "Dr. Smith lives in the U.S. today. He likes cats! Does he?  Yes."
    expected = ["Dr. Smith lives in the U.S. today.", "He likes cats! Does he?  Yes."]
    assert cut(SentenceChunker(size=34, unit="characters"), text)[0] == expected


def test_overlap_repeats_whole_sentences():
    text = "One one one. Two two. Three. Four four four four."
    expected = ["One one one. Two two. Three.", "Two two. Three. Four four four four."]
    assert cut(SentenceChunker(size=36, overlap=15, unit="characters"), text)[0] == expected


def test_a_language_has_its_own_abbreviations():
    text = "Das gilt z.B. hier. Und dort."
    assert cut(SentenceChunker(size=20, unit="characters", language="de"), text)[0] == [
        "Das gilt z.B. hier.",
        "Und dort.",
    ]


def test_recursive_cuts_at_the_largest_boundary():
    text = "First paragraph. It has two.\n\nSecond paragraph\nwith a line."
    cutter = RecursiveChunker(size=30, unit="characters")
    assert cut(cutter, text)[0] == ["First paragraph. It has two.", "Second paragraph\nwith a line."]


def test_overlap_repeats_words():
    pieces, spans = cut(RecursiveChunker(size=11, overlap=5, unit="characters"), "aaa bbb ccc ddd eee fff")
    assert pieces == ["aaa bbb ccc", "ccc ddd eee", "eee fff"]
    assert spans == [(0, 11), (8, 19), (16, 23)]


def test_crlf_texts_keep_their_offsets():
    text = "Ä one.\r\n\r\nB two.\r\n\r\nC three."
    for chunker in (RecursiveChunker(size=8, unit="characters"), SentenceChunker(size=8, unit="characters")):
        pieces, spans = cut(chunker, text)
        assert pieces == ["Ä one.", "B two.", "C three."]
        assert spans == [(0, 6), (10, 16), (20, 28)]


@pytest.mark.parametrize("chunker", [make(10, 0, "characters") for make in CHUNKERS.values()] + [NoChunker()], ids=repr)
@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t"])
def test_a_text_without_words_keeps_one_passage(chunker, text):
    corpus = Corpus.from_documents([Document("a", "words"), Document("b", text), Document("c", "words")])
    passages = chunker.chunk(corpus)
    assert passages.document.tolist() == [0, 1, 2]
    assert passages.texts([1])[0].strip() == ""


def test_none_keeps_texts_whole():
    text = "  a\n\nb " * 100
    assert cut(NoChunker(), text) == ([text], [(0, len(text))])


# -- headings -----------------------------------------------------------------------------------------------------

MARKDOWN = """\
before

# One

text of one

## Two `code`

text of two

Three
-----

text of three

# Four

```
# no heading
```
"""


def headings(text, size):
    passages = MarkdownChunker(size=size, unit="characters").chunk(Corpus.from_documents([Document("d", text)]))
    texts = passages.texts(range(len(passages)))
    return {text: passages.metadata.get(number, {}).get("headings") for number, text in enumerate(texts)}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_passages_know_the_headings_above_them(newline):
    headings_of = headings(MARKDOWN.replace("\n", newline), 30)
    expected = {
        "before": None,
        "text of one": ["One"],
        "text of two": ["One", "Two code"],
        "text of three": ["One", "Three"],
        "# no heading": ["Four"],
    }
    for text, above in expected.items():
        [(_, actual)] = [(piece, above_piece) for piece, above_piece in headings_of.items() if text in piece]
        assert above == actual, text


def test_a_block_that_fits_is_not_cut():
    text = "# T\n\nsome words here\n\n```python\na = 1\n\nb = 2\n```\n\n| x | y |\n|---|---|\n| 1 | 2 |\n"
    pieces, _ = cut(MarkdownChunker(size=40, unit="characters"), text)
    assert any("```python\na = 1\n\nb = 2\n```" in piece for piece in pieces)
    assert any("| x | y |\n|---|---|\n| 1 | 2 |" in piece for piece in pieces)


BLOCKS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20)), min_size=1, max_size=12)


@given(blocks=BLOCKS, newline=st.sampled_from(["\n", "\r\n"]), size=st.integers(5, 80))
def test_headings_are_those_of_a_naive_reader(blocks, newline, size):
    text, outline = "", []
    for number, (level, words) in enumerate(blocks):
        if level:
            outline.append((len(text), level, f"T{number}"))
        text += f"{'#' * level} T{number}" if level else " ".join(["żółw"] * words)
        text += newline * 2
    passages = MarkdownChunker(size=size, unit="characters").chunk(Corpus.from_documents([Document("d", text)]))
    for number, start in enumerate(passages.start.tolist()):
        stack: list[tuple[int, str]] = []
        for offset, level, title in outline:
            if offset <= start:
                stack = [heading for heading in stack if heading[0] < level] + [(level, title)]
        expected = {"headings": [title for _, title in stack]} if stack else {}
        assert passages.metadata.get(number, {}) == expected


@pytest.mark.parametrize("word", ["don't", "--option"])
@pytest.mark.parametrize("size", [20, 21, 22, 23, 24, 25, 26, 27])
def test_markdown_is_not_cut_inside_a_word(word, size):
    text = "# T\n\n" + f"we {word} know " * 40
    passages = MarkdownChunker(size=size, unit="characters").chunk(Corpus.from_documents([Document("a", text)]))
    cut = [passage for block in passages.iter_texts() for passage in block]
    assert {token for passage in cut for token in passage.split()} == {"#", "T", "we", word, "know"}
