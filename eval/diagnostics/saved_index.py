"""Differences between the documents of a saved index and those of a dataset."""

from __future__ import annotations

import numpy as np

from rag.corpus.corpus import Corpus
from rag.eval.datasets.base import Dataset, Split
from rag.pipeline import Pipeline

__all__ = ["differences"]

_BLOCK = 2048


def differences(pipeline: Pipeline, dataset: Dataset, split: Split) -> list[str]:
    """Sentences about an index that was not fitted on the dataset's documents here; the first one counts the documents
    that differ, if any do.
    """
    index, expected = pipeline.corpus, dataset.corpus
    missing, changed = _compared(index, expected)
    more = index.n_alive - (len(expected) - len(missing))
    notes = []
    if missing or changed or more:
        counts = f"{len(missing)} are not in the index, {changed} have another text there, and it has {more} more"
        notes.append(f"the index does not hold the documents of {dataset.name}: of its {len(expected)}, {counts}")
        gone = set(missing)
        lost = sum(grade > 0 and id in gone for judged in split.qrels.values() for id, grade in judged.items())
        if lost:
            notes.append(f"{lost} relevant documents of the questions are not in the index and count as not found")
    learned = [f"{path} {part.spec.label}" for path, part in pipeline.spec.walk() if path and "training" in part.needs]
    if learned:
        notes.append(f"{', '.join(learned)} learned earlier, possibly from questions that are measured here")
    return notes


def _compared(index: Corpus, expected: Corpus) -> tuple[list[str], int]:
    """Ids missing from the index, and the number of documents with another text there."""
    missing: list[str] = []
    changed = 0
    for first in range(0, len(expected), _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, len(expected)))
        ids, texts = expected.ids(rows), expected.texts(rows)
        places = [index.position(id) for id in ids]
        missing += [id for id, position in zip(ids, places, strict=True) if position is None]
        there = [(text, position) for text, position in zip(texts, places, strict=True) if position is not None]
        held = index.texts([position for _, position in there])
        changed += sum(text != other for (text, _), other in zip(there, held, strict=True))
    return missing, changed
