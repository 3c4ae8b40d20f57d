"""The metadata of a corpus by column, so that a condition on a million documents is a few operations on arrays."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rag.candidates import Ints
from rag.conditions import Condition, Mask, condition_key, matching
from rag.errors import DataError, did_you_mean

__all__ = ["Field", "Fields"]

_REMEMBERED = 256
"""Masks kept: a byte per document each."""


class Field:
    """The values of one field: numbers, texts and truth values, each with the document it is of.

    Args:
        name: Of the field.
        n_documents: In the corpus.
        numbers: (document, value) pairs; likewise ``texts`` and ``truths``. Documents may occur more than once.
        others: Documents with something that cannot be compared: a mapping, or null inside a list.
    """

    def __init__(
        self,
        name: str,
        n_documents: int,
        numbers: list[tuple[int, float]],
        texts: list[tuple[int, str]],
        truths: list[tuple[int, bool]],
        others: list[int],
    ) -> None:
        self.name = name
        self.n_documents = n_documents
        self._numbers = _sorted(numbers, np.float64 if all(_is_exact(one) for _, one in numbers) else object)
        self._texts = _sorted(texts, np.dtypes.StringDType())
        self._truths = _sorted(truths, np.bool_)
        self.present = np.zeros(n_documents, dtype=bool)
        for documents, _ in (self._numbers, self._texts, self._truths):
            self.present[documents] = True
        self.present[np.array(others, dtype=np.int64)] = True

    @property
    def kinds(self) -> list[str]:
        """What it holds: ``numbers``, ``texts``, ``truth values``."""
        columns = {"numbers": self._numbers, "texts": self._texts, "truth values": self._truths}
        return [kind for kind, (documents, _) in columns.items() if len(documents)]

    def equal(self, wanted: Collection[Any]) -> Mask:
        """Documents with one of these values.

        Raises:
            DataError: None of the values is of a kind the field holds.
        """
        mask = np.zeros(self.n_documents, dtype=bool)
        for value in wanted:
            documents, values = self._column(value)
            first, last = _place(values, value, "left"), _place(values, value, "right")
            mask[documents[first:last]] = True
        return mask

    def ordered(self, compare: Callable[[Any, Any], Any], wanted: Any) -> Mask:
        """Documents with a value for which ``compare(value, wanted)``, one of ``operator``'s orders, holds.

        Raises:
            DataError: The field holds no values of this kind.
        """
        documents, values = self._column(wanted)
        # Values are sorted: what passes is one run of them at either end.
        below = compare(0, 1)
        with_equal = compare(0, 0)
        cut = _place(values, wanted, "right" if below == with_equal else "left")
        mask = np.zeros(self.n_documents, dtype=bool)
        mask[documents[:cut] if below else documents[cut:]] = True
        return mask

    def order(self) -> Ints:
        """Positions of all documents by this field's number, ascending; documents without one come last.

        Raises:
            DataError: The field holds other things than one number a document.
        """
        documents, values = self._numbers
        if self.kinds != ["numbers"] or len(np.unique(documents)) < len(documents):
            raise DataError(
                f"cannot sort by '{self.name}': it must be one number a document, and holds {self._holds()}"
            )
        key = np.full(self.n_documents, np.inf)
        key[documents] = np.arange(len(values))
        return np.argsort(key, kind="stable")

    def numbers(self) -> npt.NDArray[np.float64]:
        """The number of each document, float64 [n_documents]; the largest of several, NaN where there is none."""
        documents, values = self._numbers
        column = np.full(self.n_documents, np.nan)
        column[documents] = values.astype(np.float64)  # ascending: the last written is the largest
        return column

    def _column(self, value: Any) -> tuple[Ints, npt.NDArray[Any]]:
        kind = "truth values" if isinstance(value, bool) else "texts" if isinstance(value, str) else "numbers"
        if kind not in self.kinds:
            raise DataError(
                f"filter: the field '{self.name}' holds {self._holds()}, it cannot be compared with {value!r}"
            )
        documents, values = {"numbers": self._numbers, "texts": self._texts, "truth values": self._truths}[kind]
        return documents, values if isinstance(value, str) or _is_exact(value) else values.astype(object)

    def _holds(self) -> str:
        return " and ".join(self.kinds) or "nothing that can be compared"


class Fields:
    """All fields of a corpus.

    Args:
        metadata: Of every document, as JSON.
    """

    def __init__(self, metadata: Iterable[str]) -> None:
        columns: dict[str, tuple[list[Any], list[Any], list[Any], list[int]]] = {}
        document = -1
        for document, text in enumerate(metadata):
            if text != "{}":
                _collect("", json.loads(text), document, columns)
        self.n_documents = document + 1
        self._fields = {name: Field(name, self.n_documents, *lists) for name, lists in columns.items()}
        self._masks = lru_cache(maxsize=_REMEMBERED)(self._mask)

    def __iter__(self) -> Any:
        return iter(self._fields.values())

    def field(self, name: str) -> Field:
        """A field by name.

        Raises:
            DataError: No document has it.
        """
        if name not in self._fields:
            known = f"; there are {', '.join(sorted(self._fields))}" if self._fields else "; there is no metadata"
            raise DataError(f"filter: no document has the field '{name}'{did_you_mean(name, self._fields) or known}")
        return self._fields[name]

    def mask(self, condition: Condition) -> Mask:
        """The documents that pass a condition, bool [n_documents]; read-only, and remembered.

        Raises:
            ConfigError: It is no condition.
            DataError: A field that no document has, or of another kind.
        """
        return self._masks(condition_key(condition))

    def _mask(self, key: str) -> Mask:
        mask = matching(json.loads(key), self)
        mask.flags.writeable = False
        return mask


def _collect(prefix: str, metadata: Mapping[str, Any], document: int, columns: dict[str, Any]) -> None:
    for key, value in metadata.items():
        name = prefix + key
        if isinstance(value, Mapping):
            _collect(f"{name}.", value, document, columns)
            continue
        if value is None:
            continue  # as if it were not there
        numbers, texts, truths, others = columns.setdefault(name, ([], [], [], []))
        if isinstance(value, list) and not value:
            others.append(document)
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, bool):
                truths.append((document, one))
            elif isinstance(one, (int, float)) and one == one:
                numbers.append((document, one))
            elif isinstance(one, str):
                texts.append((document, one))
            else:
                others.append(document)


def _is_exact(number: Any) -> bool:
    """Whether float64 has this very number: ids and nanoseconds may be too large, and are compared as Python does."""
    return isinstance(number, float) or -(1 << 53) <= number <= 1 << 53


def _sorted(pairs: list[tuple[int, Any]], dtype: Any) -> tuple[Ints, npt.NDArray[Any]]:
    """Documents and values in the order of the values."""
    documents = np.fromiter((document for document, _ in pairs), dtype=np.int64, count=len(pairs))
    values = np.array([value for _, value in pairs], dtype=dtype)
    order = np.argsort(values, kind="stable")
    return documents[order], values[order]


def _place(values: npt.NDArray[Any], wanted: Any, side: Literal["left", "right"]) -> int:
    """Where a value belongs in a sorted column."""
    if isinstance(wanted, str):
        # NumPy's own search is wrong, or fails, where texts are longer than 15 bytes: numpy/numpy#31533.
        return (bisect_left if side == "left" else bisect_right)(values, wanted)
    return int(np.searchsorted(values, wanted, side))
