"""Cutting many texts into words at once: no Python per word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rag.candidates import Ints
from rag.text.words import ascii_spaced, cut, is_alphabetic

__all__ = ["WordBlock", "cut_block", "word_block"]


class WordBlock(NamedTuple):
    """The words of some texts, each distinct word stored once.

    Args:
        words: The different words, in the order in which they first occur.
        numbers: Which of them each word is, int32 [n_words], one text after the other.
        lengths: Words in each text, int64 [n_texts].
    """

    words: list[str]
    numbers: npt.NDArray[np.int32]
    lengths: Ints


def cut_block(texts: Sequence[str]) -> WordBlock:
    """Words of each normalized text, as :func:`rag.text.words.cut` gives them.

    In texts of alphabets all other characters become spaces, in arrays; what Arrow then splits and numbers are whole
    blocks. Other texts are cut one by one.

    Example:
        >>> cut_block(["the cat, the dog", "cat"])
        WordBlock(words=['the', 'cat', 'dog'], numbers=array([0, 1, 0, 2, 1], dtype=int32), lengths=array([4, 1]))
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = [n for n, text in enumerate(texts) if text.isascii()]
    spaced = dict(zip(plain, _spaced([texts[n] for n in plain]), strict=True))
    alphabetic = [n for n, text in enumerate(texts) if n not in spaced and is_alphabetic(text)]
    spaced.update(zip(alphabetic, _spaced([texts[n] for n in alphabetic]), strict=True))
    lines = [spaced[n] if n in spaced else " ".join(cut(text)) for n, text in enumerate(texts)]
    split = pc.call_function("ascii_split_whitespace", [pa.array(lines, pa.large_string())])
    return _without_empty(_numbered(split.values, np.diff(split.offsets.to_numpy())))


def word_block(words: Sequence[Sequence[str]]) -> WordBlock:
    """Words of each text, cut already."""
    import pyarrow as pa

    flat = pa.array([word for row in words for word in row], pa.large_string())
    return _numbered(flat, np.fromiter(map(len, words), dtype=np.int64, count=len(words)))


def _numbered(words: Any, lengths: Any) -> WordBlock:
    coded = words.dictionary_encode()
    return WordBlock(coded.dictionary.to_pylist(), coded.indices.to_numpy(), lengths.astype(np.int64))


def _without_empty(block: WordBlock) -> WordBlock:
    """Arrow has an empty word where a text begins or ends with a space."""
    if "" not in block.words:
        return block
    empty = block.words.index("")
    there = block.numbers != empty
    before = np.concatenate([[0], np.cumsum(there)])
    ends = np.cumsum(block.lengths)
    lengths = np.diff(before[np.concatenate([[0], ends])])
    numbers = block.numbers[there]
    numbers -= numbers > empty
    return WordBlock(block.words[:empty] + block.words[empty + 1 :], numbers, lengths)


def _spaced(texts: Sequence[str]) -> list[str]:
    """Texts of alphabets in which everything between words is spaces, letter for letter."""
    joined = "".join(texts)
    if joined.isascii():
        joined = ascii_spaced(joined)
    else:
        codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
        joined = _table()[codes].tobytes().decode("utf-32-le")
    ends = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))).tolist()
    return [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@cache
def _table() -> npt.NDArray[np.uint32]:
    """Table of characters: letters that belong to words, and a space for all others."""
    last = 0x2300
    return np.array([code if re.match(r"\w", chr(code)) else ord(" ") for code in range(last)], dtype=np.uint32)
