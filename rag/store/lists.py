"""Lists of candidates in the store: what a step of a pipeline found for a query, and what that has cost.

Kept by query, not by batch: a sweep that looks at the first fifty queries and then at all shares the fifty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import PADDING, Candidates
from rag.costs import Costs, Ledger
from rag.store.fingerprint import fingerprint
from rag.store.values import Passing

if TYPE_CHECKING:
    from rag.store.store import Store
    from rag.types import Query

__all__ = ["kept_step"]

Step = Callable[[QueryBatch, Candidates], Candidates]

_TABLE = np.dtype([("position", "<i4"), ("score", "<f4"), ("passage", "<i4")])
"""One candidate; a corpus has fewer than 2^31 passages."""


def kept_step(
    store: Store, key: str, about: str, name: str, step: Step, batch: QueryBatch, before: Candidates
) -> Candidates:
    """What a step gives for a batch: from the store for queries that it was run on before, else computed and kept,
    unless the batch is in doubt by then.

    Costs and the trace come from there too, as they were when it was computed; a batch's costs are shared equally
    among its queries. Vectors of queries that the step made are paid for with it: a later step that asks for them finds
    them among the store's values and books nothing.

    Args:
        store: Where lists are kept.
        key: Identity of the step and of everything before it.
        about: Both in words.
        name: Of the step in the ledger and the trace.
        step: Runs it on a batch.
        batch: The queries.
        before: What the step before gave.
    """
    keys = [_query_key(query) for query in batch.queries]
    values = store.values("lists", key, about=about)

    def compute(places: list[int]) -> Iterator[list[tuple[int, bytes]]]:
        some, given = batch, before
        if len(places) < len(batch):
            some = batch.part(np.array(places))
            given = before.rows(np.array(places))
        outer, texts = some.trace, some.key_texts
        trace: dict[str, Candidates] = {}
        ledger, some.ledger = some.ledger, Ledger()
        some.trace, some.key_texts = trace, {}  # texts of keys are not kept
        try:
            with some.ledger.stage(name), some.at(name):
                found = step(some, given)
            costs = some.ledger.total
        finally:
            ledger.join_calls(some.ledger)
            some.ledger, some.trace, some.key_texts = ledger, outer, texts
        tables = trace | {name: found}
        share = {what: cost / len(places) for what, cost in costs.as_dict().items()}
        more = {"costs": share, "embedded": sorted(some.embedded_by())}
        rows = [(place, _packed(tables, row, more)) for row, place in enumerate(places)]
        yield Passing(rows) if some.is_doubtful else rows

    filled = values.fill(keys, compute)
    values.close()
    tables, costs, embedded = _unpacked(filled.values)
    batch.paid(embedded)
    for table, candidates in tables.items():
        batch.record(table, candidates)
    booked = batch.ledger.stages.setdefault(name, Costs())
    booked += costs
    return tables[name]


def _query_key(query: Query) -> bytes:
    return bytes.fromhex(fingerprint(asdict(query)))


def _packed(tables: dict[str, Candidates], row: int, about: dict[str, Any]) -> bytes:
    counts = {name: int(table.mask[row].sum()) for name, table in tables.items()}
    header = json.dumps({"counts": counts} | about).encode()
    parts = [len(header).to_bytes(4, "little"), header]
    for name, table in tables.items():
        rows = np.empty(counts[name], dtype=_TABLE)
        rows["position"] = table.positions[row, : counts[name]]
        rows["score"] = table.scores[row, : counts[name]]
        rows["passage"] = table.passages[row, : counts[name]]
        parts.append(rows.tobytes())
    return b"".join(parts)


def _unpacked(values: list[bytes]) -> tuple[dict[str, Candidates], Costs, set[str]]:
    """Tables by name, the sum of costs, and the embedders whose vectors of all queries are among these."""
    rows: dict[str, list[Any]] = {}
    sums: dict[str, float] = {}
    embedded: set[str] | None = None
    for value in values:
        start = 4 + int.from_bytes(value[:4], "little")
        header = json.loads(value[4:start])
        some = set(header.get("embedded", ()))
        embedded = some if embedded is None else embedded & some
        for what, cost in header["costs"].items():
            sums[what] = sums.get(what, 0.0) + cost
        for name, count in header["counts"].items():
            rows.setdefault(name, []).append(np.frombuffer(value, dtype=_TABLE, count=count, offset=start))
            start += count * _TABLE.itemsize
    tables = {name: _table(parts) for name, parts in rows.items()}
    seconds = sums.pop("seconds", 0.0)
    costs = Costs(seconds, **{what: round(cost) for what, cost in sums.items()})
    return tables, costs, embedded or set()


def _table(rows: list[Any]) -> Candidates:
    counts = np.array([len(one) for one in rows])
    shape = (len(rows), int(counts.max(initial=0)))
    filled = np.arange(shape[1]) < counts[:, None]
    flat = np.concatenate(rows) if rows else np.empty(0, dtype=_TABLE)
    positions = np.full(shape, PADDING, dtype=np.int64)
    scores = np.full(shape, -np.inf, dtype=np.float32)
    passages = np.full(shape, PADDING, dtype=np.int64)
    positions[filled], scores[filled], passages[filled] = flat["position"], flat["score"], flat["passage"]
    return Candidates(positions, scores, passages)
