"""A field of the metadata as sorted columns, so that a test on a million documents is a few operations on arrays."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from rag.candidates import Bools, Ints
from rag.conditions import Mask
from rag.corpus.field_kinds import KINDS, FieldKinds, Kind
from rag.corpus.nearest import nearest
from rag.errors import DataError
from rag.metadata import date_of

__all__ = ["Field", "FieldSummary", "Kind", "is_exact"]


class FieldSummary(NamedTuple):
    """What a field holds.

    Args:
        documents: How many have it.
        values: All that there are, the most frequent first; None where they are too many.
        bounds: The least and the greatest number, or date; None where there is neither.
    """

    documents: int
    values: list[Any] | None
    bounds: tuple[Any, Any] | None


class Field(FieldKinds):
    """The values of one field, each with the document it is of.

    Args:
        name: Of the field.
        n_documents: In the corpus.
        columns: (document, value) pairs by kind; documents may occur more than once. A date is a text, too: as it was
            written, and as microseconds since 1970 in UTC.
        others: Documents with something that cannot be compared: a mapping, or null inside a list.
        known: Kinds that documents had that are there no more.
    """

    def __init__(
        self,
        name: str,
        n_documents: int,
        columns: Mapping[Kind, list[tuple[int, Any]]],
        others: list[int],
        known: Collection[str] = (),
    ) -> None:
        self.n_documents = n_documents
        pairs = {kind: columns.get(kind, []) for kind in KINDS}
        exact = all(is_exact(value) for _, value in pairs["numbers"])
        types = (np.float64 if exact else object, np.dtypes.StringDType(), np.bool_, np.int64)
        self._columns = {kind: _sorted(pairs[kind], dtype) for kind, dtype in zip(KINDS, types, strict=True)}
        only_dates = 0 < len(pairs["texts"]) == len(pairs["dates"])
        held = {kind for kind in KINDS if pairs[kind] and not (kind == "texts" and only_dates)}
        super().__init__(name, {*held, *known})
        self.present = np.zeros(n_documents, dtype=bool)
        for documents, _ in self._columns.values():
            self.present[documents] = True
        self.present[np.array(others, dtype=np.int64)] = True

    def equal(self, wanted: Collection[Any]) -> Mask:
        """Documents with one of these values.

        Raises:
            DataError: None of the values is of a kind the field holds.
        """
        mask = np.zeros(self.n_documents, dtype=bool)
        for value in wanted:
            mask[self._with(value)] = True
        return mask

    def ordered(self, compare: Callable[[Any, Any], Any], wanted: Any) -> Mask:
        """Documents with a value for which ``compare(value, wanted)``, one of ``operator``'s orders, holds.

        Raises:
            DataError: The field holds no values of this kind.
        """
        documents, values, wanted = self._column(wanted, order=True)
        # Values are sorted: what passes is one run of them at either end.
        below = compare(0, 1)
        with_equal = compare(0, 0)
        cut = _place(values, wanted, "right" if below == with_equal else "left")
        mask = np.zeros(self.n_documents, dtype=bool)
        mask[documents[:cut] if below else documents[cut:]] = True
        return mask

    def starting(self, prefix: str) -> Mask:
        """Documents with a text that starts with this one.

        Raises:
            DataError: The field holds no texts.
        """
        documents, values = self._texts(prefix)
        first = bisect_left(values, prefix)
        last = bisect_right(values, prefix, lo=first, key=lambda value: value[: len(prefix)])
        mask = np.zeros(self.n_documents, dtype=bool)
        mask[documents[first:last]] = True
        return mask

    def numbers(self) -> npt.NDArray[np.float64]:
        """The number of each document, float64 [n_documents]; the largest of several, NaN where there is none."""
        documents, values = self._columns["numbers"]
        column = np.full(self.n_documents, np.nan)
        column[documents] = values.astype(np.float64)  # ascending: the last written is the largest
        return column

    def containing(self, part: str) -> Mask:
        """Documents with a text that has this one in it.

        Raises:
            DataError: The field holds no texts.
        """
        documents, values = self._texts(part)
        mask = np.zeros(self.n_documents, dtype=bool)
        mask[documents[np.strings.find(values, part) >= 0]] = True
        return mask

    def order(self) -> Ints:
        """Positions of all documents by this field's number or date, ascending; documents without one come last.

        Raises:
            DataError: The field holds other things than one number, or one date, a document.
        """
        kind: Kind = "dates" if self.kinds == ["dates"] else "numbers"
        documents, values = self._columns[kind]
        if self.kinds != [kind] or len(np.unique(documents)) < len(documents):
            raise DataError(
                f"cannot sort by '{self.name}': it must be one number or one date for each document, and "
                f"holds {self.holds()}"
            )
        key = np.full(self.n_documents, np.inf)
        key[documents] = np.arange(len(values))
        return np.argsort(key, kind="stable")

    def summary(self, alive: Bools | None, *, most: int = 50) -> FieldSummary:
        """What it holds among the documents that were not deleted.

        Args:
            alive: Which documents were not deleted, bool [n_documents]; None when none was.
            most: More values than this are not listed.
        """
        present = self.present if alive is None else self.present & alive
        counts: dict[Any, int] | None = {}
        bounds = None
        for kind in ("numbers", "texts", "truth values"):
            documents, values = self._columns[kind]
            values = values if alive is None else values[alive[documents]]
            first = np.flatnonzero(values[1:] != values[:-1]) + 1
            starts = np.concatenate([np.zeros(min(len(values), 1), dtype=np.int64), first])
            if counts is None or len(counts) + len(starts) > most:
                counts = None
            else:
                sizes = np.diff(np.append(starts, len(values))).tolist()
                counts |= dict(zip([(kind, value) for value in values[starts].tolist()], sizes, strict=True))
            if kind == "numbers" and len(values):
                least, greatest = values[[0, -1]].tolist()
                bounds = _whole(least), _whole(greatest)
        documents, moments = self._columns["dates"]
        moments = moments if alive is None else moments[alive[documents]]
        if bounds is None and "dates" in self.kinds and len(moments):
            bounds = date_of(int(moments[0])), date_of(int(moments[-1]))
        ordered = None if counts is None else sorted(counts, key=lambda key: -counts[key])
        return FieldSummary(int(present.sum()), ordered and [_whole(value) for _, value in ordered], bounds)

    def has(self, value: Any, alive: Bools | None) -> bool:
        """Whether a document that was not deleted has this value.

        Raises:
            DataError: The field holds no values of this kind.
        """
        documents = self._with(value)
        return bool(len(documents) if alive is None else alive[documents].any())

    def nearest(self, value: Any) -> Any:
        """The value of the same kind that is most like this one; None for none."""
        kind = self.kind_of(value)
        return nearest(value, self._columns["texts" if kind == "dates" else kind][1])

    def _with(self, value: Any) -> Ints:
        documents, values, value = self._column(value)
        return documents[_place(values, value, "left") : _place(values, value, "right")]

    def _column(self, value: Any, *, order: bool = False) -> tuple[Ints, npt.NDArray[Any], Any]:
        """Documents and values to compare a value with, and the value as they are."""
        kind, value = self.compared(value, order=order)
        documents, values = self._columns[kind]
        return documents, values if isinstance(value, str) or is_exact(value) else values.astype(object), value

    def _texts(self, wanted: str) -> tuple[Ints, npt.NDArray[Any]]:
        self.check_texts(wanted)
        return self._columns["texts"]


def is_exact(number: Any) -> bool:
    """Whether float64 has this very number: ids and nanoseconds may be too large, and are compared as Python does."""
    return isinstance(number, float) or -(1 << 53) <= number <= 1 << 53


def _whole(value: Any) -> Any:
    """A value as it was written: numbers are kept as float64."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
