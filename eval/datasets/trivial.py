"""Detect useless questions: copies of their source text, questions about "the text", non-questions."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from rag.eval.datasets.duplicates import normalized

__all__ = ["copied", "why_trivial"]

_DETERMINERS = r"(?:this|that|these|the (?:above|following|given|provided|present|current|quoted))"
_TEXTS = (
    r"(?:text|passage|document|article|excerpt|extract|paragraph|snippet|section|chapter|page|context|information|"
    r"abstract|paper|study|report|table|figure|example|conversation|dialogue)s?"
)
_ABOUT_TEXT = re.compile(
    rf"\b{_DETERMINERS} {_TEXTS}\b"
    r"|\bthe (?:text|passage|document|article|excerpt|extract|paragraph|snippet|authors?|abstract|study|paper)\b"
    r"|\b(?:mentioned|described|discussed|listed|stated|shown|given|provided) (?:above|below|here|earlier)\b"
    r"|\b(?:above|below)[ -]mentioned\b",
    re.IGNORECASE,
)
"""English patterns. "What did the authors find?" is meaningless without the text."""

_LEAST_WORDS, _LEAST_CHARACTERS = 3, 10
_LEAST_RUN = 5
"""Fewest words of a copied run; shorter ones may be names and terms."""


def why_trivial(question: str, text: str, *, most_copied: float = 0.5) -> str | None:
    """The reason why a question written for a text is useless, or None.

    Args:
        question: The question.
        text: The text it was written for.
        most_copied: Maximum share of the question's words that may be one run of words of the text.
    """
    words = normalized(question).split()
    if (
        len(words) < _LEAST_WORDS and len("".join(words)) < _LEAST_CHARACTERS
    ):  # Thai writes no spaces, German long words
        return "too short"
    if question.rstrip().endswith(":"):
        return "no question"  # "Here are the questions:"
    if _ABOUT_TEXT.search(question):
        return "about the text itself"
    run = copied(question, text)
    if run >= _LEAST_RUN and run > most_copied * len(words):
        return "copied from the text"
    return None


def copied(question: str, text: str) -> int:
    """The number of words in the longest run common to both."""
    words, source = normalized(question).split(), normalized(text).split()
    return SequenceMatcher(None, source, words, autojunk=False).find_longest_match().size
