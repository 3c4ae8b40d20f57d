"""``rag add``, ``delete``, ``sync``, ``compact``, ``verify``: keeping a saved pipeline current and whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.console import echo
from rag.store.cli import open_store

if TYPE_CHECKING:
    from rag.updates import Changes

__all__ = ["register"]

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="What `rag index` wrote.")]
CorpusOption = Annotated[
    str,
    typer.Option(
        "--corpus", metavar="PATH", help="Documents: a JSONL, CSV or Parquet file, a BEIR or text folder, hf:NAME."
    ),
]
IdFieldOption = Annotated[str | None, typer.Option(help="Field that holds the id.")]
TextFieldOption = Annotated[str | None, typer.Option(help="Field that holds the text.")]
TitleFieldOption = Annotated[str | None, typer.Option(help="Field that holds the title, put before the text.")]
CompactOption = Annotated[
    float,
    typer.Option(
        "--compact-at", min=0.0, max=1.0, help="Rewrite without deleted documents when more than this fraction is."
    ),
]
StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="DIR", help="Where vectors are kept and found again; 'off': nowhere.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def register(app: typer.Typer) -> None:
    """Put the commands into an application."""
    for command in (add, delete, sync, compact, verify):
        app.command()(command)


def add(
    folder: FolderArgument,
    corpus: CorpusOption,
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    title_field: TitleFieldOption = None,
    compact_at: CompactOption = 0.2,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add documents to a kept pipeline, or replace those whose ids it has. What did not change is skipped."""
    from rag.console import progress
    from rag.pipeline import Pipeline

    with open_store(store) as kept, Pipeline.editing(folder) as pipeline:
        documents = _read(corpus, id_field, text_field, title_field)
        changes = pipeline.add(documents, store=kept, progress=progress, compact_at=compact_at)
    _report(folder, changes, pipeline.corpus.n_alive, as_json)


def delete(
    folder: FolderArgument,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Documents to remove.")],
    compact_at: CompactOption = 0.2,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove documents from a kept pipeline. Unknown ids are reported."""
    from rag.console import progress
    from rag.pipeline import Pipeline

    with open_store(store) as kept, Pipeline.editing(folder) as pipeline:
        changes = pipeline.delete(ids, store=kept, progress=progress, compact_at=compact_at)
    _report(folder, changes, pipeline.corpus.n_alive, as_json)


def sync(
    folder: FolderArgument,
    corpus: CorpusOption,
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    title_field: TitleFieldOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    compact_at: CompactOption = 0.2,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a kept pipeline hold these documents and no others."""
    from rag.console import progress
    from rag.pipeline import Pipeline

    if dry_run:
        documents = _read(corpus, id_field, text_field, title_field)
        pipeline = Pipeline.load(folder)
        changes = pipeline.sync(documents, dry_run=True)
    else:
        with open_store(store) as kept, Pipeline.editing(folder) as pipeline:
            documents = _read(corpus, id_field, text_field, title_field)
            changes = pipeline.sync(documents, store=kept, progress=progress, compact_at=compact_at)
    _report(folder, changes, pipeline.corpus.n_alive, as_json, dry_run=dry_run)


def compact(folder: FolderArgument, store: StoreOption = None) -> None:
    """Rewrite a kept pipeline without its deleted documents."""
    from rag.console import progress
    from rag.pipeline import Pipeline

    with open_store(store) as kept, Pipeline.editing(folder) as pipeline:
        deleted = len(pipeline.corpus) - pipeline.corpus.n_alive
        pipeline.compact(store=kept, progress=progress)
    echo(f"{folder}: {deleted} deleted documents removed, {len(pipeline.corpus)} left")


def verify(folder: FolderArgument) -> None:
    """Read every file of a kept pipeline and compare checksums; exit code 2 when something is damaged."""
    from rag.store.folder import read_folder

    _, manifest = read_folder(folder, "pipeline", verify=True)
    files = manifest["files"].values()
    echo(f"{folder}: whole ({len(files)} files, {sum(file['bytes'] for file in files)} bytes)")


def _read(corpus: str, id_field: str | None, text_field: str | None, title_field: str | None) -> Any:
    from rag.console import progress
    from rag.corpus.readers import read_corpus

    with progress("reading documents", None) as advance:
        return read_corpus(corpus, id_field=id_field, text_field=text_field, title_field=title_field, advance=advance)


def _report(folder: Path, changes: Changes, n_documents: int, as_json: bool, *, dry_run: bool = False) -> None:
    from rag.console import print_json

    if as_json:
        print_json(asdict(changes) | {"documents": n_documents, "dry_run": dry_run})
        return
    if changes.unknown:
        echo(f"unknown ids: {', '.join(changes.unknown)}", err=True)
    if changes.stale:
        echo(f"stale: {changes.stale}; rag index (or rag eval --save) fits it again", err=True)
    counts = ", ".join(f"{getattr(changes, name)} {name}" for name in ("added", "updated", "skipped", "deleted"))
    would = "would be " if dry_run else ""
    compacted = ", compacted" if changes.compacted else ""
    echo(f"{folder}: {would}{counts}{compacted}; {n_documents} documents{' now' if dry_run else ''}")
