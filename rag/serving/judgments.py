"""Judgments made by people, saved as qrels that a dataset reads."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path

from rag.errors import DataError, system_message
from rag.store.writing import replace_file

__all__ = ["Judgments"]

_HEADER = "query-id\tcorpus-id\tscore\n"
_SEPARATORS = ("\t", "\n", "\r")


class Judgments:
    """Grades by query and document in a file of BEIR's three columns. Each mark writes it anew, whole or not at all.

    The texts of queries without an id of their own are kept beside it, in ``NAME.queries.jsonl``; their ids are made of
    the texts, so that a question asked twice is one query.

    Args:
        file: New, or one that was written earlier: then it is added to.
        known: Judgments of queries that have ids of their own, to begin with; None makes ids of texts.

    Raises:
        DataError: The file is there and holds something else.
    """

    def __init__(self, file: Path, known: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self.file, self._texts_file = file, file.with_suffix(".queries.jsonl")
        self._lock = threading.Lock()
        self._named = known is not None
        self._texts: dict[str, str] = {} if self._named else _read_texts(self._texts_file)
        begun = _read_grades(file)
        self._grades = {
            query: {**(known or {}).get(query, {}), **begun.get(query, {})} for query in [*(known or {}), *begun]
        }
        file.parent.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return sum(map(len, self._grades.values()))

    @staticmethod
    def id_of(text: str) -> str:
        """The id of a query that has none of its own."""
        return f"q-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def of(self, query: str) -> dict[str, int]:
        """Grade by document id of a query, by its id."""
        return dict(self._grades.get(query, {}))

    def mark(self, query: str, document: str, grade: int | None, *, text: str = "") -> None:
        """Keep a judgment. It is on the disk when this returns.

        Args:
            query: The query's id.
            document: The document's id.
            grade: 0 for not relevant, 1 and 2 for relevant and very much so; None takes a judgment back.
            text: Text of the query, if its id was made from it.

        Raises:
            DataError: An id holds a tab or the end of a line, which no line of qrels can hold; or the file cannot be
                written.
        """
        for id in (query, document):
            if any(separator in id for separator in _SEPARATORS) or not id:
                raise DataError("an id with a tab or the end of a line cannot be written into qrels")
        with self._lock:
            grades = {id: dict(judged) for id, judged in self._grades.items()}
            if grade is None:
                grades.get(query, {}).pop(document, None)
            else:
                grades.setdefault(query, {})[document] = grade
            try:
                if not self._named and query not in self._texts:
                    texts = {**self._texts, query: text}
                    rows = (json.dumps({"_id": id, "text": said}, ensure_ascii=False) for id, said in texts.items())
                    replace_file(self._texts_file, "".join(f"{row}\n" for row in rows))
                    self._texts = texts
                replace_file(self.file, _HEADER + "".join(_lines(grades)))
            except OSError as error:
                raise DataError(f"the judgment cannot be saved: {system_message(error)}") from None
            self._grades = grades


def _lines(grades: dict[str, dict[str, int]]) -> list[str]:
    return [f"{query}\t{id}\t{grade}\n" for query, judged in grades.items() for id, grade in judged.items()]


def _read_grades(file: Path) -> dict[str, dict[str, int]]:
    if not file.exists():
        return {}
    grades: dict[str, dict[str, int]] = {}
    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            for line_number, line in enumerate(lines, 1):
                if line == _HEADER:
                    continue
                cells = line.rstrip("\r\n").split("\t")
                if len(cells) != 3 or not cells[2].lstrip("-").isdigit():
                    raise DataError(f"{file}:{line_number}: expected a line of judgments (query-id, corpus-id, score)")
                grades.setdefault(cells[0], {})[cells[1]] = int(cells[2])
    except (OSError, UnicodeDecodeError) as error:
        why = system_message(error) if isinstance(error, OSError) else "it is no text in UTF-8"
        raise DataError(f"{file}: cannot be read: {why}") from None
    return grades


def _read_texts(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
        return {str(row["_id"]): str(row["text"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{file}: cannot be read as queries") from None
