"""Divide a dataset's queries into training, tuning and test queries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from rag.arguments import refuses_unknown
from rag.errors import ConfigError, DataError
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.duplicates import Pair, groups_of, similar
from rag.eval.datasets.joined import absent, without_text
from rag.remarks import Remark
from rag.types import Query

__all__ = ["split_dataset"]

_LISTED = 5
"""Maximum number of duplicates listed in a message."""


@refuses_unknown
def split_dataset(
    dataset: Dataset,
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    near: float = 0.8,
    group_duplicates: bool = False,
    together: str | None = None,
) -> Dataset:
    """Divide the queries of all splits anew; the documents stay the same.

    The split of a query depends only on its id and the seed: a hash of both is a number from 0 to 1, and the shares
    divide that range. So adding or removing a query moves no other query, and a test query never becomes a training
    query in a later version of the data. The price: shares are met on average only, with a standard deviation of
    sqrt(s (1 - s) / n).

    Args:
        dataset: Documents and judged queries; a query that is in several splits counts once.
        shares: Share of the queries by name of the split; they must sum to 1.
        seed: Seed of the hash; another seed divides differently.
        near: Queries are duplicates if they share at least this part of their words (Jaccard), or are equal but for
            case and punctuation; with 1 only the latter.
        group_duplicates: Keep duplicates together: all go to the split of the smallest id. Otherwise duplicates in
            different splits are an error.
        together: A metadata field; queries with equal values stay together, such as the questions about one
            conversation.

    Raises:
        ConfigError: The shares do not sum to 1, or no query has the field.
        DataError: Duplicates would be in two splits, a query lacks the field, or a split would have no query.
    """
    if any(share < 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        total = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise ConfigError(f"the shares must be 0 or more and sum to 1, got {total}", parameter="shares")
    if not 0 < near <= 1:
        raise ConfigError(f"must be above 0, up to 1, got {near:g}", parameter="near")
    queries = {query.id: query for _, split in sorted(dataset.splits.items()) for query in split.queries}
    judged: dict[str, dict[str, int]] = {id: {} for id in queries}
    for split in dataset.splits.values():
        for id, grades in split.qrels.items():
            if id in judged:
                judged[id] |= grades
    ids = sorted(queries)
    pairs = similar([queries[id].text for id in ids], near=near)
    keys = [_key(queries[id], together) for id in ids]
    bound = list(pairs) if group_duplicates else []
    if together is not None:
        firsts: dict[str, int] = {}
        bound += [Pair(firsts.setdefault(key, index), index, 1.0) for index, key in enumerate(keys)]
    if bound:
        leader: dict[int, str] = {}
        groups = groups_of(len(ids), bound).tolist()
        for group, key in zip(groups, keys, strict=True):
            leader[group] = min(key, leader.get(group, key))
        keys = [leader[group] for group in groups]
    places = [_place(key, shares, seed) for key in keys]
    parted = [pair for pair in pairs if places[pair.first] != places[pair.second]]
    if parted:
        raise DataError(_parted(parted, [queries[id] for id in ids], places))
    splits = {}
    for name, share in shares.items():
        chosen = [queries[id] for id, assigned in zip(ids, places, strict=True) if assigned == name]
        if share and not chosen:
            raise DataError(
                f"split '{name}' would have none of the {len(ids)} queries: there are too few, or all are kept together"
            )
        if share:
            splits[name] = Split(chosen, {query.id: judged[query.id] for query in chosen})
    sizes = ", ".join(f"{name} {len(split.queries)}" for name, split in splits.items())
    grouping = f"; equal values of '{together}' together" if together is not None else ""
    if group_duplicates:
        grouping += f"; {len(pairs)} pairs of duplicates together"
    note = f"queries divided at random (seed {seed}): {sizes}{grouping}"
    # Remarks on single splits are made anew, since the splits have changed.
    kept_remarks = [
        remark for remark in dataset.remarks if remark.code not in ("documents_absent", "queries_without_text")
    ]
    document_ids = frozenset(dataset.corpus.ids())
    new = [
        remark
        for name, split in splits.items()
        for remark in (*absent(split, document_ids, name), *without_text(split, name))
    ]
    return replace(dataset, splits=splits, remarks=[*kept_remarks, *new, Remark("divided", note, len(ids))])


def _key(query: Query, together: str | None) -> str:
    if together is None:
        return query.id
    value = query.metadata.get(together)
    if value is None or isinstance(value, (dict, list)):
        fields = ", ".join(map(str, query.metadata)) or "none"
        raise DataError(f"query '{query.id}' has no value in its metadata field '{together}' (its fields: {fields})")
    return str(value)


def _place(key: str, shares: Mapping[str, float], seed: int) -> str:
    digest = hashlib.blake2b(f"{seed}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    fraction, end = int.from_bytes(digest, "big") / 2**64, 0.0
    for name, share in shares.items():
        end += share
        if fraction < end:
            return name
    return next(name for name in reversed(list(shares)) if shares[name])  # sums may end a little below 1


def _parted(parted: list[Pair], queries: list[Query], places: list[str]) -> str:
    shown = []
    for first, other, similarity in sorted(parted, key=lambda pair: -pair.similarity)[:_LISTED]:
        both = " and ".join(f"'{queries[at].id}' in {places[at]} ({queries[at].text:.60})" for at in (first, other))
        shown.append(f"{both}: {similarity:.2f}")
    more = f"; and {len(parted) - _LISTED} more" if len(parted) > _LISTED else ""
    return (
        f"{len(parted)} pairs of queries have the same words, or nearly, and would be in different splits; "
        f"--group-duplicates keeps them together, --near 1 looks only for equal ones: {'; '.join(shown)}{more}"
    )
