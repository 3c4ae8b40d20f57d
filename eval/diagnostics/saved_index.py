"""A saved index measured as it is: what tells its documents from those of a dataset."""

from __future__ import annotations

import numpy as np

from rag.corpus.corpus import Corpus
from rag.eval.datasets.base import Dataset, Split
from rag.pipeline import Pipeline

__all__ = ["differences"]

_BLOCK = 2048


def differences(pipeline: Pipeline, dataset: Dataset, split: Split) -> list[str]:
    """What a reader should know of measures of an index that was not fitted on the dataset's documents here, a sentence
    each; the first one counts documents that differ, if any do.
    """
    index, wanted = pipeline.corpus, dataset.corpus
    missing, changed = _compared(index, wanted)
    more = index.n_alive - (len(wanted) - len(missing))
    notes = []
    if missing or changed or more:
        counts = f"{len(missing)} are not in the index, {changed} have another text there, and it has {more} more"
        notes.append(f"the index does not hold the documents of {dataset.name}: of its {len(wanted)}, {counts}")
        gone = set(missing)
        lost = sum(grade > 0 and id in gone for judged in split.qrels.values() for id, grade in judged.items())
        if lost:
            notes.append(f"{lost} relevant documents of the questions are not in the index and count as not found")
    learned = [f"{path} {part.spec.label}" for path, part in pipeline.spec.walk() if path and "training" in part.needs]
    if learned:
        notes.append(
            f"{', '.join(learned)} learned before: whether from questions that are measured here cannot be told"
        )
    return notes


def _compared(index: Corpus, wanted: Corpus) -> tuple[list[str], int]:
    """Ids that the index does not have, and how many it has with another text."""
    missing: list[str] = []
    changed = 0
    for first in range(0, len(wanted), _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, len(wanted)))
        ids, texts = wanted.ids(rows), wanted.texts(rows)
        places = [index.position(id) for id in ids]
        missing += [id for id, place in zip(ids, places, strict=True) if place is None]
        there = [(text, place) for text, place in zip(texts, places, strict=True) if place is not None]
        held = index.texts([place for _, place in there])
        changed += sum(text != other for (text, _), other in zip(there, held, strict=True))
    return missing, changed
