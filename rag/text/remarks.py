"""Remarks on texts and the words that are cut from them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.text.analyzer import AUTO
from rag.text.detect import Reading, read
from rag.text.languages import LANGUAGES
from rag.text.words import is_spaceless

__all__ = ["remarks_on"]

_MOST = 0.5


def remarks_on(texts: Sequence[str], language: str | None, pattern: str | None) -> tuple[str | None, list[str]]:
    """The language to take texts for, and what their owner should know about how words are told.

    Args:
        texts: A sample.
        language: Asked for: a code, ``auto`` or None.
        pattern: The regular expression of a word that was asked for, None for the usual rules.
    """
    reading = read(texts)
    chosen = reading.language if language == AUTO else language
    remarks = [_uncut(texts, pattern), _chosen(reading) if language == AUTO else _unlike(reading, language)]
    return chosen, [remark for remark in remarks if remark]


def _chosen(reading: Reading) -> str | None:
    if not reading.script:
        return None
    if reading.language is None:
        return (
            f"language auto: {reading.share:.0%} of the letters are {reading.script}, and nothing shows which language "
            "it is: no stemmer, no stop words"
        )
    language = LANGUAGES[reading.language]
    if not reading.sure:
        return f"language auto: nothing shows which language in {reading.script} letters it is, so {language.name}"
    rest = "" if reading.share > 1 - 0.05 else f"; {1 - reading.share:.0%} of the letters are of other scripts"
    return f"language auto: {language.name} ({reading.language}){rest}"


def _unlike(reading: Reading, language: str | None) -> str | None:
    if language is None or not reading.script or reading.language == language:
        return None
    rules = LANGUAGES[language]
    if rules.script != reading.script and reading.share > _MOST:
        return (
            f"language {language} ({rules.name}) was asked for, but {reading.share:.0%} of the letters are "
            f"{reading.script}: its stemmer and stop words do nothing there"
        )
    if rules.script == reading.script and reading.sure and reading.language is not None:
        return f"language {language} ({rules.name}) was asked for; the texts look like {_name(reading.language)}"
    return None


def _name(code: str) -> str:
    return f"{LANGUAGES[code].name} ({code})"


def _uncut(texts: Sequence[str], pattern: str | None) -> str | None:
    """Why a pattern does not suit the texts."""
    if pattern is None:
        return None
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    if not letters:
        return None
    spaceless = sum(map(is_spaceless, letters)) / len(letters)
    if spaceless > _MOST:
        return (
            f"{spaceless:.0%} of the letters are of scripts without spaces between words, which token_pattern "
            f"{pattern!r} does not cut: whole sentences count as words (leave token_pattern out)"
        )
    find = re.compile(pattern, re.IGNORECASE).findall
    share = sum(letter.isalpha() for text in texts for word in find(text) for letter in word) / len(letters)
    if share < _MOST:
        return f"token_pattern {pattern!r} leaves {1 - share:.0%} of the letters of the texts out of all words"
    return None
