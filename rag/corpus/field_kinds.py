"""What a field of the metadata holds, and what a test of it compares: known without any document."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Literal

from rag.errors import DataError, did_you_mean
from rag.metadata import instant

__all__ = ["KINDS", "FieldKinds", "Kind", "no_such_field"]

Kind = Literal["numbers", "texts", "truth values", "dates"]

KINDS: tuple[Kind, ...] = ("numbers", "texts", "truth values", "dates")

_PART_OF_A_DATE = re.compile(r"\d{4}(-\d\d)?", re.ASCII)


class FieldKinds:
    """A field by the kinds of its values.

    Args:
        name: Of the field.
        kinds: What it holds, or held. A date is a text, too: as it was written; ``texts`` is only named where others
            are among them.
    """

    def __init__(self, name: str, kinds: Collection[str]) -> None:
        self.name = name
        self.kinds: list[Kind] = [kind for kind in KINDS if kind in kinds]

    def kind_of(self, value: Any) -> Kind:
        """The kind that a value asked for is of, in this field."""
        if isinstance(value, bool):
            return "truth values"
        if not isinstance(value, str):
            return "numbers"
        return "dates" if "dates" in self.kinds and instant(value) is not None else "texts"

    def compared(self, value: Any, *, order: bool = False) -> tuple[Kind, Any]:
        """Values of which kind a test compares, and with what: a date as microseconds since 1970 in UTC.

        Args:
            value: What the test wants.
            order: Whether it is a test of order.

        Raises:
            DataError: The field holds no values of this kind.
        """
        kind = self.kind_of(value)
        if order and kind == "texts" and self.kinds == ["dates"] and _PART_OF_A_DATE.fullmatch(value):
            kind, value = "dates", value + "-01-01"[3 * (len(value) > 4) :]
        allowed = self.kinds if order or "dates" not in self.kinds else [*self.kinds, "texts"]
        if kind not in allowed:
            hint = ": write it as 2024-01-31 or 2024-01-31T20:00:00+01:00" if "dates" in self.kinds else ""
            raise DataError(
                f"filter: the field '{self.name}' holds {self.holds()}, it cannot be compared with {value!r}{hint}"
            )
        return kind, instant(value) if kind == "dates" else value

    def check_texts(self, wanted: str) -> None:
        """Refuse to look for a part of a text where there are none.

        Raises:
            DataError: The field holds no texts.
        """
        if "texts" not in self.kinds and "dates" not in self.kinds:
            raise DataError(
                f"filter: the field '{self.name}' holds {self.holds()}, it has no texts to look for {wanted!r} in"
            )

    def holds(self) -> str:
        """The kinds in words."""
        return " and ".join(self.kinds) or "nothing that can be compared"


def no_such_field(name: str, known: Iterable[str]) -> DataError:
    """The error about a field that no document has."""
    names = sorted(known)
    hint = did_you_mean(name, names) or (f"; there are {', '.join(names)}" if names else "; there is no metadata")
    return DataError(f"filter: no document has the field '{name}'{hint}")
