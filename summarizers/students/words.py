"""Words of conversations as features of students."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.candidates import Floats
from rag.conversation import Turn
from rag.text.words import words_of

__all__ = ["TurnWords"]

_ASKING, _REPLY = np.float32(2**0.5), np.float32(1.0)
"""Lengths of the two blocks beside embeddings of length 1."""


class TurnWords:
    """The words of the asking turn, and those of the other speaker's last turn before it, weighted by tf-idf with
    logarithmic counts.

    Args:
        vectorizers: scikit-learn's vectorizers of the two.
    """

    def __init__(self, vectorizers: tuple[Any, Any]) -> None:
        self._vectorizers = vectorizers

    @classmethod
    def of(cls, conversations: Sequence[tuple[Turn, ...]], limit: int) -> TurnWords:
        """Learn vocabularies, of the most frequent words.

        Args:
            conversations: Their turns, oldest first.
            limit: Largest number of words of each.
        """
        made = []
        for texts in _texts(conversations):
            vectorizer = _vectorizer(max_features=limit)
            try:
                vectorizer.fit(texts)
            except ValueError:  # nothing has a word, as where nobody replies: one that no text has takes its place
                vectorizer = _vectorizer(vocabulary=[""]).fit([""])
            made.append(vectorizer)
        return cls((made[0], made[1]))

    def __call__(self, conversations: Sequence[tuple[Turn, ...]]) -> Floats:
        """Features, float32 [n, words of both]."""
        blocks = zip(self._vectorizers, _texts(conversations), (_ASKING, _REPLY), strict=True)
        return np.concatenate(
            [vectorizer.transform(texts).toarray() * length for vectorizer, texts, length in blocks], axis=1
        ).astype(np.float32, copy=False)

    def save(self, file: Path) -> None:
        """Write the vocabularies and their weights, as JSON."""
        state = [
            {"words": vectorizer.get_feature_names_out().tolist(), "idf": vectorizer.idf_.tolist()}
            for vectorizer in self._vectorizers
        ]
        file.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> TurnWords:
        """Read what :meth:`save` wrote."""
        made = []
        for state in json.loads(file.read_text(encoding="utf-8")):
            vectorizer = _vectorizer(vocabulary=state["words"])
            vectorizer.idf_ = np.array(state["idf"])
            made.append(vectorizer)
        return cls((made[0], made[1]))


def _texts(conversations: Sequence[tuple[Turn, ...]]) -> tuple[list[str], list[str]]:
    replies = [
        next((turn.text for turn in reversed(turns[:-1]) if turn.speaker != turns[-1].speaker), "")
        for turns in conversations
    ]
    return [turns[-1].text for turns in conversations], replies


def _vectorizer(**options: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer=words_of, sublinear_tf=True, dtype=np.float32, **options)
