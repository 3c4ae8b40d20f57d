"""Questions that two splits of a dataset share, and documents with the same text."""

from __future__ import annotations

import numpy as np

from rag.candidates import Ints
from rag.corpus.corpus import Corpus
from rag.duplicates import Pair, groups_of, normalized, similar
from rag.eval.datasets.base import Dataset

__all__ = ["Pair", "groups_of", "leaks", "normalized", "repeated_documents", "shared_between", "similar"]

_SHOWN = 3


def repeated_documents(corpus: Corpus) -> Ints:
    """Pairs of documents with the same text, as positions, int64 [n, 2]: the first document with that text and a later
    one. Texts without content and deleted documents are left out.
    """
    hashes = np.concatenate([np.fromiter(map(hash, texts), np.int64, len(texts)) for texts in corpus.iter_texts()])
    blank = np.concatenate([[not text or text.isspace() for text in texts] for texts in corpus.iter_texts()])
    places = np.flatnonzero(~blank if corpus.alive is None else ~blank & corpus.alive)
    _, first, group = np.unique(hashes[places], return_index=True, return_inverse=True)
    again = first[group] != np.arange(len(places))
    return np.stack([places[first[group[again]]], places[again]], axis=1).astype(np.int64)


def leaks(dataset: Dataset, split: str) -> list[str]:
    """Sentences about queries of a split that other splits have too, by id or by text; one or two for each such split.

    A split ``NAME-with-nulls`` has the queries of ``NAME`` by design.
    """
    lines = []
    mine = {query.id: normalized(query.text) for query in dataset.splits[split].queries}
    texts = {text for text in mine.values() if text}
    for name, other in sorted(dataset.splits.items()):
        if name.removesuffix("-with-nulls") == split.removesuffix("-with-nulls"):
            continue
        ids = sorted(query.id for query in other.queries if query.id in mine)
        if ids:
            lines.append(f"{len(ids)} queries of '{split}' are in '{name}' too (such as '{ids[0]}')")
        same = [query.text for query in other.queries if query.id not in mine and normalized(query.text) in texts]
        if same:
            lines.append(f"{len(same)} queries of '{name}' have the text of one in '{split}' (such as '{same[0]:.80}')")
    return lines


def shared_between(dataset: Dataset, *, near: float = 0.8) -> list[str]:
    """Sentences about questions that two splits share, with the number of equal and of nearly equal pairs."""
    splits = {name: split for name, split in sorted(dataset.splits.items()) if not name.endswith("-with-nulls")}
    queries = [(name, query) for name, split in splits.items() for query in split.queries]
    shared: dict[tuple[str, str], list[Pair]] = {}
    for pair in similar([query.text for _, query in queries], near=near):
        first_split, other = queries[pair.first][0], queries[pair.second][0]
        if first_split != other:
            shared.setdefault((first_split, other), []).append(pair)
    lines = []
    for (first_split, other), pairs in shared.items():
        equal = sum(pair.similarity == 1 for pair in pairs)
        shown = " | ".join(queries[index][1].text[:80] for index in max(pairs, key=lambda pair: pair.similarity)[:2])
        lines.append(
            f"'{first_split}' and '{other}' share questions: {equal} pairs have the same words, "
            f"{len(pairs) - equal} more at least {near:.0%} of them, such as: {shown}"
        )
    return lines
