"""Questions that measure nothing: copies of the text they were written for, questions about "the text", repetitions."""

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
"""English. "What did the authors find?" makes sense to nobody who has not the text before them."""

_LEAST_WORDS, _LEAST_CHARACTERS = 3, 10
_LEAST_RUN = 5
"""Names and terms of fewer words are no copies."""


def why_trivial(question: str, text: str, *, most_copied: float = 0.5) -> str | None:
    """What is wrong with a question that was written for a text, or None.

    Args:
        question: The question.
        text: What it was written for.
        most_copied: Part of the question's words that may stand in the text in one run.
    """
    words = normalized(question).split()
    if len(words) < _LEAST_WORDS and len("".join(words)) < _LEAST_CHARACTERS:  # Thai puts no spaces, German few
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
    """The number of words in the longest run that stands in both."""
    words, source = normalized(question).split(), normalized(text).split()
    return SequenceMatcher(None, source, words, autojunk=False).find_longest_match().size
