"""Rules that split a question without a model."""

from __future__ import annotations

import re

__all__ = ["parts_by_rules"]

_ASKS = (
    "how|what|when|where|who|whom|whose|why|which|does|do|did|is|are|was|were|can|could|should|will|would|list|"
    "name|give|describe|explain|show|find"
)
_CLAUSE = re.compile(rf"\s*[,;]?\s+(?:and|but)\s+(?:also\s+|then\s+)?(?=(?:{_ASKS})\b)|\s*;\s*", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\b(?:differences?|differ|compar\w+|similarit\w+|relations?|relationships?|connections?|distinction|choose|"
    r"distinguish|interactions?)\s+between\s+(?P<a>.+?)\s+and\s+(?P<b>.+)",
    re.IGNORECASE,
)
_COMPARED = re.compile(r"^(?:compare\s+)?(?P<a>.+?)\s+(?:vs\.?|versus)\s+(?P<b>.+)", re.IGNORECASE)
_COMPARE = re.compile(
    r"^(?:compare|contrast|compare and contrast)\s+(?P<a>.+?)\s+(?:and|with|to|against)\s+(?P<b>.+)", re.IGNORECASE
)
_EITHER = re.compile(
    r"^(?P<head>(?:which|who|what|is|are|should|do|does)\b.+?)[,:]\s*(?P<a>[^,]+?),?\s+or\s+(?P<b>[^,]+)$",
    re.IGNORECASE,
)
_BOTH = re.compile(r"^(?P<head>.*?)\bboth\s+(?P<a>\S+(?:\s+\S+){0,2}?)\s+and\s+(?P<b>\S+)(?P<tail>.*)$", re.IGNORECASE)
_NAMES = re.compile(r"^(?P<head>.*?)\b(?P<a>[A-Z]\w+)\s+and\s+(?P<b>[A-Z]\w+)\b(?:\s+both\b)?(?P<tail>.*)$")
_LEAST_WORDS = 2
_ENDS = " \t?？؟.!,;:"


def parts_by_rules(question: str) -> list[str]:
    """What a question asks for, each in a text of its own; empty where no rule finds several.

    Splits at sentences, then, in each, at comparisons (``between a and b``, ``a versus b``, ``which ..., a or b``), at
    ``and`` before a word that asks, and at two names joined by ``and``. The words are English; of other languages only
    sentences are split.

    Example:
        >>> parts_by_rules("What is a tuple, and how do I sort a list?")
        ['What is a tuple', 'how do I sort a list']
        >>> parts_by_rules("What is the difference between a list and a tuple?")
        ['a list', 'a tuple']
        >>> parts_by_rules("How do I sort a list?")
        []
    """
    parts = [part for sentence in _sentences(" ".join(question.split())) for part in _of_sentence(sentence)]
    stripped = (part.strip(_ENDS) for part in parts)
    kept = list(dict.fromkeys(part for part in stripped if part))
    return kept if len(kept) > 1 else []


def _sentences(text: str) -> list[str]:
    from sentencex import segment

    sentences: list[str] = []
    for sentence in (str(sentence).strip() for sentence in segment("en", text)):
        if sentences and len(sentence.split()) < _LEAST_WORDS:  # "Why?" says nothing by itself
            sentences[-1] = f"{sentences[-1]} {sentence}"
        elif sentence:
            sentences.append(sentence)
    return sentences


def _of_sentence(sentence: str) -> list[str]:
    bare = sentence.strip(_ENDS)
    for rule in (_BETWEEN, _COMPARE, _COMPARED):
        if match := rule.search(bare):
            return [match["a"], match["b"]]
    if match := _EITHER.search(bare):
        return [f"{match['head']} {match['a']}", f"{match['head']} {match['b']}"]
    clauses = [clause for clause in _CLAUSE.split(bare) if clause]
    if len(clauses) > 1 and all(len(clause.split()) >= _LEAST_WORDS for clause in clauses):
        return clauses
    for rule in (_BOTH, _NAMES):
        if match := rule.search(bare):
            return [f"{match['head']}{match[name]}{match['tail']}" for name in ("a", "b")]
    return [bare]
