"""The words of a corpus by number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from rag.candidates import Ints
from rag.text.analyzer import Analyzer

__all__ = ["Vocabulary"]

_WORDS_REMEMBERED = 1_000_000
"""Words of queries that are remembered as unknown: not without end."""


class Vocabulary:
    """Terms by their row in a matrix, and how to find them in texts.

    Args:
        analyzer: Makes the terms.
        rows: The row of each term known so far, 0 to n - 1.
    """

    def __init__(self, analyzer: Analyzer, rows: dict[str, int]) -> None:
        self.analyzer = analyzer
        self.rows = rows
        self._asked = _Rows(analyzer, rows, grow=False)
        self._learned = _Rows(analyzer, rows, grow=True)

    def __len__(self) -> int:
        return len(self.rows)

    def learn(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], Ints]:
        """Rows of all terms of documents, int32 [n_terms], one text after the other, and how many each has, int64
        [n_texts]. New terms become known.
        """
        block = self.analyzer.block(texts)
        rows = np.fromiter(map(self._learned.__getitem__, block.words), dtype=np.int32, count=len(block.words))
        return _known(rows[block.numbers], block.lengths)

    def count(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], Ints]:
        """The same of documents that were learned: no term is new. Quicker for few, as a question asks for them."""
        return _flat([self.analyzer.words(text) for text in texts], self._asked)

    def look_up(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], Ints]:
        """The same of queries, whose unknown terms are left out."""
        if len(self._asked) > _WORDS_REMEMBERED:
            self._asked.clear()
        return _flat([self.analyzer.query_words(text) for text in texts], self._asked)

    def learned(self) -> Vocabulary:
        """The same terms, without the state needed only for learning."""
        return Vocabulary(self.analyzer, self.rows)


class _Rows(dict[str, int]):
    """The row of each word as written, -1 for a stop word and an unknown one; filled as words are met."""

    def __init__(self, analyzer: Analyzer, rows: dict[str, int], *, grow: bool) -> None:
        super().__init__()
        self._analyzer, self._rows, self._grow = analyzer, rows, grow

    def __missing__(self, word: str) -> int:
        term = self._analyzer.term(word)
        if term is None:
            row = -1
        elif self._grow:
            row = self._rows.setdefault(term, len(self._rows))
        else:
            row = self._rows.get(term, -1)
        self[word] = row
        return row

    def __reduce__(self) -> tuple[object, ...]:  # a dict would be filled before it knows its terms
        return _rows, (self._analyzer, self._rows, self._grow)


def _rows(analyzer: Analyzer, rows: dict[str, int], grow: bool) -> _Rows:
    return _Rows(analyzer, rows, grow=grow)


def _flat(words: list[list[str]], rows: _Rows) -> tuple[npt.NDArray[np.int32], Ints]:
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    flat = np.fromiter(map(rows.__getitem__, chain.from_iterable(words)), dtype=np.int32, count=int(lengths.sum()))
    return _known(flat, lengths)


def _known(rows: npt.NDArray[np.int32], lengths: Ints) -> tuple[npt.NDArray[np.int32], Ints]:
    """Without those that are -1."""
    is_known = rows >= 0
    if is_known.all():
        return rows, lengths
    before = np.concatenate([[0], np.cumsum(is_known)])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return rows[is_known], np.diff(before[ends])
