"""Vectors of the last queries, for those that ask again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from rag.candidates import Vectors

__all__ = ["RecentVectors"]

_MOST = 1024
"""Vectors that are remembered: 1.5 MiB of 384 dimensions."""


class RecentVectors:
    """Vectors of the most recent queries, by embedder and text; for any number of threads.

    Args:
        most: Largest number of vectors to keep.

    Example:
        >>> recent = RecentVectors()
        >>> def embed(texts):
        ...     print("embedding", texts)
        ...     return np.array([[len(text)] for text in texts], dtype=np.float32)
        >>> recent.through("lengths", ["a", "bc"], embed).tolist()
        embedding ['a', 'bc']
        [[1.0], [2.0]]
        >>> recent.through("lengths", ["bc", "def"], embed).tolist()
        embedding ['def']
        [[2.0], [3.0]]
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._vectors: OrderedDict[tuple[str, str], Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def through(self, embedder: str, texts: Sequence[str], embed: Callable[[list[str]], Vectors]) -> Vectors:
        """Vectors of texts, float32 [n, d]: those that are remembered, and those that ``embed`` gives for the others.

        Args:
            embedder: Fingerprint of the embedder.
            texts: The texts.
            embed: Gives vectors, float32 [k, d]; called once, and not where all are remembered.
        """
        with self._lock:
            remembered = {text: self._get((embedder, text)) for text in texts}
        missing = [text for text, vector in remembered.items() if vector is None]
        if missing:
            new = embed(missing)
            remembered.update(zip(missing, new, strict=True))
            with self._lock:
                for text, vector in zip(missing[-self._most :], new[-self._most :], strict=True):
                    self._vectors[embedder, text] = vector.copy()  # not all of a large batch with it
                while len(self._vectors) > self._most:
                    self._vectors.popitem(last=False)
        return np.stack([vector for text in texts if (vector := remembered[text]) is not None])

    def __reduce__(self) -> tuple[type[RecentVectors], tuple[int]]:
        return RecentVectors, (self._most,)  # a copy begins with nothing

    def _get(self, key: tuple[str, str]) -> Vectors | None:
        if key in self._vectors:
            self._vectors.move_to_end(key)
        return self._vectors.get(key)
