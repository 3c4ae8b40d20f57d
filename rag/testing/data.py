"""The small corpus and the questions that components are tried on."""

from __future__ import annotations

import numpy as np

from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.types import Document, Query

__all__ = ["DOCUMENTS", "QUERIES", "pieces"]

DOCUMENTS = (
    Document("cat", "The cat sleeps on the warm stove. Cats like warm places."),
    Document("dog", "A dog barks at the postman.\n\nThe postman runs away from the dog."),
    Document("empty", ""),
    Document("fish", "Fish swim in cold water. Some fish live in warm water, and cats like them all."),
    Document("unicode", "Żółw pływa. 猫は寝る。 Der Hund schläft 🐕‍🦺 warm."),
    Document("twin", "The cat sleeps on the warm stove. Cats like warm places."),
    Document("space", " \n\t "),
    Document("tree", "Trees grow slowly; a cat climbs the tree, a dog waits below the tree. Water makes it grow."),
)
"""Every kind of trouble in a small corpus: empty and blank texts, two alike, characters of several bytes."""

QUERIES = tuple(
    Query(str(index), text)
    for index, text in enumerate(("warm cat", "dog and postman", "fish in cold water", "zzyzx qwrtp", "猫 tree"))
)


def pieces(corpus: Corpus, words: int = 5) -> Passages:
    """A corpus in passages of so many words."""
    document, start, end = [], [], []
    for position, text in enumerate(corpus.texts()):
        at = 0
        parts = text.split(" ")
        for first in range(0, len(parts), words):
            length = len(" ".join(parts[first : first + words]))
            document.append(position)
            start.append(at)
            end.append(at + length)
            at += length + 1
    owners, starts, ends = (np.asarray(values, dtype=np.int64) for values in (document, start, end))
    return Passages(corpus, owners, starts, ends, {})
