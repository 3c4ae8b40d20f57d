"""Questions that two splits of a dataset share."""

from __future__ import annotations

from eval.datasets.base import Dataset
from rag.duplicates import Pair, groups_of, normalised, similar

__all__ = ["Pair", "groups_of", "leaks", "normalised", "shared_between", "similar"]

_SHOWN = 3


def leaks(dataset: Dataset, split: str) -> list[str]:
    """A line for each other split that has queries of this one, by their ids or by their texts.

    A split ``NAME-with-nulls`` has the queries of ``NAME`` by design.
    """
    found = []
    mine = {query.id: normalised(query.text) for query in dataset.splits[split].queries}
    texts = set(mine.values())
    for name, other in sorted(dataset.splits.items()):
        if name.removesuffix("-with-nulls") == split.removesuffix("-with-nulls"):
            continue
        ids = sorted(query.id for query in other.queries if query.id in mine)
        if ids:
            found.append(f"{len(ids)} queries of '{split}' are in '{name}' too (such as '{ids[0]}')")
        same = [query.text for query in other.queries if query.id not in mine and normalised(query.text) in texts]
        if same:
            found.append(f"{len(same)} queries of '{name}' have the text of one in '{split}' (such as '{same[0]:.80}')")
    return found


def shared_between(dataset: Dataset, *, near: float = 0.8) -> list[str]:
    """A line for each two splits that share questions, with how many pairs are equal and how many nearly so."""
    splits = {name: split for name, split in sorted(dataset.splits.items()) if not name.endswith("-with-nulls")}
    queries = [(name, query) for name, split in splits.items() for query in split.queries]
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in similar([query.text for _, query in queries], near=near):
        one, other = queries[pair.first][0], queries[pair.second][0]
        if one != other:
            found.setdefault((one, other), []).append(pair)
    lines = []
    for (one, other), pairs in found.items():
        equal = sum(pair.similarity == 1 for pair in pairs)
        shown = " | ".join(queries[place][1].text[:80] for place in max(pairs, key=lambda pair: pair.similarity)[:2])
        lines.append(
            f"'{one}' and '{other}' share questions: {equal} pairs have the same words, {len(pairs) - equal} more at "
            f"least {near:.0%} of them, such as: {shown}"
        )
    return lines
