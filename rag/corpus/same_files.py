"""Files that are in an index already: under the id that they have in the folder it was made of, wherever they went."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from rag.corpus.corpus import Corpus
from rag.types import Document

__all__ = ["named_as_before", "with_moved_files"]

_BLOCK = 2048


def named_as_before(given: Corpus, old: Corpus) -> Corpus:
    """The documents given, those that are files of the index under the ids and paths they have there.

    A folder's files are named by their path below it, so that ``rag add`` of a file, or of a folder below or above,
    would call them otherwise.

    Args:
        given: Documents that come.
        old: Those of the index.
    """
    coming = {(_key(path), part): position for position, id, path, part in _files(given) if old.position(id) is None}
    if not coming:
        return given
    known: dict[int, tuple[str, str]] = {}
    for position, id, path, part in _files(old):
        if old.alive is not None and not old.alive[position]:
            continue
        match = coming.get((_key(path), part))
        if match is None and not Path(path).is_absolute() and not Path(path).exists():
            # Indexed from another working directory: the path as it was given there is the end of this one's.
            ending = os.sep + str(PurePath(*(part for part in PurePath(path).parts if part != "..")))
            ends = [number for (other, piece), number in coming.items() if piece == part and other.endswith(ending)]
            match = ends[0] if len(ends) == 1 else None
        if match is not None:
            known[match] = (id, path)
    return _renamed(given, known) if known else given


def with_moved_files(given: Corpus, old: Corpus) -> tuple[Corpus, int]:
    """All documents there are to be, files that were moved or renamed under the ids they had; and how many moved now.

    A file is another one's successor if it lies where that was found the last time, or if that is gone and has the same
    text, and only these two have it.

    Args:
        given: Documents that are to be in the index, all of them.
        old: Those of the index.
    """
    new = [(position, path, part) for position, id, path, part in _files(given) if old.position(id) is None]
    if not new:
        return given, 0
    ids = set(given.ids())
    gone = {
        (path, part): (position, id)
        for position, id, path, part in _files(old)
        if id not in ids and (old.alive is None or old.alive[position])
    }
    if not gone:
        return given, 0
    known: dict[int, tuple[str, str]] = {}
    for position, path, part in new:
        if before := gone.pop((path, part), None):
            known[position] = (before[1], path)
    left = [(position, path) for position, path, _ in new if position not in known]
    texts = _once(given.texts([position for position, _ in left]))
    by_text = _once(old.texts([position for position, _ in gone.values()]))
    before_of = list(gone.values())
    n_moved = 0
    for text, number in texts.items():
        if text in by_text and text.strip():
            position, path = left[number]
            known[position] = (before_of[by_text[text]][1], path)
            n_moved += 1
    return (_renamed(given, known) if known else given), n_moved


def _once(texts: list[str]) -> dict[str, int]:
    """Positions of the texts that are there once."""
    counts = Counter(texts)
    return {text: position for position, text in enumerate(texts) if counts[text] == 1}


def _renamed(given: Corpus, known: Mapping[int, tuple[str, str]]) -> Corpus:
    """The documents, some with another id and path."""
    renamed = Corpus.from_documents(
        document
        if position not in known
        else Document(known[position][0], document.text, {**document.metadata, "path": known[position][1]})
        for position, document in enumerate(given)
    )
    renamed.remarks = given.remarks
    return renamed


def _key(path: str) -> str:
    return os.path.realpath(path)


def _files(corpus: Corpus) -> Any:
    """(position, id, path, part) of documents that are files, or parts of them: what their id has behind a ``#``."""
    for first in range(0, len(corpus), _BLOCK):
        places = np.arange(first, min(first + _BLOCK, len(corpus)))
        texts = corpus.metadata_texts(places)
        if not any('"path"' in text for text in texts):
            continue
        for position, id, text in zip(places.tolist(), corpus.ids(places), texts, strict=True):
            metadata = json.loads(text)
            path, name, part = metadata.get("path"), id, ""
            if "format" in metadata:
                name, _, part = id.partition("#")
            if isinstance(path, str) and ("format" in metadata or path == name or path.endswith(f"/{name}")):
                yield position, id, path, part
