"""The value of a field that is most like one which no document has."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["nearest"]

_COMPARED = 5000
"""Texts compared letter by letter: some tens of milliseconds. Of more, those are taken that stand near it in order."""


def nearest(value: Any, values: npt.NDArray[Any]) -> Any:
    """The most similar text, or the closest number; None where nothing is like it.

    Args:
        value: A text or a number.
        values: Of the same kind, ascending, with repetitions.

    Example:
        >>> nearest("englsh", np.array(["english", "french"], dtype=np.dtypes.StringDType()))
        'english'
    """
    if not len(values) or isinstance(value, bool):
        return None
    if not isinstance(value, str):
        position = int(np.searchsorted(values, value))
        closest = min(values[max(position - 1, 0) : position + 1].tolist(), key=lambda other: abs(other - value))
        return int(closest) if isinstance(closest, float) and closest.is_integer() else closest
    texts = np.unique(values)
    if len(texts) > _COMPARED:
        low, high = 0, len(texts)
        while low < high:  # NumPy's own search of texts: see rag.corpus.fields
            middle = (low + high) // 2
            low, high = (middle + 1, high) if texts[middle] < value else (low, middle)
        start = max(0, low - _COMPARED // 2)
        texts = texts[start : start + _COMPARED]
    folded = {str(text).casefold(): str(text) for text in texts}
    near = difflib.get_close_matches(value.casefold(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None
