"""From texts to the terms that are matched: words cut, folded, stopped and stemmed in one place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from rag.errors import ConfigError, did_you_mean
from rag.text.blocks import WordBlock, cut_block, word_block
from rag.text.languages import LANGUAGES, STOP_WORD_LISTS, language_named, stop_words
from rag.text.normal import normalized
from rag.text.words import cut

__all__ = ["AUTO", "Analyzer", "check_language", "check_pattern", "check_stemmer", "check_stop_words"]

AUTO = "auto"
"""Value of an argument that leaves the choice to the language, and of ``language``, which leaves it to the texts."""

_TURKIC = ("tr", "az")


class Analyzer:
    """Makes the terms of documents and queries by the same rules.

    Documents and queries become words by :meth:`words` (many at once by :meth:`block`) and :meth:`query_words`; what a
    word counts as, :meth:`term` says, which callers ask once for each word.

    Args:
        language: Code, or None for none: it says which stemmer and stop words ``auto`` means.
        stemmer: Snowball algorithm, ``auto`` or None.
        stopwords: A list's name, words, ``auto`` or None.
        pattern: Regular expression of a word, taken at its word: nothing is normalized and no run is cut into bigrams.
            None has texts normalized and cut by Unicode.
        fold: Fold case.

    Example:
        >>> english = Analyzer("en")
        >>> [english.term(word) for word in english.words("The cafés' menus")]
        [None, 'café', 'menus']
    """

    def __init__(
        self,
        language: str | None,
        *,
        stemmer: str | None = AUTO,
        stopwords: str | Iterable[str] | None = AUTO,
        pattern: str | None = None,
        fold: bool = True,
    ) -> None:
        self.language = language
        language_rules = LANGUAGES.get(language or "")
        self.stemmer = (language_rules.stemmer if language_rules else None) if stemmer == AUTO else stemmer
        if stopwords == AUTO:
            stopwords = language_rules.stop_words if language_rules else None
        self.stop_list = stopwords if isinstance(stopwords, str) else None
        self.pattern = pattern
        self.fold = fold
        self._turkic = language in _TURKIC
        self._find = None if pattern is None else re.compile(pattern).findall
        words = stop_words(stopwords) if isinstance(stopwords, str) else stopwords or ()
        self._stopped = frozenset(words if pattern is not None else map(self.normalized, words))

    def __reduce__(self) -> tuple[Any, ...]:  # the stemmer cannot be pickled
        return _made, (self.language, self.stemmer, self.stop_list, self._stopped, self.pattern, self.fold)

    def normalized(self, text: str) -> str:
        """A text as its words are cut from it."""
        if self._find is not None:
            return text.lower() if self.fold else text
        return normalized(text, fold=self.fold, turkic=self._turkic)

    def words(self, text: str) -> list[str]:
        """The words of a text that is searched, with the letters of spaceless scripts besides their bigrams."""
        text = self.normalized(text)
        return cut(text) if self._find is None else self._find(text)

    def block(self, texts: Sequence[str]) -> WordBlock:
        """The words of many texts that are searched, as :meth:`words` gives them, without Python per word."""
        normal = [self.normalized(text) for text in texts]
        return cut_block(normal) if self._find is None else word_block([self._find(text) for text in normal])

    def query_words(self, text: str) -> list[str]:
        """The words of a query."""
        text = self.normalized(text)
        return cut(text, singles=False) if self._find is None else self._find(text)

    def term(self, word: str) -> str | None:
        """Stem of a word; None for a stop word."""
        return None if word in self._stopped else self._stem(word)

    @cached_property
    def _stem(self) -> Callable[[str], str]:
        if self.stemmer is None:
            return self._dotted if self._turkic else str
        import Stemmer

        stem = Stemmer.Stemmer(self.stemmer).stemWord
        return (lambda word: self._dotted(stem(word))) if self._turkic else stem

    @staticmethod
    def _dotted(word: str) -> str:
        """Replace dotless letters, so that queries typed without a Turkish keyboard match."""
        return word.replace("ı", "i")


def _made(
    language: str | None,
    stemmer: str | None,
    stop_list: str | None,
    stopped: Sequence[str],
    pattern: str | None,
    fold: bool,
) -> Analyzer:
    return Analyzer(language, stemmer=stemmer, stopwords=stop_list or stopped, pattern=pattern, fold=fold)


def check_language(name: str | None) -> str | None:
    """The code of a language argument, ``auto``, or None.

    Raises:
        ConfigError: No such language.
    """
    if name is None or name.strip().lower() == "none":
        return None
    return AUTO if name.strip().lower() == AUTO else language_named(name)


def check_pattern(pattern: str | None) -> None:
    """Refuse a pattern that is not a regular expression for words."""
    if pattern is None:
        return
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ConfigError(f"not a regular expression: {error}", parameter="token_pattern") from None
    if groups > 1:
        raise ConfigError("may have one group (the word) at most: write others as (?:...)", parameter="token_pattern")


def check_stemmer(name: str | None) -> None:
    """Refuse a name that is not a Snowball algorithm."""
    if name is None or name == AUTO:
        return
    from Stemmer import algorithms

    if name not in algorithms():
        hint = _nothing(name) or did_you_mean(name, [AUTO, *algorithms()])
        raise ConfigError(f"unknown stemmer '{name}'{hint}", parameter="stemmer")


def check_stop_words(words: str | Sequence[str] | None) -> None:
    """Refuse the name of no list of stop words."""
    if isinstance(words, str) and words not in (AUTO, *STOP_WORD_LISTS):
        hint = _nothing(words) or f"{did_you_mean(words, [AUTO, *STOP_WORD_LISTS])}, or give a list"
        raise ConfigError(f"no stop words for '{words}'{hint}", parameter="stopwords")


def _nothing(name: str) -> str:
    """A hint for a word that means nothing at all; else empty."""
    return ": for none give null (None in Python)" if name.lower() in ("none", "null", "off", "false", "") else ""
