"""How files are read, and the account of what could not be."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from rag.errors import ConfigError, DataError, did_you_mean
from rag.remarks import MAX_EXAMPLES, Remarks

__all__ = ["OnError", "Reading"]

logger = logging.getLogger("rag.corpus")

OnError = Literal["stop", "skip"]
"""At a row or file that cannot be read: ``stop`` with an error, or ``skip`` and count it."""

_SEPARATORS = {"tab": "\t", "\\t": "\t"}
"""What a shell or a YAML file may call a character that is hard to type."""


@dataclass
class Reading:
    """Options of reading, and what was noticed on the way.

    Args:
        separator: Character between the cells of CSV and TSV files, ``tab`` for a tab; None takes a comma, in TSV a
            tab.
        encoding: Encoding of text files, one of Python's names. A byte order mark is dropped whatever it is.
        columns: Names of the columns of a CSV or TSV file whose first line is a row already.
        on_error: ``stop`` raises at the first row or file that cannot be read; ``skip`` goes past it and counts it.
        remarks: Where :meth:`finish` and the readers put what was left out.

    Raises:
        ConfigError: An option has a value that it cannot have.
    """

    separator: str | None = None
    encoding: str = "utf-8"
    columns: Sequence[str] | None = None
    on_error: OnError = "stop"
    remarks: Remarks = field(default_factory=Remarks)
    where: str = ""
    """Origin of the document that was read last, as ``file:line``."""
    n_read: int = 0
    """Documents read so far."""
    n_blank: int = 0
    """Rows so far in which every cell is empty."""

    def __post_init__(self) -> None:
        self._skipped: dict[str, list[str]] = {"rows": [], "files": []}
        self._n_skipped = {"rows": 0, "files": 0}
        if self.separator is not None:
            self.separator = _SEPARATORS.get(self.separator, self.separator)
            if len(self.separator) != 1 or self.separator in '"\r\n':
                rule = "must be one character (a tab may be written tab), no quote and no line end"
                raise ConfigError(f"{rule}, got {self.separator!r}", parameter="separator")
        try:
            known = codecs.lookup(self.encoding)
            "".encode(self.encoding)  # refuses codecs from bytes to bytes
        except (LookupError, TypeError, ValueError):
            usual = did_you_mean(str(self.encoding), ["utf-8", "utf-16", "latin-1", "cp1252", "shift_jis", "gb18030"])
            raise ConfigError(f"unknown encoding '{self.encoding}'{usual}", parameter="encoding") from None
        # The mark is dropped anyway; this codec would drop one at the start of every line.
        self.encoding = "utf-8" if known.name == "utf-8-sig" else known.name
        if self.on_error not in get_args(OnError):
            raise ConfigError(f"must be 'stop' or 'skip', got {self.on_error!r}", parameter="on_error")

    def fail(self, error: DataError, *, unit: Literal["rows", "files"] = "rows") -> None:
        """Raise the error, or count the row or file that it is about and let reading go on."""
        if self.on_error == "stop":
            raise error
        self._n_skipped[unit] += 1
        if len(self._skipped[unit]) < MAX_EXAMPLES:
            self._skipped[unit].append(str(error))

    @property
    def n_skipped(self) -> int:
        """Rows and files skipped so far."""
        return sum(self._n_skipped.values())

    def finish(self) -> Remarks:
        """Add and log remarks on what was skipped, once everything is read."""
        for unit, examples in self._skipped.items():
            if n := self._n_skipped[unit]:
                total = self.n_read + n if unit == "rows" else None
                of, partly = (f" of {total}", "") if total else ("", ", or not to their end,")
                message = f"{n}{of} {unit} could not be read{partly} and were skipped: "
                message += "; ".join(examples) + ("; ..." if n > len(examples) else "")
                self.remarks.add(f"{unit}_skipped", message, count=n, total=total, examples=examples)
        if self.n_blank:
            self.remarks.add(
                "rows_blank", f"{self.n_blank} rows have only empty cells and were left out", count=self.n_blank
            )
        for remark in self.remarks:
            logger.warning("%s", remark)
        return self.remarks
