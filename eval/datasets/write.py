"""Datasets as folders in BEIR's layout, with a ``dataset.json`` that says how they were made."""

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
"""What a dataset is made of; its ``notes`` go into reports."""

_FILES = {ABOUT, "corpus.jsonl", "queries.jsonl", "qrels"}


def check_target(folder: Path) -> None:
    """Refuse to write a dataset where something else is.

    Raises:
        ArtifactError: It is a file, or a folder that holds other things than a dataset written here.
    """
    check_place(
        folder,
        "dataset written by `rag datasets`",
        lambda names: names - _FILES or (() if about_of(folder) else names),
    )


def about_of(folder: Path) -> dict[str, Any]:
    """What the ``dataset.json`` of a folder written here says; nothing of anybody else's.

    Raises:
        DataError: It is ours, but somebody has broken its notes.
    """
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(about, dict) or "made_by" not in about:
        return {}
    notes = about.get("notes")
    if not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
        raise DataError(f"{folder / ABOUT}: 'notes' must be a list of texts")
    return about


@refuses_unknown
def write_dataset(dataset: Dataset, folder: Path, *, about: Mapping[str, Any] | None = None) -> Path:
    """Write a dataset in one step: it is there completely or not at all. One that was written there is replaced.

    A title that stands before the text goes into a field of its own, from where it is put back. A query without any
    judgment has a line without a document: nothing answers it.

    Args:
        dataset: What to write.
        folder: Where.
        about: Goes into ``dataset.json``.

    Raises:
        ArtifactError: The folder holds something else, or cannot be written.
        DataError: An id has a tab or a line break, which the layout has no place for.
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
        _write(aside / "corpus.jsonl", (_document(one) for one in dataset.corpus))
        _write(aside / "queries.jsonl", (_query(one) for one in queries.values()))
        for name, lines in splits.items():
            text = "query-id\tcorpus-id\tscore\n" + "".join(lines)
            (aside / "qrels" / f"{name}.tsv").write_text(text, encoding="utf-8")
        known = {"made_by": "rag datasets", **(about or {}), "notes": notes}
        (aside / ABOUT).write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
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
        # A title that the text begins with in other words stays where it is: it would come twice.
    row["text"] = text
    return row | ({"metadata": metadata} if metadata else {})


def _query(query: Query) -> dict[str, Any]:
    row: dict[str, Any] = {"_id": query.id, "text": query.text}
    if query.turns:
        row["turns"] = [asdict(turn) for turn in query.turns]
    return row | ({"metadata": dict(query.metadata)} if query.metadata else {})


def _token(id: str) -> str:
    if any(mark in id for mark in "\t\r\n"):
        raise DataError(f"the id {id!r} has white space that a file of judgments has no place for")
    return id
