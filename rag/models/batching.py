"""Batches of texts by what they cost: tokens, padding included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rag.candidates import Ints

__all__ = ["TokenProgress", "default_budget", "token_batches"]

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


class TokenProgress:
    """Counts texts by their share of the tokens: the longest are read first, and would make the rest look slow.

    Args:
        lengths: Tokens of each text.
        advance: Called with the number of texts done since the last call; None shows nothing.
    """

    def __init__(self, lengths: Sequence[int] | Ints, advance: Callable[[int], None] | None) -> None:
        self._lengths = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
        self._advance = advance
        self._total = max(int(self._lengths.sum()), 1)
        self._tokens = self._texts = 0

    def done(self, rows: Ints) -> None:
        """Count the texts at some positions as done."""
        if self._advance is None:
            return
        self._tokens += int(self._lengths[rows].sum())
        texts = len(self._lengths) * self._tokens // self._total
        if texts > self._texts:
            self._advance(texts - self._texts)
            self._texts = texts
