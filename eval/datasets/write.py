"""Write datasets as folders in BEIR's layout, with a ``dataset.json`` about their origin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rag.arguments import refuses_unknown
from rag.errors import DataError
from rag.eval.datasets.base import Dataset
from rag.eval.datasets.joined import FOUND_AGAIN
from rag.metadata import strict_json
from rag.store.writing import check_place, replaced_folder
from rag.types import Document, Query

__all__ = ["about_of", "check_target", "write_dataset"]

ABOUT = "dataset.json"
"""Name of the file with a dataset's origin; its ``notes`` are shown in reports."""

_FILES = {ABOUT, "corpus.jsonl", "queries.jsonl", "qrels"}


def check_target(folder: Path) -> None:
    """Refuse to write a dataset over other files.

    Raises:
        ArtifactError: The path is a file, or a folder with other content than a dataset written here.
    """
    check_place(
        folder,
        "dataset written by `rag datasets`",
        lambda names: names - _FILES or (() if about_of(folder) else names),
    )


def about_of(folder: Path) -> dict[str, Any]:
    """Read the ``dataset.json`` of a folder written here; empty for files from elsewhere.

    Raises:
        DataError: The file was written here, but its notes are malformed.
    """
    try:
        record = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict) or "made_by" not in record:
        return {}
    notes = record.get("notes")
    if not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
        raise DataError(f"{folder / ABOUT}: 'notes' must be a list of texts")
    return record


@refuses_unknown
def write_dataset(dataset: Dataset, folder: Path, *, about: Mapping[str, Any] | None = None) -> Path:
    """Write a dataset in one atomic step, replacing an earlier one.

    A title at the start of the text is moved into a field of its own and put back by reading. A query without
    judgments has a line without a document: nothing answers it.

    Args:
        dataset: The dataset to write.
        folder: Target folder.
        about: Entries of ``dataset.json``.

    Raises:
        ArtifactError: The folder has other content, or cannot be written.
        DataError: An id contains a tab or a line break, which the format cannot represent.
    """
    folder = folder.resolve()
    check_target(folder)
    notes = [remark.message for remark in dataset.remarks if remark.code not in FOUND_AGAIN]
    splits: dict[str, list[str]] = {}
    for name, split in sorted(dataset.splits.items()):
        lines = [
            f"{_token(query.id)}\t{_token(document)}\t{grade}\n"
            for query in split.queries
            for document, grade in (split.qrels[query.id] or {"": 0}).items()
        ]
        if any(split.qrels.values()):
            splits[name] = lines
    if not splits:
        raise DataError(f"dataset '{dataset.name}' has no judgment to write")
    queries = {query.id: query for _, split in sorted(dataset.splits.items()) for query in split.queries}
    with replaced_folder(folder) as aside:
        (aside / "qrels").mkdir()
        _write(aside / "corpus.jsonl", (_document(document) for document in dataset.corpus))
        _write(aside / "queries.jsonl", (_query(query) for query in queries.values()))
        for name, lines in splits.items():
            text = "query-id\tcorpus-id\tscore\n" + "".join(lines)
            (aside / "qrels" / f"{name}.tsv").write_text(text, encoding="utf-8")
        record = {"made_by": "rag datasets", **(about or {}), "notes": notes}
        (aside / ABOUT).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    def lines() -> Iterator[str]:
        for row in rows:
            yield json.dumps(strict_json(row), ensure_ascii=False) + "\n"

    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines())


def _document(document: Document) -> dict[str, Any]:
    metadata, text = dict(document.metadata), document.text
    title = metadata.get("title")
    row: dict[str, Any] = {"_id": document.id}
    if isinstance(title, str) and title:
        del metadata["title"]
        first, _, rest = text.partition("\n")
        if first == title:
            row["title"], text = title, rest
        elif title not in text.lstrip().partition("\n")[0].replace('"', ""):
            row["title"] = title
        # Keep a title that the text does not start with literally in the text, or it would be doubled.
    row["text"] = text
    return row | ({"metadata": metadata} if metadata else {})


def _query(query: Query) -> dict[str, Any]:
    row: dict[str, Any] = {"_id": query.id, "text": query.text}
    if query.turns:
        row["turns"] = [asdict(turn) for turn in query.turns]
    return row | ({"metadata": dict(query.metadata)} if query.metadata else {})


def _token(id: str) -> str:
    if any(mark in id for mark in "\t\r\n"):
        raise DataError(f"the id {id!r} has white space, which a judgment file cannot represent")
    return id
