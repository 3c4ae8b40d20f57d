"""Features of candidates for learning to rank, by name: from every list, and from what its maker knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag.candidates import PADDING, Bools, Candidates, Floats, Ints
from rag.errors import ModelError

__all__ = ["Features", "assembled", "from_list", "from_scores", "in_list", "union"]


@dataclass(frozen=True)
class Features:
    """Features of the candidates of some queries.

    Args:
        names: Of the features.
        values: float32 [n, k, features]; NaN where something is not known; anything at padding.
        rising: Whether more of it can only be better, as with scores; one for each feature.
    """

    names: tuple[str, ...]
    values: Floats
    rising: tuple[bool, ...]

    def take(self, names: Sequence[str]) -> Features:
        """Those of these names, in this order.

        Raises:
            ModelError: There is none of a name: the model was fitted behind other steps.
        """
        if tuple(names) == self.names:
            return self
        column_of = {name: number for number, name in enumerate(self.names)}
        missing = [name for name in names if name not in column_of]
        if missing:
            raise ModelError(
                f"the ranking model was fitted on {len(names)} features, of which {len(missing)} are not there, such "
                f"as '{missing[0]}': fit it again behind the steps it stands behind now"
            )
        kept = [column_of[name] for name in names]
        return Features(tuple(names), self.values[:, :, kept], tuple(self.rising[number] for number in kept))


def assembled(parts: Mapping[str, Floats], rising: Mapping[str, bool]) -> Features:
    """Features from arrays [n, k] by name."""
    names = tuple(parts)
    return Features(names, np.stack([parts[name] for name in names], axis=2), tuple(rising[name] for name in names))


def union(tables: Sequence[Candidates], depth: int) -> Candidates:
    """The best ``depth`` documents of each list, each document once, with the passage of the first list that has it;
    in the order of the documents, all with score 0.
    """
    n = len(tables[0])
    heads = [table.head(depth) for table in tables]
    cells = [np.nonzero(head.mask) for head in heads]
    rows = np.concatenate([row for row, _ in cells])
    positions = np.concatenate([head.documents[at] for head, at in zip(heads, cells, strict=True)])
    passages = np.concatenate([head.passages[at] for head, at in zip(heads, cells, strict=True)])
    order = np.lexsort((positions, rows))  # which keeps the order of the lists among equals
    rows, positions, passages = rows[order], positions[order], passages[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (positions[1:] != positions[:-1])
    rows, positions, passages = rows[first], positions[first], passages[first]
    return Candidates.from_rows(n, rows, positions, np.zeros(len(rows)), passages)


def in_list(table: Candidates, positions: Ints) -> tuple[Floats, Ints]:
    """Score and rank of documents in a list, float32 and int64 [n, k]; NaN and -1 where they are not in it.

    Args:
        table: The list.
        positions: Documents, int64 [n, k]; below 0 for none.
    """
    width = table.documents.shape[1]
    if not width:
        return np.full(positions.shape, np.nan, dtype=np.float32), np.full(positions.shape, PADDING, dtype=np.int64)
    span = int(max(positions.max(initial=0), table.documents.max(initial=0))) + 2
    shift = np.arange(len(positions))[:, None] * span + 1
    keys = (table.documents + shift).ravel()
    order = np.argsort(keys, kind="stable")
    pairs = positions + shift
    cells = order[np.minimum(np.searchsorted(keys, pairs, sorter=order), len(keys) - 1)]
    there = (keys[cells] == pairs) & (positions >= 0)
    scores = np.where(there, table.scores.ravel()[cells], np.nan).astype(np.float32)
    return scores, np.where(there, cells % width, PADDING)


def from_list(table: Candidates, candidates: Candidates, head: int = 100) -> dict[str, Floats]:
    """What a list says of candidates: its score, the score scaled to 0..1 over the list's head, in standard deviations
    over the candidates, and 1 / (10 + rank). One that is not in the list counts as its last, with rank nothing.
    """
    scores, ranks = in_list(table, candidates.documents)
    top = table.head(head)
    lowest = np.where(top.mask, top.scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    lowest = np.where(np.isfinite(lowest), lowest, 0).astype(np.float32)
    highest = np.where(top.mask[:, :1], top.scores[:, :1], 0).astype(np.float32) if top.scores.size else lowest
    last = np.where(table.mask, table.scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    scores = np.where(np.isnan(scores), np.where(np.isfinite(last), last, 0), scores).astype(np.float32)
    reciprocal = np.where(ranks >= 0, 1 / (11.0 + ranks), 0).astype(np.float32)
    return _scaled(scores, candidates.mask, lowest, highest) | {"1/rank": reciprocal}


def from_scores(scores: Floats, candidates: Candidates) -> dict[str, Floats]:
    """The same of scores that are known for all candidates, float32 [n, k], from 0 up."""
    mask = candidates.mask
    inside = np.where(mask, scores, 0)
    highest = inside.max(axis=1, initial=0, keepdims=True)
    order = np.argsort(np.argsort(-np.where(mask, scores, -np.inf), axis=1, kind="stable"), axis=1, kind="stable")
    reciprocal = np.where(inside > 0, 1 / (11.0 + order), 0).astype(np.float32)
    return _scaled(np.asarray(scores, dtype=np.float32), mask, np.zeros_like(highest), highest) | {"1/rank": reciprocal}


def _scaled(scores: Floats, mask: Bools, lowest: Floats, highest: Floats) -> dict[str, Floats]:
    spread = highest - lowest
    share = np.where(spread > 1e-9, (scores - lowest) / np.where(spread > 1e-9, spread, 1), 0)
    count = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    mean = np.where(mask, scores, 0).sum(axis=1, keepdims=True) / count
    deviation = np.sqrt((np.where(mask, scores - mean, 0) ** 2).sum(axis=1, keepdims=True) / count)
    z = np.where(deviation > 1e-9, (scores - mean) / np.where(deviation > 1e-9, deviation, 1), 0)
    return {"score": scores, "share": np.clip(share, -1, None).astype(np.float32), "z": z.astype(np.float32)}
