"""Files that are in an index already, under the id that they have in the folder it was made of."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from rag.corpus.corpus import Corpus
from rag.types import Document

__all__ = ["named_as_before"]

_BLOCK = 2048


def named_as_before(given: Corpus, old: Corpus) -> Corpus:
    """The documents given, those that are files of the index under the ids and paths they have there.

    A folder's files are named by their path below it, so that ``rag add`` of a file, or of a folder below or above,
    would call them otherwise.

    Args:
        given: Documents that come.
        old: Those of the index.
    """
    coming = {key: place for place, id, path in _files(given) if (key := _key(path)) and old.position(id) is None}
    if not coming:
        return given
    known: dict[int, tuple[str, str]] = {}
    for place, id, path in _files(old):
        if old.alive is not None and not old.alive[place]:
            continue
        key = _key(path)
        match = coming.get(key)
        if match is None and not Path(path).is_absolute() and not Path(path).exists():
            # Indexed from another working directory: the path as it was given there is the end of this one's.
            ending = os.sep + str(PurePath(*(part for part in PurePath(path).parts if part != "..")))
            ends = [number for other, number in coming.items() if other.endswith(ending)]
            match = ends[0] if len(ends) == 1 else None
        if match is not None:
            known[match] = (id, path)
    if not known:
        return given
    return Corpus.from_documents(
        document
        if place not in known
        else Document(known[place][0], document.text, {**document.metadata, "path": known[place][1]})
        for place, document in enumerate(given)
    )


def _key(path: str) -> str:
    return os.path.realpath(path)


def _files(corpus: Corpus) -> Any:
    """(position, id, path) of documents that are whole files: whose id is the end of their path."""
    for first in range(0, len(corpus), _BLOCK):
        places = np.arange(first, min(first + _BLOCK, len(corpus)))
        texts = corpus.metadata_texts(places)
        if not any('"path"' in text for text in texts):
            continue
        for place, id, text in zip(places.tolist(), corpus.ids(places), texts, strict=True):
            path = json.loads(text).get("path")
            if isinstance(path, str) and (path == id or path.endswith(f"/{id}")):
                yield place, id, path
