"""Text analysis: what is a word, whoever matches words."""

from rag.text.normal import is_blank, normalized
from rag.text.words import words_of

__all__ = ["is_blank", "normalized", "words_of"]
