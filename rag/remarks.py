"""Remarks: the ledger of what was cut, skipped, empty, unreadable or left out.

Code that leaves something out adds a remark with its count; index, evaluation, report, ``metrics.json`` and the log
show the same list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from rag.display import Part, Shown, Table

__all__ = ["MAX_EXAMPLES", "Remark", "Remarks"]

MAX_EXAMPLES = 10
"""Examples kept of each remark: enough to find the cause, few enough to print."""


@dataclass(frozen=True)
class Remark:
    """A loss or an oddity, counted.

    Args:
        code: Stable name of its kind for programs, such as ``rows_skipped``.
        message: The sentence for people, with the numbers.
        count: Number of items that it concerns.
        total: Number of all items; None if there is no such number.
        examples: The first few items: ids, or ``file:line``.
    """

    code: str
    message: str
    count: int = 1
    total: int | None = None
    examples: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The remark as JSON values."""
        return {
            "code": self.code,
            "message": self.message,
            "count": self.count,
            "total": self.total,
            "examples": list(self.examples),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Remark:
        """The remark that :meth:`as_dict` wrote."""
        return cls(**{**values, "examples": tuple(values.get("examples", ()))})

    def __str__(self) -> str:
        return self.message


class Remarks(Shown):
    """An ordered collection of remarks; the same sentence is kept once.

    Example:
        >>> remarks = Remarks()
        >>> remarks.add("empty_texts", "2 of 10 documents have no text", count=2, total=10, examples=["a", "b"])
        >>> remarks.messages
        ['2 of 10 documents have no text']
    """

    def __init__(self, remarks: Iterable[Remark] = ()) -> None:
        self._remarks: dict[str, Remark] = {}
        self.extend(remarks)

    def add(
        self, code: str, message: str, *, count: int = 1, total: int | None = None, examples: Sequence[str] = ()
    ) -> None:
        """Add a remark; see :class:`Remark`. More examples than :data:`MAX_EXAMPLES` are dropped."""
        self.extend([Remark(code, message, count, total, tuple(examples[:MAX_EXAMPLES]))])

    def extend(self, remarks: Iterable[Remark]) -> None:
        """Add several remarks."""
        for remark in remarks:
            self._remarks.setdefault(remark.message, remark)

    @property
    def messages(self) -> list[str]:
        """The messages alone."""
        return list(self._remarks)

    def as_dicts(self) -> list[dict[str, Any]]:
        """All remarks as JSON values."""
        return [remark.as_dict() for remark in self]

    def __iter__(self) -> Iterator[Remark]:
        return iter(self._remarks.values())

    def __len__(self) -> int:
        return len(self._remarks)

    @overload
    def __getitem__(self, index: int) -> Remark: ...
    @overload
    def __getitem__(self, index: slice) -> list[Remark]: ...
    def __getitem__(self, index: int | slice) -> Remark | list[Remark]:
        return list(self._remarks.values())[index]

    def _summary(self) -> list[str]:
        messages = self.messages
        more = [f"… {len(messages) - 4:,} more"] if len(messages) > 5 else []
        return [f"Remarks: {len(self):,}", *(messages[:4] if more else messages), *more]

    def _details(self) -> list[Part]:
        rows = [[remark.message, remark.count, ", ".join(remark.examples)] for remark in self]
        return [Table(["remark", "count", "examples"], rows)] if rows else []
