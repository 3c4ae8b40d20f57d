"""Batches of texts by what they cost: tokens, padding included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rag.candidates import Ints

__all__ = ["WeightedProgress", "default_budget", "token_batches"]

_PER_THREAD = 512
"""Padded tokens of a forward pass for each thread of a CPU: measured best from 384 to 1,024 wide, the activations of a
layer stay in the cache. Batches of 4,096 tokens took 1.5 to 2.5 times as long."""

_ON_A_GPU = 1 << 15
"""Padded tokens of a forward pass on a GPU: 1,024 texts of 32 tokens, or 64 of 512."""


def default_budget(device_type: str) -> int:
    """Padded tokens of a forward pass that suit a processor.

    Args:
        device_type: ``cpu``, ``cuda``, ``mps``.
    """
    if device_type != "cpu":
        return _ON_A_GPU
    import torch

    return _PER_THREAD * min(max(torch.get_num_threads(), 1), 8)


def token_batches(lengths: Sequence[int] | Ints, budget: int, most: int | None = None) -> Iterator[Ints]:
    """Positions of texts in batches, the longest texts first, so that texts of a batch are of like length and the
    slowest come first.

    Args:
        lengths: Tokens of each text.
        budget: Most tokens of a batch, each text counted as long as the batch's longest. A text that is longer is a
            batch of its own.
        most: Most texts of a batch; None for no limit but the budget.

    Example:
        >>> [batch.tolist() for batch in token_batches([3, 9, 4, 2], budget=8)]
        [[1], [2, 0], [3]]
    """
    given = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-given, kind="stable")
    ordered = np.maximum(given[order], 1).tolist()
    first = 0
    while first < len(order):
        size = max(budget // ordered[first], 1)
        if most is not None:
            size = min(size, most)
        yield order[first : first + size]
        first += size


class WeightedProgress:
    """Counts texts by their share of the work: the longest are read first, and would make the rest look slow.

    Args:
        weights: Work of each text, such as its tokens.
        advance: Called with the number of texts done since the last call; None shows nothing.
    """

    def __init__(self, weights: Sequence[int] | Ints, advance: Callable[[int], None] | None) -> None:
        self._weights = np.maximum(np.asarray(weights, dtype=np.int64), 1)
        self._advance = advance
        self._total = max(int(self._weights.sum()), 1)
        self._done = 0.0
        self._texts = 0

    def done(self, rows: Sequence[int] | Ints) -> None:
        """Count the texts at some positions as done."""
        self._add(float(self._weights[rows].sum()))

    def inside(self, rows: Sequence[int] | Ints) -> Callable[[int], None]:
        """The function that counts texts at some positions as they are done, a number at a time."""
        share = float(self._weights[rows].mean())
        return lambda done: self._add(done * share)

    def done_until(self, row: int) -> None:
        """Count all texts before a position as done, however many were counted."""
        self._add(float(self._weights[:row].sum()) - self._done)

    def _add(self, weight: float) -> None:
        if self._advance is None:
            return
        self._done += weight
        texts = int(len(self._weights) * self._done / self._total + 1e-6)
        if texts > self._texts:
            self._advance(texts - self._texts)
            self._texts = texts
