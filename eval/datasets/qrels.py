"""Judgment files: BEIR's three columns or TREC's four."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

from rag.corpus.readers import iter_lines
from rag.errors import DataError

__all__ = ["MOST", "Judgments", "grade_of", "read_qrels"]

MOST = 10_000
"""The highest grade. trec_eval goes through all levels up to the highest one: for a grade of 10^5 its nDCG takes two
seconds a query, for 2^31 it takes 16 GB. Any negative grade is as good as 0 to it, or as not judged.
"""

_HEADERS = ("score", "relevance", "grade", "rel")
"""What the last column of a header is called."""


class Judgments(dict[str, dict[str, int]]):
    """Grade by document id by query id, as they are read, and where each id was first named.

    A query with no document at all is known to have nothing relevant.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queries_at: dict[str, str] = {}
        self.documents_at: dict[str, str] = {}

    def add(self, query: str, document: str, grade: Any, where: str) -> None:
        """Add a judgment.

        Args:
            query: The query's id.
            document: The document's id; empty says that nothing answers the query.
            grade: As it stands in the file; None is 1, without a document 0.
            where: The row, for messages.

        Raises:
            DataError: The grade is no whole number, or something else was said of the same pair.
        """
        value = grade_of((1 if document else 0) if grade is None else grade, where)
        judged = self.setdefault(query, {})
        self.queries_at.setdefault(query, where)
        if not document:
            if value > 0:
                raise DataError(f"{where}: query '{query}' has a grade above 0, {value}, for a document without an id")
            return
        earlier = judged.setdefault(document, value)
        if earlier != value:
            raise DataError(f"{where}: document '{document}' is judged {value} for query '{query}', before {earlier}")
        self.documents_at.setdefault(document, where)

    def of(self, queries: Container[str]) -> Judgments:
        """Those of some queries."""
        some = Judgments()
        some.update({query: judged for query, judged in self.items() if query in queries})
        some.queries_at, some.documents_at = self.queries_at, self.documents_at
        return some


def read_qrels(path: Path) -> Judgments:
    """Judgments of a file: ``query document grade`` (BEIR, with a header) or ``query 0 document grade`` (TREC).

    Columns are separated by tabs, and then ids are taken as they are written, blanks included; in a line without a tab
    by blanks. Between tabs the document may be left out, with grade 0: nothing answers the query.

    Raises:
        DataError: Unreadable, no judgment at all, or a line that is neither; the message says which.
    """
    found = Judgments()
    for number, (where, line) in enumerate(iter_lines(path)):
        fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        grade = fields[-1].strip()
        if number == 0 and grade.lower() in _HEADERS:
            continue
        if len(fields) not in (3, 4):
            commas = "; they are separated by tabs or blanks, not by commas" if line.count(",") in (2, 3) else ""
            raise DataError(
                f"{where}: expected 3 columns (query, document, grade) or TREC's 4, got {len(fields)}{commas}"
            )
        query, document = fields[0], fields[-2]
        if not query.strip():
            raise DataError(f"{where}: the query has no id")
        try:
            found.add(query, document, grade, where)
        except DataError as error:
            if number == 0 and grade.isidentifier() and grade.lower() not in ("nan", "inf", "infinity"):
                raise DataError(
                    f"{error}; the line looks like a header: call its last column {', '.join(_HEADERS[:-1])} or "
                    f"{_HEADERS[-1]}, or leave it out"
                ) from None
            raise
    if not found:
        raise DataError(f"{path}: is empty: no judgments")
    return found


def grade_of(value: Any, where: str) -> int:
    """A grade as it stands in a file; ``1.0`` is 1.

    Raises:
        DataError: It is no whole number, or out of range.
    """
    try:
        number = float(value)
        grade = int(number)
        if grade != number:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: the grade must be a whole number, got '{value}'") from None
    if not -1 << 31 <= grade <= MOST:
        raise DataError(
            f"{where}: the grade {grade} is out of range: trec_eval's measures take time and memory for every level up "
            f"to the highest, which may be {MOST}"
        )
    return grade
