"""Text analysis: the words of a text, for all components that match words."""

from rag.text.normal import is_blank, normalized
from rag.text.words import words_of

__all__ = ["is_blank", "normalized", "words_of"]
