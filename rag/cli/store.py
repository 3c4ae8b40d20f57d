"""``rag store``: what the artifact store holds, and looking after it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.console import echo, out, print_json, progress
from rag.cli.options import JsonOption
from rag.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from rag.store.store import Entry, Mode, Store

__all__ = ["app", "open_store"]

app = typer.Typer(
    help="Show, check and clean the artifact store: cached vectors, indexes and other results.", no_args_is_help=True
)

StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Default: $RAG_STORE, or rag in the user's cache folder."),
]


@contextmanager
def open_store(option: str | None, mode: Mode = "use") -> Iterator[Store | None]:
    """The store that ``--store`` or ``RAG_STORE`` names, else the user's own; None for ``off``, or when the user's own
    cannot be made and nobody asked for it.
    """
    from rag.store.opening import store_at

    named = option or os.environ.get("RAG_STORE")
    if named == "off":
        if mode == "only":
            raise ConfigError("--store-mode only takes everything from the store, and the store is 'off'")
        yield None
        return
    try:
        store = store_at(named, mode=mode)
    except ArtifactError as error:
        if named:
            raise
        logging.getLogger("rag.store").warning("%s; nothing is cached", error)
        yield None
        return
    with store:
        yield store


@app.command()
def ls(folder: StoreFolder = None, as_json: JsonOption = False) -> None:
    """List what is kept, most recently used first."""
    from rich.table import Table

    entries = list(_existing(folder).entries())
    if as_json:
        print_json([_entry_json(entry) for entry in entries])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "size", "last used", "key", "what made it"):
        table.add_column(
            heading,
            no_wrap=heading != "what made it",
            overflow="ellipsis" if heading == "what made it" else "fold",
            justify="right" if heading == "size" else "left",
        )
    for entry in entries:
        used = entry.used.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(entry.kind, size_text(entry.bytes), used, entry.key[:12], entry.about)
    out().print(table)


@app.command()
def du(folder: StoreFolder = None, as_json: JsonOption = False) -> None:
    """Show how much is kept of each kind."""
    store = _existing(folder)
    sums: dict[str, int] = {}
    for entry in store.entries():
        sums[entry.kind] = sums.get(entry.kind, 0) + entry.bytes
    if as_json:
        print_json({"store": str(store.root), "bytes": sums, "total": sum(sums.values())})
        return
    for kind, size in sorted(sums.items(), key=lambda item: -item[1]):
        echo(f"{size_text(size):>10}  {kind}")
    echo(f"{size_text(sum(sums.values())):>10}  {store.root}")


@app.command()
def gc(
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove entries that have not been used for this long: 12h, 30d, 8w."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Remove the least recently used entries until this size is left: 500MB, 20GB."
        ),
    ] = None,
    folder: StoreFolder = None,
) -> None:
    """Remove what was not used for long, or what is too much. Nothing that is being made is touched."""
    from datetime import UTC, datetime, timedelta

    if older_than is None and keep is None:
        raise ConfigError("nothing to remove: give --older-than 30d, --keep 20GB, or both")
    limit = _bytes(keep) if keep is not None else None
    age = timedelta(hours=_hours(older_than)) if older_than is not None else None
    store = _existing(folder)
    entries = list(store.entries())
    doomed = [entry for entry in entries if age is not None and datetime.now(UTC) - entry.used > age]
    left = [entry for entry in entries if entry not in doomed]
    while limit is not None and left and sum(entry.bytes for entry in left) > limit:
        doomed.append(left.pop())  # the list is most recently used first
    removed = [entry for entry in doomed if store.remove(entry)]
    echo(f"removed {len(removed)} of {len(entries)}, {size_text(sum(entry.bytes for entry in removed))}")


@app.command()
def verify(folder: StoreFolder = None) -> None:
    """Read every file and compare checksums; exit code 2 when something is damaged."""
    store = _existing(folder)
    with progress("comparing checksums", None):
        damaged = store.verify()
    if damaged:
        raise ArtifactError("\n".join(damaged))
    echo(f"{store.root}: {len(list(store.entries()))} entries, all whole")


Url = Annotated[str, typer.Argument(metavar="URL", help="s3://BUCKET/PREFIX, gs://..., az://... or file:///FOLDER.")]


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A store.")],
    url: Url,
) -> None:
    """Upload what a bucket has not. Stopped in the middle, it goes on there; checksums are compared."""
    from rag.store.shared import Bucket, push

    with _existing(folder) as store:
        done = push(store, Bucket(url), progress=progress)
    echo(f"uploaded {done.artifacts} artifacts and {done.values:,} values; {done.there} artifacts were there")


@app.command()
def pull(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A store; made when missing.")],
    url: Url,
) -> None:
    """Download what a store has not. Stopped in the middle, it goes on there; checksums are compared."""
    from rag.store.shared import Bucket, pull
    from rag.store.store import Store

    bucket = Bucket(url)
    with Store(folder) as store:
        done = pull(bucket, store, progress=progress)
    echo(f"fetched {done.artifacts} artifacts and {done.values:,} values; {done.there} artifacts were there")


def _existing(folder: Path | None) -> Store:
    """A store that is there: looking at one that a typo names would make it."""
    from rag.store.store import Store

    if folder is not None and not folder.expanduser().is_dir():
        raise ArtifactError(f"{folder}: no store there")
    return Store(folder)


def size_text(size: float) -> str:
    """Bytes in a unit that suits them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _bytes(text: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?)B\s*", text)
    if match is None:
        raise ConfigError(f"--keep must be a size such as 500MB or 20GB, got '{text}'")
    return float(match[1]) * float(1000 ** "_kMGT".index(match[2] or "_"))


def _hours(text: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([hdw])\s*", text)
    if match is None:
        raise ConfigError(f"--older-than must be an age such as 12h, 30d or 8w, got '{text}'")
    return float(match[1]) * {"h": 1, "d": 24, "w": 168}[match[2]]


def _entry_json(entry: Entry) -> dict[str, object]:
    return {
        "kind": entry.kind,
        "key": entry.key,
        "bytes": entry.bytes,
        "used": entry.used.isoformat(timespec="seconds"),
        "about": entry.about,
        "path": str(entry.path),
    }
