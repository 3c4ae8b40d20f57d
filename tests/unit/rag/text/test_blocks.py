"""Words of many texts at once are those of each text alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rag.text.analyzer import Analyzer
from rag.text.blocks import cut_block

ROOT = Path(__file__).parents[4]
TEXTS = [
    "The cat, the dog",
    "",
    " spaced  out\t\n",
    "naïve café Straße",
    "Ünïcode № 5 – a_b",
    "Δοκιμή и проверка",
    "人工智能 with words",
    "किताब كِتَاب",
    "İstanbul ıssız",
    "x\x1cy\x00z ½ ²",
    "cafe\u0301 a\u20d0b",
]
RANGES = [
    (0x0, 0x80), (0x80, 0x300), (0x20, 0x2400), (0x370, 0x530), (0x900, 0x97F), (0x3040, 0x30FF), (0x4E00, 0x4F00),
    (0xAC00, 0xAD00), (0x600, 0x6FF), (0x1F300, 0x1F600), (0xE000, 0x110000),
]  # fmt: skip


def assert_like_texts_alone(analyzer: Analyzer, texts: list[str]) -> None:
    expected = [analyzer.words(text) for text in texts]
    flat = [word for words in expected for word in words]
    actual = analyzer.block(texts)
    assert [actual.words[number] for number in actual.numbers] == flat
    assert actual.lengths.tolist() == [len(words) for words in expected]
    assert actual.words == list(dict.fromkeys(flat))


@pytest.mark.parametrize("language", ["en", "de", "tr", "zh", "ru", None])
@pytest.mark.parametrize("arguments", [{}, {"fold": False}, {"pattern": r"\b\w\w+\b"}, {"pattern": r"\w*"}])
def test_words_of_scripts(language, arguments):
    assert_like_texts_alone(Analyzer(language, **arguments), TEXTS)
    assert_like_texts_alone(Analyzer(language, **arguments), [])


@pytest.mark.parametrize("seed", range(40))
def test_words_of_any_letters(seed):
    generator = random.Random(seed)

    def text() -> str:
        some = generator.choices(RANGES, k=2)
        return "".join(chr(generator.randrange(*generator.choice(some))) for _ in range(generator.randrange(60)))

    language, fold = generator.choice(["en", "de", "tr", "zh", None]), generator.random() < 0.8
    assert_like_texts_alone(Analyzer(language, fold=fold), [text() for _ in range(20)])


def test_words_of_real_texts():
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md"))]
    assert len(texts) > 10
    assert_like_texts_alone(Analyzer("en"), texts)


def test_texts_without_words_have_none():
    block = cut_block(["", "  ", "!?"])
    assert (block.words, block.numbers.tolist(), block.lengths.tolist()) == ([], [], [0, 0, 0])
