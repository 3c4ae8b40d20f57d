"""Features of candidates for learning to rank, by name: of every list, and of its maker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag.candidates import Bools, Candidates, Floats
from rag.errors import ModelError
from rag.tables import grouped, in_list, standardized

__all__ = ["Features", "assembled", "from_list", "from_scores", "union"]


@dataclass(frozen=True)
class Features:
    """Features of the candidates of some queries.

    Args:
        names: Names of the features.
        values: Values, float32 [n, k, features]; NaN where unknown; arbitrary at padding.
        rising: For each feature, whether a higher value can only be better, as with scores.
    """

    names: tuple[str, ...]
    values: Floats
    rising: tuple[bool, ...]

    def take(self, names: Sequence[str]) -> Features:
        """The features of these names, in this order.

        Raises:
            ModelError: A name is missing: the model was fitted after other steps.
        """
        if tuple(names) == self.names:
            return self
        column_of = {name: index for index, name in enumerate(self.names)}
        missing = [name for name in names if name not in column_of]
        if missing:
            raise ModelError(
                f"the ranking model was fitted on {len(names)} features, of which {len(missing)} are not there, such "
                f"as '{missing[0]}': fit it again after the steps it follows now"
            )
        columns = [column_of[name] for name in names]
        return Features(tuple(names), self.values[:, :, columns], tuple(self.rising[index] for index in columns))


def assembled(parts: Mapping[str, Floats], rising: Mapping[str, bool]) -> Features:
    """Make features from arrays [n, k] by name."""
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
    order, starts = grouped(rows, positions)  # which keeps the order of the lists among equals
    first = order[starts]
    rows, positions, passages = rows[first], positions[first], passages[first]
    return Candidates.from_rows(n, rows, positions, np.zeros(len(rows)), passages)


def from_list(table: Candidates, candidates: Candidates, head: int = 100) -> dict[str, Floats]:
    """Features of a list: its score, the score scaled to 0..1 over the list's head and in standard deviations over the
    candidates, and 1 / (10 + rank). Candidates missing from the list get its last score, and 0 for the rank.
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
    """The same for scores known for all candidates, float32 [n, k], from 0 up."""
    mask = candidates.mask
    inside = np.where(mask, scores, 0)
    highest = inside.max(axis=1, initial=0, keepdims=True)
    order = np.argsort(np.argsort(-np.where(mask, scores, -np.inf), axis=1, kind="stable"), axis=1, kind="stable")
    reciprocal = np.where(inside > 0, 1 / (11.0 + order), 0).astype(np.float32)
    return _scaled(np.asarray(scores, dtype=np.float32), mask, np.zeros_like(highest), highest) | {"1/rank": reciprocal}


def _scaled(scores: Floats, mask: Bools, lowest: Floats, highest: Floats) -> dict[str, Floats]:
    spread = highest - lowest
    share = np.where(spread > 1e-9, (scores - lowest) / np.where(spread > 1e-9, spread, 1), 0)
    z = standardized(scores, mask)
    return {"score": scores, "share": np.clip(share, -1, None).astype(np.float32), "z": z.astype(np.float32)}
