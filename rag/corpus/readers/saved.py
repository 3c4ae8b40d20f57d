"""Documents of a saved pipeline: what was added to it, over HTTP say, is in no other file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rag.corpus.corpus import Corpus
from rag.store.folder import read_folder
from rag.types import Document

__all__ = ["documents_in_index", "is_index", "saved_corpus"]

_KIND = "pipeline"


def is_index(path: Path) -> bool:
    """Whether a path is the folder of a saved pipeline."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such file, or one of somebody else
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == _KIND and "data" in manifest


def documents_in_index(folder: Path) -> Iterator[Document]:
    """The documents that a saved pipeline has now.

    Raises:
        ArtifactError: It is damaged, or written by a newer version.
    """
    corpus = saved_corpus(read_folder(folder, _KIND)[0])
    for position, document in enumerate(corpus):
        if corpus.alive is None or corpus.alive[position]:
            yield document


def saved_corpus(data: Path) -> Corpus:
    """The corpus in the folder of a generation.

    Raises:
        ArtifactError: Its file is not whole.
    """
    corpus = Corpus.open(data / "corpus.arrow")
    if not (data / "deleted.npy").is_file():
        return corpus
    alive = np.ones(len(corpus), dtype=bool)
    alive[np.load(data / "deleted.npy")] = False
    return corpus.with_alive(alive)
