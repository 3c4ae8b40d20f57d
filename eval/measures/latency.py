"""Single-query latency."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.store.fingerprint import fingerprint
from rag.store.key_value_cache import text_key
from rag.store.store import Store
from rag.types import Query

__all__ = ["time_alone"]

_QUERIES = 100
_SECONDS = 5.0
_WARM_UP = 3


def time_alone(
    pipeline: Pipeline,
    queries: Sequence[Query],
    *,
    seed: int = 0,
    store: Store | None = None,
    progress: Progress = no_progress,
) -> list[float]:
    """Seconds of single queries with a text, up to 100 of them; from the store if already measured on this machine for
    this pipeline.
    """
    queries = [query for query in queries if query.text.strip()]
    order = np.random.default_rng(seed).permutation(len(queries))[:_QUERIES]
    queries = [queries[i] for i in order]

    def measure() -> list[float]:
        others = [replace(query, text=f"{query.text} ...") for query in queries[:_WARM_UP]]
        _time_queries(pipeline, others, np.inf)  # in other words: vectors of queries are remembered
        with progress("timing single queries", len(queries)) as advance:
            return _time_queries(pipeline, queries, _SECONDS, advance)

    key = pipeline.answers_key
    if store is None or key is None:
        return measure()
    machine = [platform.node(), platform.machine(), str(os.cpu_count())]
    values = store.cache("latencies", key, description=f"{pipeline!r}")
    asked = text_key(*machine, *(fingerprint(asdict(query)) for query in queries))
    (cached,) = values.fill([asked], lambda _: [[(0, json.dumps(measure()).encode())]]).values
    values.close()
    return list(json.loads(cached))


def _time_queries(pipeline: Pipeline, queries: Sequence[Query], limit: float, advance: Any = None) -> list[float]:
    """Seconds of each query, searched alone, until the time limit (but at least five queries)."""
    seconds: list[float] = []
    for query in queries:
        start = time.perf_counter()
        pipeline.search(query, answer=False)  # answers are not paid for twice
        seconds.append(time.perf_counter() - start)
        if advance:
            advance(1)
        if sum(seconds) > limit and len(seconds) >= 5:
            break
    return seconds
