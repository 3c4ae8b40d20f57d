"""Options for reading files, and the record of unreadable parts."""

from __future__ import annotations

import codecs
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from rag.errors import ConfigError, DataError, did_you_mean
from rag.formats.base import NOTICES, format_of
from rag.formats.units import Unit
from rag.remarks import MAX_EXAMPLES, Remarks

if TYPE_CHECKING:
    from rag.store.store import Store

__all__ = ["OnError", "Reading"]

logger = logging.getLogger("rag.corpus")

OnError = Literal["report", "stop", "skip"]
"""At what cannot be read. ``report``: a row ends with an error; a document, which is a file of its own, is left out and
counted, and the command goes on to its end and exit code 1. ``stop``: either ends with an error. ``skip``: either is
left out and counted."""

_SEPARATORS = {"tab": "\t", "\\t": "\t"}
"""What a shell or a YAML file may call a character that is hard to type."""


@dataclass
class Reading:
    """Options of reading, and the problems noticed in it.

    Args:
        separator: Character between the cells of CSV and TSV files, ``tab`` for a tab; None takes a comma, in TSV a
            tab.
        encoding: Encoding of text files, one of Python's names. A byte order mark is dropped whatever it is.
        columns: Names of the columns of a CSV or TSV file whose first line is a row already.
        on_error: What happens at a row or file that cannot be read: see :data:`OnError`.
        unit: What is one document of a file that holds texts: see :data:`rag.formats.units.Unit`.
        store: Cache of converted files.
        remarks: Remarks of :meth:`finish` and the readers on skipped parts.

    Raises:
        ConfigError: An option has a value that it cannot have.
    """

    separator: str | None = None
    encoding: str = "utf-8"
    columns: Sequence[str] | None = None
    on_error: OnError = "report"
    unit: Unit = "file"
    store: Store | None = None
    remarks: Remarks = field(default_factory=Remarks)
    where: str = ""
    """Origin of the document that was read last, as ``file:line``."""
    n_read: int = 0
    """Documents read so far."""
    n_blank: int = 0
    """Rows so far in which every cell is empty."""
    n_converted: int = 0
    """Files so far that readers have made documents of, or had before."""
    n_kept: int = 0
    """Files so far whose documents were taken from the store."""

    def __post_init__(self) -> None:
        self._counts: dict[str, tuple[int, list[str]]] = {}
        self._hidden: dict[str, tuple[int, list[str]]] = {}
        self.given_encoding = None if self.encoding == "utf-8" else self.encoding
        """The encoding of texts where the user has named one; None leaves it to readers."""
        self._skipped: dict[str, list[str]] = {"rows": [], "files": []}
        self._n_skipped = {"rows": 0, "files": 0}
        if self.separator is not None:
            self.separator = _SEPARATORS.get(self.separator, self.separator)
            if len(self.separator) != 1 or self.separator in '"\r\n':
                rule = "must be one character (a tab may be written tab), no quote and no line end"
                raise ConfigError(f"{rule}, got {self.separator!r}", parameter="separator")
        try:
            codec = codecs.lookup(self.encoding)
            "".encode(self.encoding)  # refuses codecs from bytes to bytes
        except (LookupError, TypeError, ValueError):
            usual = did_you_mean(str(self.encoding), ["utf-8", "utf-16", "latin-1", "cp1252", "shift_jis", "gb18030"])
            raise ConfigError(f"unknown encoding '{self.encoding}'{usual}", parameter="encoding") from None
        # The mark is dropped anyway; this codec would drop one at the start of every line.
        self.encoding = "utf-8" if codec.name == "utf-8-sig" else codec.name
        if self.on_error not in get_args(OnError):
            raise ConfigError(f"must be 'report', 'stop' or 'skip', got {self.on_error!r}", parameter="on_error")
        if self.unit not in get_args(Unit):
            raise ConfigError(f"must be 'file', 'section' or 'page', got {self.unit!r}", parameter="unit")

    def fail(self, error: DataError, *, unit: Literal["rows", "files", "documents"] = "rows") -> None:
        """Raise the error, or count the row or file that it is about and let reading go on.

        Args:
            error: The error.
            unit: What with: a row, a file of rows, or a file that is one of many documents.
        """
        if self.on_error == "stop" or (self.on_error == "report" and unit != "documents"):
            raise error
        unit = "files" if unit == "documents" else unit
        self._n_skipped[unit] += 1
        if len(self._skipped[unit]) < MAX_EXAMPLES:
            self._skipped[unit].append(str(error))

    def count(self, code: str, n: int, where: str) -> None:
        """Count what a reader could not read of a file: see :data:`rag.formats.base.NOTICES`."""
        total, examples = self._counts.setdefault(code, (0, []))
        self._counts[code] = (total + n, examples if len(examples) >= MAX_EXAMPLES else [*examples, where])

    def hide(self, column: str, where: str) -> None:
        """Count a column whose value gives way to that of a field of the same name under ``metadata``."""
        n, examples = self._hidden.setdefault(column, (0, []))
        self._hidden[column] = (n + 1, examples if len(examples) >= MAX_EXAMPLES else [*examples, where])

    def left_out(self, path: str, names: Sequence[str], n_all: int) -> None:
        """Remark on files in an archive or folder that no reader reads."""
        by_suffix = Counter(format_of(name) or "without suffix" for name in names)
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in by_suffix.most_common())
        message = f"{path}: {len(names)} of {n_all} files were not read: {kinds}"
        self.remarks.add("files_not_read", message, count=len(names), total=n_all, examples=names)

    @property
    def n_skipped(self) -> int:
        """Rows and files skipped so far."""
        return sum(self._n_skipped.values())

    def finish(self) -> Remarks:
        """Add and log remarks on skipped rows and files, once everything is read."""
        for unit, examples in self._skipped.items():
            if n := self._n_skipped[unit]:
                total = self.n_read + n if unit == "rows" else None
                of, partly = (f" of {total}", "") if total else ("", ", or not to their end,")
                message = f"{n}{of} {unit} could not be read{partly} and were skipped: "
                message += "; ".join(examples) + ("; ..." if n > len(examples) else "")
                self.remarks.add(f"{unit}_skipped", message, count=n, total=total, examples=examples)
        for code, (n, examples) in self._counts.items():
            such = f" (in {', '.join(examples[:3])}{', ...' if len(examples) > 3 else ''})"
            self.remarks.add(code, f"{n} {NOTICES.get(code, code)}{such}", count=n, examples=examples)
        for column, (n, examples) in self._hidden.items():
            message = f"in {n} rows the column '{column}' gave way to a field of that name under 'metadata'"
            message += f" (such as {examples[0]}): give one of them another name"
            self.remarks.add("columns_hidden", message, count=n, total=self.n_read, examples=examples)
        if self.n_blank:
            self.remarks.add(
                "rows_blank", f"{self.n_blank} rows have only empty cells and were left out", count=self.n_blank
            )
        for remark in self.remarks:
            logger.warning("%s", remark)
        return self.remarks
