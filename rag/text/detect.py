"""Telling the language of texts by script and frequent words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from rag.text.languages import LANGUAGES
from rag.text.normal import normalized
from rag.text.words import words_of

__all__ = ["Reading", "read"]

_LEAST_SHARE = 0.06
"""Of the words that must be frequent words of a language; running text has .2 to .4 of its own, .03 of another's."""
_LEAST_HITS = 3
_KANA = 0.03
"""Japanese has a third of its letters in kana, and Chinese none."""


class Reading(NamedTuple):
    """Language and script of texts.

    Args:
        language: Code of the language; None if not recognized.
        script: Script of most letters; empty without letters.
        share: Share of the letters in that script.
        sure: Whether script or frequent words show the language; else it is the usual language of the script.
    """

    language: str | None
    script: str
    share: float
    sure: bool


@cache
def _scripts() -> Any:
    import regex

    names = sorted({language.script for language in LANGUAGES.values()} | {"Katakana"})
    return regex.compile("|".join(rf"(?P<{name}>\p{{Script={name}}})" for name in names))


def read(texts: Sequence[str]) -> Reading:
    """The language that most of some texts is written in.

    Among languages of one script, the one whose frequent words make up most of the words; where none does, English for
    the Latin script and nothing for others.

    Example:
        >>> read(["Der Hund und die Katze sind nicht im Haus."]).language
        'de'
    """
    letters = _letters(texts)
    total = sum(letters.values())
    if not total:
        return Reading(None, "", 0.0, False)
    kana = letters.pop("Hiragana", 0) + letters.pop("Katakana", 0)
    if kana > _KANA * (kana + letters["Han"]):
        letters["Hiragana"] = kana + letters.pop("Han", 0)
    script, count = letters.most_common(1)[0]
    share = count / total
    codes = [code for code, language in LANGUAGES.items() if language.script == script]
    if len(codes) == 1:
        return Reading(codes[0], script, share, True)
    words = Counter(word for text in texts for word in words_of(text))
    hits = {code: sum(words[word] for word in _common(code)) for code in codes}
    best = max(codes, key=lambda code: hits[code]) if codes else None
    if best is not None and hits[best] >= max(_LEAST_HITS, _LEAST_SHARE * words.total()):
        return Reading(best, script, share, True)
    return Reading("en" if script == "Latin" else None, script, share, False)


@cache
def _common(code: str) -> frozenset[str]:
    return frozenset(words_of(LANGUAGES[code].common))


def _letters(texts: Sequence[str]) -> Counter[str]:
    """Number of letters of each script."""
    hits: Counter[str] = Counter()
    for letter, count in Counter(normalized("\n".join(texts))).items():
        if letter.isalpha():
            match = _scripts().match(letter)
            hits[match.lastgroup if match else "other"] += count
    return hits
