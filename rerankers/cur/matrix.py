"""The offline score matrix: many queries by all passages, in a memory map that outlasts the process."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rag.batch import QueryBatch
from rag.candidates import Floats, Ints
from rag.errors import ConfigError
from rag.store.fingerprint import fingerprint, fingerprint_texts
from rag.types import Query

if TYPE_CHECKING:
    from rag.fitting import FitContext
    from rag.rerankers.base import Scorer

__all__ = ["check_calls", "score_matrix"]

logger = logging.getLogger("rag.cur")

_CHUNK = 4096
"""Pairs scored between two writes: what a kill can lose."""

_PROBE = 32
"""Pairs scored to tell how long all will take."""

_SCORES, _DONE = "scores.npy", "done.npy"


def score_matrix(
    scorer: Scorer,
    queries: Sequence[Query],
    context: FitContext,
    *,
    dtype: Literal["float16", "float32"] = "float32",
    max_calls: int | None = None,
) -> Floats:
    """Scores of all passages for some queries, [n_queries, n_passages].

    With a store in the context it is a memory map there, keyed by the scorer and the texts, beside a bitmap of what is
    done: killed and started again, it resumes; asked again, it costs nothing. Passages of about the same length are
    scored together, the longest first, so that memory runs out at once if it does, and the time left is not
    underestimated.

    Args:
        scorer: Fitted here when it is not yet.
        queries: One row each.
        context: Gives passages, store and progress; what is scored is booked to its ledger.
        dtype: Type of stored scores; float16 has 11 bits, enough to rank by.
        max_calls: Refuse to score more pairs than this.

    Raises:
        ConfigError: More pairs are missing than ``max_calls``; the message says how long they would take.
        ModelError: The scorer gave NaN, infinite or too few scores.
    """
    context.fit(scorer)
    shape = (len(queries), len(context.passages))
    if context.store is None or not scorer.spec.is_serializable:
        check_calls(scorer, queries, context, shape[0] * shape[1], max_calls)
        scores, done = np.zeros(shape, dtype=dtype), np.zeros((shape[0], -(-shape[1] // 8)), dtype=np.uint8)
        _fill(scorer, queries, context, scores, done)
        return scores

    def make(folder: Path) -> None:
        scores, done = _opened(folder, shape, dtype)
        missing = shape[0] * shape[1] - int(np.bitwise_count(done).sum())
        check_calls(scorer, queries, context, missing, max_calls)
        _fill(scorer, queries, context, scores, done)

    texts = fingerprint_texts(query.text for query in queries)
    key = fingerprint([scorer.spec.cache_key, context.passages.fingerprint, texts, dtype])
    description = f"{scorer!r}: {shape[0]} queries x {shape[1]} passages"
    folder = context.store.resumable("score_matrix", key, make, description=description)
    return np.load(folder / _SCORES, mmap_mode="r")  # type: ignore[no-any-return]


def check_calls(
    scorer: Scorer, queries: Sequence[Query], context: FitContext, calls: int, max_calls: int | None
) -> None:
    """Log how many pairs will be scored, and refuse if they exceed the limit.

    Raises:
        ConfigError: ``calls`` is above ``max_calls``.
    """
    if not calls:
        return
    if max_calls is None or calls <= max_calls:
        logger.info("scoring %s pairs of %d queries", f"{calls:,}", len(queries))
        return
    rng = np.random.default_rng(0)
    passages = rng.integers(len(context.passages), size=_PROBE)
    rows = np.sort(rng.integers(len(queries), size=_PROBE))
    batch = QueryBatch(queries)
    scorer.score(batch, rows[:1], passages[:1])  # loads the model
    start = time.perf_counter()
    scorer.score(batch, rows, passages)
    rate = _PROBE / (time.perf_counter() - start)
    raise ConfigError(
        f"scoring {calls:,} (query, passage) pairs would take about {_duration(calls / rate)} at {rate:,.0f} pairs a "
        f"second, and max_calls allows {max_calls:,}: use fewer queries, or raise max_calls",
        parameter="max_calls",
    )


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"


def _opened(folder: Path, shape: tuple[int, int], dtype: str) -> tuple[Any, Any]:
    """The map and the bitmap of finished work, reopened if present, else new."""
    ready = folder / "shape.json"  # written last: without it, a kill came while the files were made
    if not ready.exists():
        np.lib.format.open_memmap(folder / _SCORES, "w+", dtype, shape).flush()
        np.lib.format.open_memmap(folder / _DONE, "w+", np.uint8, (shape[0], -(-shape[1] // 8))).flush()
        ready.write_text(json.dumps(shape), encoding="utf-8")
    return tuple(np.load(folder / name, mmap_mode="r+") for name in (_SCORES, _DONE))


def _fill(scorer: Scorer, queries: Sequence[Query], context: FitContext, scores: Any, done: Any) -> None:
    batch = QueryBatch(queries, ledger=context.ledger, store=context.store)
    with context.progress(f"scoring ({scorer.type})", scores.size) as advance:
        advance(int(np.bitwise_count(done).sum()))
        for columns in _chunks(context, len(queries)):
            open_ = np.unpackbits(done[:, columns // 8].view(np.uint8)[..., None], axis=-1)
            open_ = np.take_along_axis(open_, (columns % 8)[None, :, None], axis=-1)[..., 0] == 0
            rows, open_columns = np.nonzero(open_)
            if not len(rows):
                continue
            scores[rows, columns[open_columns]] = scorer.score(batch, rows, columns[open_columns])
            _flush(scores)
            np.bitwise_or.at(
                done, (rows, columns[open_columns] // 8), (128 >> (columns[open_columns] % 8)).astype(np.uint8)
            )
            _flush(done)
            advance(len(rows))


def _chunks(context: FitContext, n_queries: int) -> Iterator[Ints]:
    """Passages in groups of about the same length, the longest first."""
    lengths = context.passages.end - context.passages.start
    order = np.argsort(-lengths, kind="stable")
    step = max(1, _CHUNK // max(n_queries, 1))
    for first in range(0, len(order), step):
        yield order[first : first + step]


def _flush(array: npt.NDArray[Any]) -> None:
    if isinstance(array, np.memmap):
        array.flush()
