"""Text analysis: what is a word, whoever matches words."""

from rag.text.normal import is_blank, normalised
from rag.text.words import words_of

__all__ = ["is_blank", "normalised", "words_of"]
