"""Counts of words in passages: counted in blocks, updated with the passages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rag.candidates import Ints
from rag.retrievers.vocabulary import Vocabulary

__all__ = ["WordCounts"]

_CHARACTERS = 1 << 22
"""Of a block of texts whose words are counted at a time."""


class WordCounts(NamedTuple):
    """Frequencies of words.

    Args:
        table: Counts of each word in each passage, scipy CSR array [words, passages] with sorted indices.
        lengths: Words of each passage, int64 [passages].
    """

    table: Any
    lengths: Ints

    @classmethod
    def of(cls, blocks: Iterable[Sequence[str]], vocabulary: Vocabulary) -> WordCounts:
        """The words of texts, a block at a time; new words enter the vocabulary."""
        parts: deque[_Part] = deque()
        sizes = [np.zeros(0, dtype=np.int64)]
        first = 0
        for block in _joined(blocks):
            rows, lengths = vocabulary.learn(block)
            parts.append(_Part.of(rows, lengths, len(vocabulary), first))
            sizes.append(lengths)
            first += len(block)
        return cls(_merged(parts, (len(vocabulary), first)), np.concatenate(sizes))

    def only(self, kept: Ints) -> tuple[WordCounts, Ints]:
        """Those in some passages, and which words they have: the others are forgotten."""
        table = self.table[:, kept]
        words = np.flatnonzero(np.diff(table.indptr))
        return WordCounts(table[words], self.lengths[kept]), words

    def followed_by(self, other: WordCounts) -> WordCounts:
        """These passages, then others, that may have more words."""
        import scipy.sparse

        n_words = other.table.shape[0] - self.table.shape[0]
        indptr = np.pad(self.table.indptr, (0, n_words), mode="edge")
        arrays = (self.table.data, self.table.indices, indptr)
        shape = (other.table.shape[0], self.table.shape[1])
        before: Any = scipy.sparse.csr_array(arrays, shape=shape, copy=False)
        table = scipy.sparse.hstack([before, other.table], format="csr")
        return WordCounts(table, np.concatenate([self.lengths, other.lengths]))


class _Part(NamedTuple):
    """Words of a block of passages.

    Args:
        words: Words that occur, ascending.
        counts: Number of passages with each word.
        passages: These passages, ascending, one word after the other.
        frequencies: Count of the word in each passage.
    """

    words: Ints
    counts: Ints
    passages: npt.NDArray[np.int32]
    frequencies: Any

    @classmethod
    def of(cls, rows: Any, lengths: Ints, n_words: int, first: int) -> _Part:
        table = _by_word(rows, lengths, n_words)
        counts = np.diff(table.indptr).astype(np.int64)
        words = np.flatnonzero(counts)
        return cls(words, counts[words], table.indices + np.int32(first), _small(table.data))


def _merged(parts: deque[_Part], shape: tuple[int, int]) -> Any:
    """One table, CSR array [words, passages]; the parts are used up, so that they are never in memory twice."""
    import scipy.sparse

    counts = np.zeros(shape[0] + 1, dtype=np.int64)
    for part in parts:
        counts[part.words + 1] += part.counts
    ends = np.cumsum(counts)
    passages = np.empty(ends[-1], dtype=np.int32)
    kinds = [part.frequencies.dtype for part in parts]
    frequencies = np.empty(ends[-1], dtype=np.result_type(np.uint8, *kinds))
    free = ends[:-1].copy()  # where the next passage of each word goes
    while parts:
        part = parts.popleft()
        before = np.cumsum(part.counts) - part.counts
        places = np.repeat(free[part.words] - before, part.counts) + np.arange(len(part.passages))
        passages[places], frequencies[places] = part.passages, part.frequencies
        free[part.words] += part.counts
    indptr = ends.astype(np.int32 if ends[-1] <= np.iinfo(np.int32).max else np.int64)
    return scipy.sparse.csr_array((frequencies, passages, indptr), shape=shape, copy=False)


def _joined(blocks: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """Blocks put together until they are worth a block: a word is looked up once in each."""
    joined: list[str] = []
    size = 0
    for block in blocks:
        joined += block
        size += sum(map(len, block))
        if size >= _CHARACTERS:
            yield joined
            joined, size = [], 0
    if joined:
        yield joined


def _by_word(rows: Any, lengths: Ints, n_words: int) -> Any:
    """Counts of each word in each passage, CSC array int32.

    Args:
        rows: Words, int32, one passage after the other.
        lengths: Words of each passage, int64 [passages].
        n_words: There are.
    """
    import scipy.sparse

    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ones = np.ones(len(rows), dtype=np.int32)
    table = scipy.sparse.csr_array((ones, rows, ends), shape=(len(lengths), n_words), copy=False).tocsc()
    table.sum_duplicates()  # which stand side by side now
    return table


def _small(frequencies: Any) -> Any:
    return frequencies.astype(np.min_scalar_type(int(frequencies.max(initial=0))))
