"""Judgement files: BEIR's three columns or TREC's four."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rag.corpus.readers import iter_lines
from rag.errors import DataError
from rag.eval.datasets.base import Qrels, Split
from rag.types import Query

__all__ = ["ABSENT", "MOST", "absent_note", "grade_of", "join", "read_qrels"]

ABSENT = "are not in the corpus"
"""Marks the notes of :func:`absent_note`, which are of one division into splits."""

MOST = 10_000
"""The highest grade. trec_eval goes through all levels up to the highest one: for a grade of 10^5 its nDCG takes two
seconds a query, for 2^31 it takes 16 GB. Any negative grade is as good as 0 to it, or as not judged.
"""


def read_qrels(path: Path) -> Qrels:
    """Judgements of a file: ``query document grade`` (BEIR, with a header) or ``query 0 document grade`` (TREC).

    Raises:
        DataError: Unreadable, no judgement at all, or a line that is neither; the message says which.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, (where, line) in enumerate(iter_lines(path)):
        fields = line.split("\t") if "\t" in line else line.split()
        fields = [field.strip() for field in fields]
        if number == 0 and fields[-1].lower() in {"score", "relevance", "grade", "rel"}:
            continue
        if len(fields) == 4:
            query, _, document, grade = fields
        elif len(fields) == 3:
            query, document, grade = fields
        else:
            raise DataError(f"{where}: expected 3 columns (query, document, grade) or TREC's 4, got {len(fields)}")
        value = grade_of(grade, where)
        earlier = qrels.setdefault(query, {}).setdefault(document, value)
        if earlier != value:
            raise DataError(f"{where}: document '{document}' is judged {value} for query '{query}', before {earlier}")
    if not qrels:
        raise DataError(f"{path}: is empty: no judgements")
    return qrels


def grade_of(value: Any, where: str) -> int:
    """A grade as it stands in a file.

    Raises:
        DataError: It is no whole number, or out of range.
    """
    try:
        grade = int(value)
        if isinstance(value, float) and grade != value:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: the grade must be a whole number, got '{value}'") from None
    if not -1 << 31 <= grade <= MOST:
        raise DataError(
            f"{where}: the grade {grade} is out of range: trec_eval's measures take time and memory for every level up "
            f"to the highest, which may be {MOST}"
        )
    return grade


def join(queries: Iterable[Query], qrels: Qrels, known: set[str], name: str, notes: list[str]) -> Split:
    """The judged queries with their judgements; what does not fit together is noted.

    Args:
        queries: All queries, also of other splits.
        qrels: The judgements of this split.
        known: Ids of the documents.
        name: Of the split, for notes.
        notes: Gets a line for each thing noticed.
    """
    judged = [query for query in queries if query.id in qrels]
    lost = len(qrels) - len(judged)
    if lost:
        notes.append(f"{name}: {lost} judged queries are not among the queries and are left out")
    split = Split(judged, {query.id: qrels[query.id] for query in judged})
    notes += absent_note(split, known, name)
    return split


def absent_note(split: Split, known: set[str], name: str) -> list[str]:
    """What to say when judgements of a split name documents that are not there; nothing when none do."""
    named = {document for judged in split.qrels.values() for document in judged}
    absent = named - known
    if not absent:
        return []
    without = sum(
        any(grade > 0 for grade in judged.values())
        and not any(grade > 0 and document in known for document, grade in judged.items())
        for judged in split.qrels.values()
    )
    lone = f"; {without} queries have no other relevant document" if without else ""
    return [
        f"{name}: judgements name {len(absent)} documents, of {len(named)}, that {ABSENT} (such as '{min(absent)}'); "
        f"relevant ones count as missed{lone}"
    ]
