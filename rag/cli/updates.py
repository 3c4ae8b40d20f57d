"""``rag add``, ``delete``, ``sync``, ``compact``, ``rollback``, ``verify``: keeping a pipeline current and whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.calls import MAX_FAILED
from rag.cli.console import echo, print_json, progress
from rag.cli.documents import Reading, reads_documents
from rag.cli.options import (
    CompactOption,
    FilterOption,
    FolderArgument,
    JsonOption,
    KeepOption,
    MaxFailedOption,
    StoreOption,
)
from rag.cli.store import open_store
from rag.costs import check_calls
from rag.errors import ConfigError, DataError
from rag.limits import MAX_DELETES, check_deletes

if TYPE_CHECKING:
    from rag.pipeline.changes import Changes

__all__ = ["add", "compact", "delete", "rollback", "sync", "verify"]


@reads_documents
def add(
    folder: FolderArgument,
    reading: Reading,
    compact_at: CompactOption = 0.2,
    keep: KeepOption = None,
    store: StoreOption = None,
    max_failed: MaxFailedOption = MAX_FAILED,
    as_json: JsonOption = False,
) -> None:
    """Add documents to a saved pipeline, or replace those whose ids it has. What did not change is skipped."""
    from rag.pipeline import Pipeline

    with open_store(store) as kept, Pipeline.editing(folder, keep=keep) as pipeline:
        documents = reading.documents(kept)
        changes = pipeline.add(documents, store=kept, progress=progress, compact_at=compact_at)
        check_calls(pipeline.fit_costs, max_failed)
    _report(folder, changes, pipeline.corpus.n_alive, as_json)
    reading.end(documents.remarks)


def delete(
    folder: FolderArgument,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Documents to remove.")] = None,
    condition: FilterOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    compact_at: CompactOption = 0.2,
    keep: KeepOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove documents from a saved pipeline, by id or by a filter. Unknown ids are reported."""
    from rag.conditions import read_condition
    from rag.pipeline import Pipeline

    if bool(ids) == (condition is not None):
        raise ConfigError("give ids, or a condition with --filter")
    filter_condition = None if condition is None else read_condition(condition)
    if dry_run:
        pipeline = Pipeline.load(folder)
        changes = pipeline.delete(ids or None, filter=filter_condition, dry_run=True)
        for remark in changes.remarks:
            echo(f"{remark}", err=True)
    else:
        with open_store(store) as opened, Pipeline.editing(folder, keep=keep) as pipeline:
            changes = pipeline.delete(
                ids or None, filter=filter_condition, store=opened, progress=progress, compact_at=compact_at
            )
    _report(folder, changes, pipeline.corpus.n_alive, as_json, dry_run=dry_run)


@reads_documents
def sync(
    folder: FolderArgument,
    reading: Reading,
    max_deletes: Annotated[
        str,
        typer.Option(metavar="N|SHARE", help="Refuse to delete more documents than this: 500, or 50% of all."),
    ] = MAX_DELETES,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    compact_at: CompactOption = 0.2,
    keep: KeepOption = None,
    store: StoreOption = None,
    max_failed: MaxFailedOption = MAX_FAILED,
    as_json: JsonOption = False,
) -> None:
    """Make a saved pipeline hold these documents and no others."""
    from rag.pipeline import Pipeline

    with open_store(store) as kept:
        if dry_run:
            documents = reading.documents(kept)
            pipeline = Pipeline.load(folder)
            changes = pipeline.sync(documents, dry_run=True)
            try:
                check_deletes(changes.deleted, pipeline.corpus.n_alive, max_deletes)
            except DataError as error:
                echo(f"would be refused: {error}", err=True)
        else:
            with Pipeline.editing(folder, keep=keep) as pipeline:
                documents = reading.documents(kept)
                changes = pipeline.sync(
                    documents, store=kept, progress=progress, compact_at=compact_at, max_deletes=max_deletes
                )
                check_calls(pipeline.fit_costs, max_failed)
    _report(folder, changes, pipeline.corpus.n_alive, as_json, dry_run=dry_run)
    reading.end(documents.remarks)


def compact(folder: FolderArgument, keep: KeepOption = None, store: StoreOption = None) -> None:
    """Rewrite a saved pipeline without its deleted documents."""
    from rag.pipeline import Pipeline

    with open_store(store) as opened, Pipeline.editing(folder, keep=keep) as pipeline:
        deleted = len(pipeline.corpus) - pipeline.corpus.n_alive
        pipeline.compact(store=opened, progress=progress)
    echo(f"{folder}: {deleted} deleted documents removed, {len(pipeline.corpus)} left")


def rollback(
    folder: FolderArgument,
    steps: Annotated[int, typer.Option(min=1, help="How many generations to go back.")] = 1,
    show: Annotated[bool, typer.Option("--list", help="Show the generations that can be restored.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take back the last updates of a saved pipeline, as far as they were written with --keep."""
    from rag.pipeline import Pipeline

    if not show:
        Pipeline.rollback(folder, steps=steps)
    there = Pipeline.generations(folder)
    if as_json:
        print_json({"generations": [asdict(generation) for generation in there]})
        return
    for steps_back, generation in enumerate(there if show else there[:1]):
        label = "now" if steps_back == 0 else f"{steps_back} back"
        echo(
            f"{folder}: {label}: {generation.documents} documents, "
            f"written {generation.written or 'by an older version'}"
        )
    if not show:
        echo(f"{folder}: {len(there) - 1} earlier generations left")


def verify(folder: FolderArgument) -> None:
    """Read every file of a saved pipeline and compare checksums; exit code 2 when something is damaged."""
    from rag.store.folder import check_files, read_folder

    with progress("comparing checksums", None):
        _, manifest = read_folder(folder, "pipeline", verify=True)
        for generation in manifest.get("earlier", ()):
            check_files(folder, folder / generation["data"], generation["files"], verify=True)
    if any(name.endswith("/elsewhere.json") for name in manifest["files"]):
        from rag.component import HoldsElsewhere
        from rag.pipeline import Pipeline

        with progress("comparing what is on servers", None):
            for _, part in Pipeline.load(folder).spec.walk():
                if isinstance(part, HoldsElsewhere):
                    part.verify_elsewhere()
    files = manifest["files"].values()
    echo(f"{folder}: whole ({len(files)} files, {sum(file['bytes'] for file in files)} bytes)")


def _report(folder: Path, changes: Changes, n_documents: int, as_json: bool, *, dry_run: bool = False) -> None:
    if as_json:
        remarks = [remark.as_dict() for remark in changes.remarks]
        print_json(asdict(changes) | {"remarks": remarks, "documents": n_documents, "dry_run": dry_run})
        return
    if changes.unknown:
        echo(f"unknown ids: {', '.join(changes.unknown)}", err=True)
    if changes.stale:
        echo(f"stale: {changes.stale}; rag index (or rag eval --save) fits it again", err=True)
    verbs = ("added", "updated", *(["moved"] if changes.moved else []), "skipped", "deleted")
    also = {"updated": f" ({changes.relabeled} in metadata alone)" if changes.relabeled else ""}
    counts = ", ".join(f"{getattr(changes, verb)} {verb}{also.get(verb, '')}" for verb in verbs)
    would = "would be " if dry_run else ""
    compacted = ", compacted" if changes.compacted else ""
    if changes.deleted_ids:
        more = ", ..." if changes.deleted > len(changes.deleted_ids) else ""
        echo(f"{would}deleted: {', '.join(changes.deleted_ids)}{more}", err=True)
    echo(f"{folder}: {would}{counts}{compacted}; {n_documents} documents{' now' if dry_run else ''}")
