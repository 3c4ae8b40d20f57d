"""Keeping a fitted pipeline current: documents come and go without everything being built again.

A deleted document is marked and no longer found; a changed one is deleted and added. The rows of deleted documents
stay where they are, so that nothing else moves, until they are so many that everything is rewritten without them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.conditions import Condition
from rag.context import FitContext, Progress
from rag.corpus.corpus import Corpus
from rag.corpus.kinds import other_kinds
from rag.corpus.passages import Passages
from rag.corpus.readers import read_corpus
from rag.corpus.same_files import named_as_before
from rag.costs import Ledger
from rag.errors import ConfigError, DataError
from rag.limits import check_deletes, parse_limit
from rag.progress import announced
from rag.remarks import Remark, Remarks
from rag.store.folder import link_file, link_files, locked, read_folder
from rag.store.store import Store

if TYPE_CHECKING:
    from rag.pipeline import Pipeline

__all__ = ["COMPACT_AT", "Changes", "Saved", "add", "compact", "delete", "editing", "sync"]

COMPACT_AT = 0.2
"""Fraction of passages that belong to deleted documents, beyond which everything is rewritten without them."""

_BLOCK = 2048

logger = logging.getLogger("rag.updates")


@dataclass(frozen=True)
class Changes:
    """What an update did.

    Args:
        added: Documents with new ids.
        updated: Documents whose text or metadata changed.
        skipped: Documents that were there already, just so.
        deleted: Documents removed.
        unknown: Ids to delete that were not there.
        compacted: Whether everything was rewritten without deleted documents.
        stale: What of the pipeline was fitted on documents too different from those it has now, in words; empty for
            nothing.
        remarks: What was left out of the documents given, and of the index; what is odd about the documents, or about
            the filter that chose them.
    """

    added: int = 0
    updated: int = 0
    skipped: int = 0
    deleted: int = 0
    unknown: tuple[str, ...] = ()
    compacted: bool = False
    stale: str = ""
    remarks: tuple[Remark, ...] = ()


@dataclass
class _Plan:
    """What to do: rows of the documents given are appended, positions die, metadata is replaced in place."""

    given: Corpus | None = None
    append: list[int] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    metadata: dict[int, Any] = field(default_factory=dict)


def add(
    pipeline: Pipeline,
    documents: Any,
    *,
    store: Any,
    progress: Progress,
    compact_at: float,
    drop_fields: Collection[str],
) -> Changes:
    """See :meth:`rag.Pipeline.add`."""
    given = named_as_before(read_corpus(documents, drop_fields=drop_fields), pipeline.corpus)
    plan, changes, _ = _compared(pipeline.corpus, given)
    return _carry_out(pipeline, plan, changes, store=store, progress=progress, compact_at=compact_at)


def delete(
    pipeline: Pipeline,
    ids: Iterable[str] | None,
    condition: Condition | None,
    *,
    store: Any,
    progress: Progress,
    compact_at: float,
    dry_run: bool,
) -> Changes:
    """See :meth:`rag.Pipeline.delete`."""
    corpus = pipeline.corpus
    if (ids is None) == (condition is None):
        raise DataError(f"delete takes either ids or a filter, got {'neither' if ids is None else 'both'}")
    if condition is not None:
        mask = corpus.fields.mask(condition)
        dead = np.flatnonzero(mask if corpus.alive is None else mask & corpus.alive).tolist()
        changes = Changes(deleted=len(dead), remarks=corpus.fields.remarks(condition))
    else:
        if isinstance(ids, str):
            raise DataError(f"delete takes a sequence of ids, got the text {ids!r}")
        places = {id: corpus.position(id) for id in ids or ()}
        dead = [place for place in places.values() if place is not None]
        changes = Changes(deleted=len(dead), unknown=tuple(id for id, place in places.items() if place is None))
    plan = _Plan(dead=dead)
    if dry_run:
        _check(corpus, plan)
        return changes
    return _carry_out(pipeline, plan, changes, store=store, progress=progress, compact_at=compact_at)


def sync(
    pipeline: Pipeline,
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
    plan, changes, met = _compared(corpus, read_corpus(documents, drop_fields=drop_fields))
    gone = np.setdiff1d(np.arange(len(corpus)) if corpus.alive is None else np.flatnonzero(corpus.alive), met)
    plan.dead += gone.tolist()
    changes = replace(changes, deleted=len(gone))
    if dry_run:
        noticed = plan.given.remarks if plan.given is not None else ()
        return replace(changes, remarks=(*noticed, *_check(corpus, plan)))
    check_deletes(len(gone), corpus.n_alive, max_deletes)
    return _carry_out(pipeline, plan, changes, store=store, progress=progress, compact_at=compact_at)


def compact(pipeline: Pipeline, *, store: Any, progress: Progress) -> Changes:
    """See :meth:`rag.Pipeline.compact`."""
    return _carry_out(pipeline, _Plan(), Changes(), store=store, progress=progress, compact_at=0.0)


@contextmanager
def editing(folder: Path, *, keep: int | None = None) -> Iterator[Pipeline]:
    """See :meth:`rag.Pipeline.editing`."""
    from rag.pipeline import Pipeline

    read_folder(folder, Pipeline.kind)  # no lock is left where there is nothing
    with locked(folder):
        pipeline = Pipeline.load(folder)
        yield pipeline
        changed = Saved.parts_of(pipeline) - (pipeline._saved.as_before if pipeline._saved else set())
        if changed - {"deleted"}:  # what is damaged must not be written again under a new checksum
            read_folder(folder, Pipeline.kind, verify=True)
        if changed:
            pipeline.save(folder, keep=keep)


# -- what to do ---------------------------------------------------------------------------------------------------


def _compared(old: Corpus, given: Corpus) -> tuple[_Plan, Changes, list[int]]:
    """What adding documents takes, the counts, and the positions of all whose ids are known."""
    plan = _Plan(given)
    met: list[int] = []
    added = skipped = 0
    for first in range(0, len(given), _BLOCK):
        block = given.documents(np.arange(first, min(first + _BLOCK, len(given))))
        places = [old.position(document.id) for document in block]
        known = [place for place in places if place is not None]
        before = dict(zip(known, old.documents(known), strict=True))
        met += known
        for row, (document, place) in enumerate(zip(block, places, strict=True), first):
            if place is None:
                added += 1
                plan.append.append(row)
            elif document.text != before[place].text:
                plan.append.append(row)
                plan.dead.append(place)
            elif not _alike(document.metadata, before[place].metadata):
                plan.metadata[place] = document.metadata
            else:
                skipped += 1
    return plan, Changes(added=added, updated=len(given) - added - skipped, skipped=skipped), met


def _alike(one: Any, other: Any) -> bool:
    """Whether two values of metadata say the same: true is not 1, and NaN is NaN."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _check(corpus: Corpus, plan: _Plan) -> list[Remark]:
    """Refuse what would leave no document, and say where metadata come that are of another kind than there were."""
    if not plan.append and corpus.n_alive == len(plan.dead):
        raise DataError("no document would be left: remove the folder instead, or index others")
    if plan.given is not None and (plan.append or plan.metadata):
        alive = np.ones(len(corpus), dtype=bool) if corpus.alive is None else corpus.alive.copy()
        alive[plan.dead] = False
        alive[list(plan.metadata)] = False
        changed = set(plan.append) | {
            row for row, id in enumerate(plan.given.ids()) if corpus.position(id) in plan.metadata
        }
        return other_kinds(corpus, np.flatnonzero(alive), plan.given, np.array(sorted(changed), dtype=np.int64))
    return []


# -- doing it -----------------------------------------------------------------------------------------------------


def _carry_out(
    pipeline: Pipeline, plan: _Plan, changes: Changes, *, store: Any, progress: Progress, compact_at: float
) -> Changes:
    if not 0 <= compact_at <= 1:
        raise ConfigError(f"must be a fraction from 0 to 1, got {compact_at}", parameter="compact_at")
    if store is not None and not isinstance(store, Store):
        store = Store(store)
    remarks = Remarks([*changes.remarks, *_check(pipeline.corpus, plan)])
    ledger = Ledger()
    old = pipeline.passages
    corpus = old.corpus.with_metadata(plan.metadata) if plan.metadata else old.corpus
    if plan.dead:
        alive = np.ones(len(corpus), dtype=bool) if corpus.alive is None else corpus.alive.copy()
        alive[plan.dead] = False
        corpus = corpus.with_alive(alive)
    passages = old.with_corpus(corpus)
    for remark in remarks:
        logger.warning("%s", remark)
    remarks.extend(plan.given.remarks if plan.given is not None else ())
    with ledger.stage("chunker"):
        new = _chunked(pipeline, plan)
    n_dead = 0 if passages.living is None else len(passages) - len(passages.living)
    n_all = len(passages) + (0 if new is None else len(new))
    compacted = n_dead > compact_at * n_all
    kept = np.arange(len(passages))
    if compacted and passages.living is not None:
        kept, passages = passages.living, passages.compacted()
    if new is not None:
        passages = passages.followed_by(new)
    if plan.append or plan.dead or plan.metadata or compacted:
        context = FitContext(passages.corpus, passages, ledger=ledger, progress=progress, store=store, kept=kept)
        context.relabelled = bool(plan.metadata)
        with announced(progress):
            _update(pipeline, context, moved=compacted or new is not None)
        remarks.extend(context.remarks)
    return replace(changes, compacted=compacted, stale=pipeline.stale() or "", remarks=tuple(remarks))


def _chunked(pipeline: Pipeline, plan: _Plan) -> Passages | None:
    if plan.given is None or not plan.append:
        return None
    rows = plan.given if len(plan.append) == len(plan.given) else plan.given.rows(np.array(plan.append))
    return pipeline.chunker.chunk(rows, pipeline._tokenizer())


def _update(pipeline: Pipeline, context: FitContext, *, moved: bool) -> None:
    """Bring all components up to date. They are changed in a twin, so that an error leaves the pipeline as it was."""
    twin = pipeline.spec.clone()
    twin.spec.copy_state_from(pipeline)
    context.first = twin.retriever
    with context.ledger.stage("shared"):
        twin.prepare(context)
    for name, component in twin._steps():
        with context.ledger.stage(name):
            context.fit(component)
    context.finish()
    twin.fit_costs = context.ledger
    twin.reused = ()
    twin._keys = []
    twin._fit_remarks = Remarks([*pipeline._fit_remarks, *context.remarks])
    twin._passages = context.passages
    if twin._saved is not None:
        same = {
            f"state/{path}" for path, part in twin.spec.walk() if context.is_kept(part) or not part.spec.saves_state
        }
        same |= set() if moved else {"passages"}
        same |= set() if moved or context.relabelled else {"corpus"}
        twin._saved = replace(twin._saved, as_before=(twin._saved.as_before & same) - {"deleted"})
    pipeline.spec.copy_state_from(twin)


@dataclass(frozen=True)
class Saved:
    """Where a pipeline was saved, or loaded from, and what of it is still as it lies there.

    Args:
        data: The folder of the generation.
        as_before: ``corpus``, ``passages``, ``deleted``, and ``state/PLACE`` for every component.
    """

    data: Path
    as_before: frozenset[str]

    @classmethod
    def all_of(cls, pipeline: Pipeline, data: Path, *, migrated: bool = False) -> Saved:
        """Everything is; nothing of an older format, which is to be written anew."""
        return cls(data, frozenset() if migrated else cls.parts_of(pipeline))

    @staticmethod
    def parts_of(pipeline: Pipeline) -> frozenset[str]:
        """All parts that a saved pipeline has."""
        return frozenset(
            {"corpus", "passages", "deleted"} | {f"state/{path}" for path, _ in pipeline.spec.walk() if path}
        )

    def linked_into(self, generation: Path) -> frozenset[str]:
        """Link the files of all parts that are as they were into a new generation of the same folder; which parts."""
        if self.data.parent.absolute() != generation.parent.absolute() or not self.data.is_dir():
            return frozenset()
        files = {"corpus": ["corpus.arrow"], "passages": ["passages.npy", "passages.json"]}
        for part in self.as_before - {"deleted"}:
            for name in files.get(part, ()):
                link_file(self.data / name, generation / name)
            if part.startswith("state/") and (self.data / part).is_dir():
                (generation / part).mkdir(parents=True)
                link_files(self.data / part, generation / part)
        return self.as_before
