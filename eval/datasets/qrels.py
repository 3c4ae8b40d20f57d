"""Judgment files with BEIR's three or TREC's four columns."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from rag.corpus.readers import Reading, iter_lines
from rag.errors import DataError

__all__ = ["MOST", "Judgments", "grade_of", "read_qrels"]

MOST = 10_000
"""The highest grade allowed. trec_eval loops over all levels up to the highest one: for a grade of 10^5 its nDCG takes
two seconds per query, for 2^31 it takes 16 GB. It treats every negative grade as 0 or as unjudged.
"""

_HEADERS = ("score", "relevance", "grade", "rel")
"""Names of the last column in a header line."""


class Judgments(dict[str, dict[str, int]]):
    """Grades by document id by query id, with the location where each id was first read.

    A query with an empty mapping is known to have nothing relevant.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queries_at: dict[str, str] = {}
        self.documents_at: dict[str, str] = {}

    def add(self, query: str, document: str, grade: Any, location: str) -> None:
        """Add a judgment.

        Args:
            query: The query's id.
            document: The document's id; empty says that nothing answers the query.
            grade: The grade as read; None counts as 1, or as 0 without a document.
            location: File and line, for messages.

        Raises:
            DataError: The grade is not a whole number, or the pair was judged differently before.
        """
        value = grade_of((1 if document else 0) if grade is None else grade, location)
        if not document and value > 0:
            raise DataError(f"{location}: query '{query}' has a grade above 0, {value}, for a document without an id")
        judged = self.setdefault(query, {})
        self.queries_at.setdefault(query, location)
        if not document:
            return
        earlier = judged.setdefault(document, value)
        if earlier != value:
            raise DataError(
                f"{location}: document '{document}' is judged {value} for query '{query}', before {earlier}"
            )
        self.documents_at.setdefault(document, location)

    def of(self, queries: Container[str]) -> Judgments:
        """The judgments of some queries."""
        selected = Judgments()
        selected.update({query: judged for query, judged in self.items() if query in queries})
        selected.queries_at, selected.documents_at = self.queries_at, self.documents_at
        return selected


def read_qrels(path: Path, reading: Reading | None = None) -> Judgments:
    """Judgments of a file: ``query document grade`` (BEIR, with a header) or ``query 0 document grade`` (TREC).

    Columns are separated by tabs, or by blanks in a line without tabs. Between tabs, ids are taken literally, blanks
    included, and the document may be empty with grade 0: nothing answers the query.

    Args:
        path: The file.
        reading: What to do at a line that is wrong; None stops.

    Raises:
        DataError: The file is unreadable or empty, or a line is malformed; the message names the line.
    """
    reading = reading or Reading()
    judgments = Judgments()
    for number, (where, line) in enumerate(iter_lines(path, reading=reading)):
        fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if number == 0 and fields[-1].strip().lower() in _HEADERS:
            continue
        try:
            _add_line(judgments, fields, line, where, first=number == 0)
        except DataError as error:
            reading.fail(error)
        else:
            reading.n_read += 1
    if not judgments:
        raise DataError(f"{path}: is empty: no judgments")
    return judgments


def _add_line(judgments: Judgments, fields: Sequence[str], line: str, where: str, *, first: bool) -> None:
    grade = fields[-1].strip()
    if len(fields) not in (3, 4):
        commas = "; they are separated by tabs or blanks, not by commas" if line.count(",") in (2, 3) else ""
        raise DataError(f"{where}: expected 3 columns (query, document, grade) or TREC's 4, got {len(fields)}{commas}")
    query, document = fields[0], fields[-2]
    if not query.strip():
        raise DataError(f"{where}: the query has no id")
    try:
        judgments.add(query, document, grade, where)
    except DataError as error:
        if first and grade.isidentifier() and grade.lower() not in ("nan", "inf", "infinity"):
            raise DataError(
                f"{error}; the line looks like a header: call its last column {', '.join(_HEADERS[:-1])} or "
                f"{_HEADERS[-1]}, or leave it out"
            ) from None
        raise


def grade_of(value: Any, location: str) -> int:
    """Parse a grade; ``1.0`` is 1.

    Raises:
        DataError: The grade is not a whole number, or out of range.
    """
    try:
        as_float = float(value)
        grade = int(as_float)
        if grade != as_float:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{location}: the grade must be a whole number, got '{value}'") from None
    if not -1 << 31 <= grade <= MOST:
        raise DataError(
            f"{location}: the grade {grade} is out of range: trec_eval's measures take time and memory for every level "
            f"up to the highest, which may be {MOST}"
        )
    return grade
