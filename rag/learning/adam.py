"""Gradient descent with a rate for each parameter (Adam: Kingma and Ba 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag.candidates import Floats

__all__ = ["Adam"]

_DECAYS = (0.9, 0.999)
_TINY = 1e-8


class Adam:
    """Changes arrays in place, against the mean of their gradients.

    Args:
        arrays: The parameters, float32.
        learning_rate: Length of a step.

    Example:
        >>> weights = np.ones(2, dtype=np.float32)
        >>> Adam([weights], learning_rate=0.1).step([np.float32([3.0, -5.0])])
        >>> weights.tolist()
        [0.9, 1.1]
    """

    def __init__(self, arrays: Sequence[Floats], *, learning_rate: float) -> None:
        self._arrays, self._rate, self._steps = arrays, learning_rate, 0
        self._means = [np.zeros((2, *array.shape), dtype=np.float32) for array in arrays]

    def step(self, slopes: Sequence[Floats]) -> None:
        """Take one step.

        Args:
            slopes: Gradient of the loss by each array.
        """
        self._steps += 1
        for array, means, slope in zip(self._arrays, self._means, slopes, strict=True):
            for mean, decay, value in zip(means, _DECAYS, (slope, slope * slope), strict=True):
                mean *= decay
                mean += (1 - decay) * value
            first, second = (mean / (1 - decay**self._steps) for mean, decay in zip(means, _DECAYS, strict=True))
            array -= (self._rate * first / (np.sqrt(second) + _TINY)).astype(np.float32)
