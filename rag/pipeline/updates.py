"""Update a fitted pipeline: add and delete documents without building everything again.

A deleted document is marked and no longer found; a changed one is deleted and added. Rows of deleted documents stay in
place, so that nothing else moves, until there are so many that everything is rewritten without them.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rag.candidates import Ints
from rag.conditions import Condition
from rag.corpus.passages import Passages
from rag.corpus.readers import read_corpus
from rag.corpus.same_files import named_as_before, with_moved_files
from rag.costs import Ledger
from rag.errors import ConfigError
from rag.fitting import UpdateContext
from rag.learning.remembered import REMEMBERED, RememberedValue
from rag.learning.remembers import Remembers
from rag.learning.training import Training
from rag.limits import check_deletes, parse_limit
from rag.pipeline.base import PipelineBase
from rag.pipeline.changes import COMPACT_AT, Changes, Plan, check_plan, plan_additions, plan_deletion
from rag.pipeline.elsewhere import held_elsewhere, settle
from rag.pipeline.saving import load, parts_of, save
from rag.pipeline.state import Fitted, Saved
from rag.progress import Progress, announced
from rag.remarks import MAX_EXAMPLES, Remarks
from rag.store.folder import locked, read_folder
from rag.store.opening import store_at
from rag.store.store import Store

__all__ = ["add", "add_qrels", "compact", "delete", "editing", "remember", "sync"]

P = TypeVar("P", bound=PipelineBase)

logger = logging.getLogger("rag.updates")


def add(
    pipeline: PipelineBase,
    documents: Any,
    *,
    store: Any,
    progress: Progress,
    compact_at: float,
    drop_fields: Collection[str],
) -> Changes:
    """See :meth:`rag.Pipeline.add`."""
    corpus = named_as_before(read_corpus(documents, drop_fields=drop_fields), pipeline.corpus)
    plan, changes, _ = plan_additions(pipeline.corpus, corpus)
    return _carry_out(pipeline, plan, changes, store=store, progress=progress, compact_at=compact_at)


def delete(
    pipeline: PipelineBase,
    ids: Iterable[str] | None,
    condition: Condition | None,
    *,
    store: Any,
    progress: Progress,
    compact_at: float,
    dry_run: bool,
) -> Changes:
    """See :meth:`rag.Pipeline.delete`."""
    plan, changes = plan_deletion(pipeline.corpus, ids, condition)
    if dry_run:
        check_plan(pipeline.corpus, plan)
        return changes
    return _carry_out(pipeline, plan, changes, store=store, progress=progress, compact_at=compact_at)


def sync(
    pipeline: PipelineBase,
    documents: Any,
    *,
    store: Any,
    progress: Progress,
    compact_at: float,
    dry_run: bool,
    max_deletes: int | float | str | None,
    drop_fields: Collection[str],
) -> Changes:
    """See :meth:`rag.Pipeline.sync`."""
    corpus = pipeline.corpus
    parse_limit(max_deletes, corpus.n_alive)  # a wrong one is said before the documents are read
    given, n_moved = with_moved_files(read_corpus(documents, drop_fields=drop_fields), corpus)
    plan, changes, known = plan_additions(corpus, given)
    gone = np.setdiff1d(np.arange(len(corpus)) if corpus.alive is None else np.flatnonzero(corpus.alive), known)
    gone = gone[[not id.startswith(REMEMBERED) for id in corpus.ids(gone)]]  # no source of documents has these
    plan.dead += gone.tolist()
    names = tuple(corpus.ids(gone[:MAX_EXAMPLES]))
    changes = replace(
        changes,
        deleted=len(gone),
        deleted_ids=names,
        moved=n_moved,
        updated=changes.updated - n_moved,
        relabeled=max(changes.relabeled - n_moved, 0),
    )
    if dry_run:
        noticed = plan.given.remarks if plan.given is not None else ()
        return replace(changes, remarks=(*noticed, *check_plan(corpus, plan)))
    check_deletes(len(gone), corpus.n_alive, max_deletes)
    return _carry_out(pipeline, plan, changes, store=store, progress=progress, compact_at=compact_at)


def compact(pipeline: PipelineBase, *, store: Any, progress: Progress) -> Changes:
    """See :meth:`rag.Pipeline.compact`."""
    return _carry_out(pipeline, Plan(), Changes(), store=store, progress=progress, compact_at=0.0)


def add_qrels(pipeline: PipelineBase, judged: Training, weight: float) -> int:
    """See :meth:`rag.Pipeline.add_qrels`."""
    state = pipeline.fitted
    parts = {path: part for path, part in pipeline.spec.walk() if isinstance(part, Remembers)}
    if not parts:
        raise ConfigError("no component of this pipeline remembers judgments: add a query_memory")
    changed = max(part.add_qrels(judged, weight=weight) for part in parts.values())
    saved = state.saved
    if saved is not None:
        saved = replace(saved, unchanged=saved.unchanged - {f"state/{path}" for path in parts})
    pipeline._fitted = replace(state, keys=(), saved=saved)  # its results have another identity now
    return changed


def remember(pipeline: PipelineBase, values: Iterable[RememberedValue], *, store: Any, progress: Progress) -> int:
    """See :meth:`rag.Pipeline.remember`."""
    last = {value.id: value for value in values}
    corpus = pipeline.corpus
    positions = {id: position for id in last if (position := corpus.position(id)) is not None}
    forgotten = [id for id, value in last.items() if value.value is None and id in positions]
    new = [
        value.document()
        for id, value in last.items()
        if value.value is not None and not (id in positions and value.is_kept_by(corpus[positions[id]]))
    ]
    if not new and not forgotten:
        return 0
    plan, changes = plan_additions(corpus, read_corpus(new))[:2] if new else (Plan(), Changes())
    plan.dead += [positions[id] for id in forgotten]
    changes = replace(changes, deleted=len(forgotten))
    _carry_out(pipeline, plan, changes, store=store, progress=progress, compact_at=COMPACT_AT)
    return len(new) + len(forgotten)


@contextmanager
def editing(cls: type[P], folder: Path, *, keep: int | None) -> Iterator[P]:
    """See :meth:`rag.Pipeline.editing`."""
    read_folder(folder, cls.kind)  # leave no lock in a folder without a pipeline
    with locked(folder):
        pipeline = load(cls, folder, verify=False)
        settle(pipeline, folder, held_elsewhere(folder))  # what a killed writer left
        yield pipeline
        saved = pipeline.fitted.saved
        changed = parts_of(pipeline) - (saved.unchanged if saved else frozenset())
        if changed - {"deleted"}:  # damaged files must not get a new checksum
            read_folder(folder, cls.kind, verify=True)
        if changed:
            save(pipeline, folder, keep=keep)


# -- execution -----------------------------------------------------------------------------------------------------


def _carry_out(
    pipeline: PipelineBase, plan: Plan, changes: Changes, *, store: Any, progress: Progress, compact_at: float
) -> Changes:
    if not 0 <= compact_at <= 1:
        raise ConfigError(f"must be a fraction from 0 to 1, got {compact_at}", parameter="compact_at")
    if store is not None and not isinstance(store, Store):
        store = store_at(store)
    remarks = Remarks([*changes.remarks, *check_plan(pipeline.corpus, plan)])
    for remark in remarks:
        logger.warning("%s", remark)
    remarks.extend(plan.given.remarks if plan.given is not None else ())
    ledger = Ledger()
    with ledger.stage("chunker"):
        new = _chunked(pipeline, plan)
    passages, remaining, compacted = _new_table(pipeline.passages, plan, new, compact_at)
    if plan.append or plan.dead or plan.metadata or compacted:
        context = UpdateContext(
            passages.corpus,
            passages,
            ledger=ledger,
            progress=progress,
            store=store,
            kept=remaining,
            metadata_changed=bool(plan.metadata),
        )
        with announced(progress):
            _update(pipeline, context, moved=compacted or new is not None)
        remarks.extend(context.remarks)
    return replace(changes, compacted=compacted, stale=pipeline.stale() or "", remarks=tuple(remarks))


def _chunked(pipeline: PipelineBase, plan: Plan) -> Passages | None:
    if plan.given is None or not plan.append:
        return None
    rows = plan.given if len(plan.append) == len(plan.given) else plan.given.rows(np.array(plan.append))
    return pipeline.chunker.chunk(rows, pipeline.tokenizer(rows))


def _new_table(old: Passages, plan: Plan, new: Passages | None, compact_at: float) -> tuple[Passages, Ints, bool]:
    """The passages after an update, the old ones that stay, and whether it was compacted."""
    corpus = old.corpus.with_metadata(plan.metadata) if plan.metadata else old.corpus
    if plan.dead:
        alive = np.ones(len(corpus), dtype=bool) if corpus.alive is None else corpus.alive.copy()
        alive[plan.dead] = False
        corpus = corpus.with_alive(alive)
    passages = old.with_corpus(corpus)
    n_dead = 0 if passages.living is None else len(passages) - len(passages.living)
    n_all = len(passages) + (0 if new is None else len(new))
    compacted = n_dead > compact_at * n_all
    remaining = np.arange(len(passages))
    if compacted and passages.living is not None:
        remaining, passages = passages.living, passages.compacted()
    if new is not None:
        passages = passages.followed_by(new)
    return passages, remaining, compacted


def _update(pipeline: PipelineBase, context: UpdateContext, *, moved: bool) -> None:
    """Update all components. This changes a twin, so that an error leaves the pipeline unchanged."""
    state = pipeline.fitted
    twin = pipeline.spec.clone()
    twin.spec.copy_state_from(pipeline)
    context.first = twin.retriever
    with context.ledger.stage("shared"):
        twin.prepare(context)
    for step, component in twin.steps:
        with context.ledger.stage(step.name):
            context.fit(component)
    context.finish()
    twin._fitted = Fitted(
        context.passages,
        costs=context.ledger,
        remarks=Remarks([*state.remarks, *context.remarks]),
        saved=_still_saved(twin, state.saved, context, moved),
    )
    pipeline.spec.copy_state_from(twin)


def _still_saved(pipeline: PipelineBase, saved: Saved | None, context: UpdateContext, moved: bool) -> Saved | None:
    """The location of a pipeline on disk, with the parts that an update left unchanged."""
    if saved is None:
        return None
    same = {
        f"state/{path}" for path, part in pipeline.spec.walk() if context.is_kept(part) or not part.spec.saves_state
    }
    same |= set() if moved else {"passages"}
    same |= set() if moved or context.metadata_changed else {"corpus"}
    return replace(saved, unchanged=(saved.unchanged & same) - {"deleted"})
