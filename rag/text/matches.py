"""Find the words of a passage that occur in a question, to mark them in results."""

from __future__ import annotations

from rag.text.analyzer import Analyzer
from rag.text.words import is_spaceless

__all__ = ["excerpt", "matches"]

import re

_WORD = re.compile(r"\w+")
_BEGINS = re.compile(r"[.!?\n]\s+|^")


def matches(query: str, text: str, analyzer: Analyzer | None = None) -> list[tuple[int, int]]:
    """Start and end of the words of a text that a question has too, as the analyzer takes words for equal.

    Args:
        query: The question.
        text: The passage.
        analyzer: That of the index; None for English, which also finds the words of most others.
    """
    analyzer = analyzer or Analyzer("en")
    query_terms = {term for word in analyzer.query_words(query) if (term := analyzer.term(word)) is not None}
    if not query_terms:
        return []
    spans: list[tuple[int, int]] = []
    equal: dict[str, bool] = {}
    for match in _WORD.finditer(text):
        word = match[0]
        if word not in equal:
            terms = {analyzer.term(part) for part in analyzer.words(word)}
            equal[word] = not query_terms.isdisjoint(terms)
        if not equal[word]:
            continue
        if is_spaceless(word[0]):
            spans += _inside(word, match.start(), query_terms)
        else:
            spans.append(match.span())
    return spans


def _inside(word: str, start: int, terms: set[str]) -> list[tuple[int, int]]:
    """Where pairs of letters, which stand for words in scripts without spaces, are those of the question."""
    spans: list[tuple[int, int]] = []
    for at in range(len(word) - 1):
        if word[at : at + 2] in terms:
            first = start + at
            if spans and spans[-1][1] >= first:
                spans[-1] = (spans[-1][0], first + 2)
            else:
                spans.append((first, first + 2))
    return spans or ([(start, start + len(word))] if len(word) == 1 else [])


def excerpt(text: str, spans: list[tuple[int, int]], length: int) -> tuple[int, int]:
    """Start and end of the part of a text that has most of some spans; it begins with a sentence where one is near."""
    if len(text) <= length:
        return 0, len(text)
    starts = [start for start, _ in spans] or [0]
    counts = [sum(start <= other < start + 0.8 * length for other in starts) for start in starts]
    first = starts[counts.index(max(counts))]
    first = max(0, min(first - length // 8, len(text) - length))
    begin = next((match.end() for match in _BEGINS.finditer(text, max(0, first - length // 4), first + 1)), first)
    if begin and begin == first:
        begin = text.find(" ", first) + 1 or first
    return begin, min(begin + length, len(text))
