"""Cache of candidate lists: the results of a pipeline step for a query, with their original cost.

Lists are cached per query, not per batch: a sweep that searches the first fifty queries and then all reuses the fifty.
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
from rag.step import Step
from rag.store.fingerprint import fingerprint
from rag.store.key_value_cache import Transient

if TYPE_CHECKING:
    from rag.store.store import Store
    from rag.types import Query

__all__ = ["cached_step"]

_TABLE = np.dtype([("position", "<i4"), ("score", "<f4"), ("passage", "<i4")])
"""One candidate; a corpus has fewer than 2^31 passages."""


def cached_step(
    store: Store,
    key: str,
    description: str,
    step: Step,
    run: Callable[[QueryBatch, Candidates], Candidates],
    batch: QueryBatch,
    before: Candidates,
) -> Candidates:
    """The candidates of a step for a batch: from the store for queries already searched with it, otherwise computed and
    cached, unless the batch has been marked uncacheable.

    Costs and the trace are cached too, as they were when computed; a batch's costs are shared equally among its
    queries. Query vectors made by the step are paid with it: a later step that needs them finds them in the store and
    books nothing.

    Args:
        store: The store with the lists.
        key: Identity of the step and of all steps before it.
        description: The same in words.
        step: The step.
        run: Function that runs it on a batch.
        batch: The queries.
        before: The candidates of the step before.
    """
    keys = [_query_key(query) for query in batch.queries]
    values = store.cache("lists", key, description=description)

    def compute(missing: list[int]) -> Iterator[list[tuple[int, bytes]]]:
        rows = slice(None) if len(missing) == len(batch) else np.array(missing)
        trace: dict[str, Candidates] = {}  # texts of keys are not cached
        view = batch.view(rows=rows, ledger=Ledger(), trace=trace, step=step)
        try:
            with view.ledger.stage(step.name):
                table = run(view, before.rows(rows))
            costs = view.ledger.total
        finally:
            batch.ledger.join_calls(view.ledger)
        tables = trace | {step.name: table}
        shares = {name: cost / len(missing) for name, cost in costs.as_dict().items()}
        header = {"costs": shares, "embedded": sorted(view.embedded_by())}
        values_of = [(position, _packed(tables, row, header)) for row, position in enumerate(missing)]
        yield Transient(values_of) if view.is_uncacheable else values_of

    filled = values.fill(keys, compute)
    values.close()
    tables, costs, embedded = _unpacked(filled.values)
    batch.mark_paid(embedded)
    for name, table in tables.items():
        batch.record(name, table)
    booked = batch.ledger.stages.setdefault(step.name, Costs())
    booked += costs
    return tables[step.name]


def _query_key(query: Query) -> bytes:
    return bytes.fromhex(fingerprint(asdict(query)))


def _packed(tables: dict[str, Candidates], row: int, more: dict[str, Any]) -> bytes:
    counts = {name: int(table.mask[row].sum()) for name, table in tables.items()}
    header = json.dumps({"counts": counts} | more).encode()
    parts = [len(header).to_bytes(4, "little"), header]
    for name, table in tables.items():
        rows = np.empty(counts[name], dtype=_TABLE)
        rows["position"] = table.documents[row, : counts[name]]
        rows["score"] = table.scores[row, : counts[name]]
        rows["passage"] = table.passages[row, : counts[name]]
        parts.append(rows.tobytes())
    return b"".join(parts)


def _unpacked(values: list[bytes]) -> tuple[dict[str, Candidates], Costs, set[str]]:
    """Tables by name, total costs, and the embedders whose vectors of all queries are included."""
    rows: dict[str, list[Any]] = {}
    sums: dict[str, float] = {}
    embedded: set[str] | None = None
    for value in values:
        start = 4 + int.from_bytes(value[:4], "little")
        header = json.loads(value[4:start])
        by = set(header.get("embedded", ()))
        embedded = by if embedded is None else embedded & by
        for name, cost in header["costs"].items():
            sums[name] = sums.get(name, 0.0) + cost
        for name, count in header["counts"].items():
            rows.setdefault(name, []).append(np.frombuffer(value, dtype=_TABLE, count=count, offset=start))
            start += count * _TABLE.itemsize
    tables = {name: _table(parts) for name, parts in rows.items()}
    seconds = sums.pop("seconds", 0.0)
    costs = Costs(seconds, **{name: round(cost) for name, cost in sums.items()})
    return tables, costs, embedded or set()


def _table(rows: list[Any]) -> Candidates:
    counts = np.array([len(row) for row in rows])
    shape = (len(rows), int(counts.max(initial=0)))
    filled = np.arange(shape[1]) < counts[:, None]
    flat = np.concatenate(rows) if rows else np.empty(0, dtype=_TABLE)
    positions = np.full(shape, PADDING, dtype=np.int64)
    scores = np.full(shape, -np.inf, dtype=np.float32)
    passages = np.full(shape, PADDING, dtype=np.int64)
    positions[filled], scores[filled], passages[filled] = flat["position"], flat["score"], flat["passage"]
    return Candidates(positions, scores, passages)
