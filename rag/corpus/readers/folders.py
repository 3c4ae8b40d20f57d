"""Select the files of a folder to read: a corpus, texts, or parts of a table; others are counted by suffix."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rag.corpus.readers.converting import is_document
from rag.corpus.readers.reading import Reading
from rag.corpus.readers.rows import TABLES
from rag.errors import DataError, system_message
from rag.formats.base import format_of
from rag.formats.registry import is_code

__all__ = ["files_of"]

_CORPUS = tuple(f"corpus.jsonl{packed}" for packed in ("", ".gz", ".bz2"))
_BESIDE_A_CORPUS = {"queries.jsonl", "dataset.json"}
_ABOUT_A_DATASET = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json"}
_ABOUT = {"readme", "license", "notice", "citation", "changelog"}
"""Names of texts that tell about the tables beside them."""

_SHARD = re.compile(r"[-_.]?\d+(?:-of-\d+)?$")
_SPLITS = ("corpus", "train", "test", "validation", "valid", "val", "dev", "queries", "qrels")
"""Words in names of files or folders that say which part of a dataset they hold; of several, the first two are taken
without being named."""


def files_of(folder: Path, reading: Reading) -> list[Path]:
    """The files of a folder that hold documents, in order; hidden ones never do. Of files that are not read there is a
    remark.

    ``corpus.jsonl`` where there is one; else all documents that some reader reads, source code only where there is
    nothing else; else, where the only texts tell about tables (``README.md``), the tables, which are parts of one: of a
    dataset in splits, those of ``corpus`` or ``train``. Links that lead out of the folder are not followed.

    Raises:
        DataError: Nothing there can be read, or it is not clear what should be.
    """
    folder = _snapshot(folder)
    files = _files_below(folder, reading)
    chosen = _chosen(folder, files)
    if not chosen:
        has = f"; it has {_by_suffix(files)}" if files else ""
        raise DataError(f"{folder}: the folder has neither a corpus.jsonl nor any document, nor a table{has}")
    read = set(chosen)
    if left := [path for path in files if path not in read and not _belongs_to_corpus(path, chosen)]:
        names = [path.relative_to(folder).as_posix() for path in left]
        n = len(left) + len(chosen)
        formats = ", ".join(sorted({format_of(path) for path in chosen}))
        message = f"{folder}: {len(left)} of {n} files were not read: {_by_suffix(left)} (read were: {formats})"
        reading.remarks.add("files_not_read", message, count=len(left), total=n, examples=names)
    return chosen


def _files_below(folder: Path, reading: Reading) -> list[Path]:
    """All files that are not hidden, in order. Links that lead out, or to folders, are counted and not followed."""

    def refuse(error: OSError) -> None:
        location = error.filename or folder
        reading.fail(DataError(f"{location}: cannot be read: {system_message(error)}"), unit="documents")

    files: list[Path] = []
    links: list[Path] = []
    others: list[Path] = []
    root = folder.resolve()
    root = root.parent.parent if root.parent.name == "snapshots" else root  # there all files are links to `blobs`
    for base, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links += [path for name in folders if (path := Path(base, name)).is_symlink()]
        for path in (Path(base, name) for name in names if not name.startswith(".")):
            if path.is_symlink() and not path.exists():
                if _is_readable(path):
                    error = DataError(f"{path}: is a broken link: is the download complete?")
                    reading.fail(error, unit="documents" if is_document(path.name) else "files")
            elif path.is_symlink() and not path.resolve().is_relative_to(root):
                links.append(path)
            elif path.is_file():
                files.append(path)
            else:
                others.append(path)
    if others:
        names = sorted(path.relative_to(folder).as_posix() for path in others)
        message = f"{folder}: {len(names)} pipes, sockets or devices were not read: {', '.join(names[:3])}"
        reading.remarks.add("files_not_regular", message, count=len(names), examples=names)
    if links:
        names = sorted(path.relative_to(folder).as_posix() for path in links)
        message = f"{folder}: {len(names)} links lead out of the folder, or to folders, and were not followed: "
        message += ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        reading.remarks.add("links_not_followed", message, count=len(names), examples=names)
    return sorted(files)


def _snapshot(folder: Path) -> Path:
    """The revision that is checked out in the Hub's cache of a dataset; any other folder as it is."""
    main = folder / "refs" / "main"
    if main.is_file() and (folder / "snapshots").is_dir():
        return folder / "snapshots" / main.read_text(encoding="utf-8").strip()
    return folder


def _chosen(folder: Path, files: Sequence[Path]) -> list[Path]:
    for name in _CORPUS:
        if folder / name in files:
            return [folder / name]
    texts = [path for path in files if is_document(path.name)]
    texts = [path for path in texts if not is_code(format_of(path))] or texts
    tables = [path for path in files if format_of(path) in TABLES and path.name not in _ABOUT_A_DATASET]
    if not tables or any(path.stem.lower() not in _ABOUT for path in texts):
        return texts
    return _parts(folder, tables)


def _parts(folder: Path, tables: Sequence[Path]) -> list[Path]:
    formats = Counter(map(format_of, tables))
    if len(formats) > 1:
        raise DataError(
            f"{folder}: has tables of several formats ({_by_suffix(tables)}): name those to read, such as "
            f"'{folder}/*{next(iter(formats))}'"
        )
    by_split: dict[str, list[Path]] = {}
    for path in tables:
        by_split.setdefault(_split_of(path.relative_to(folder)), []).append(path)
    if len(by_split) == 1:
        return list(tables)
    for name in _SPLITS[:2]:
        if name in by_split:
            return by_split[name]
    example = by_split[min(by_split, key=lambda name: not name)][0].relative_to(folder).as_posix()
    raise DataError(
        f"{folder}: has parts of several tables ({', '.join(sorted(name or 'others' for name in by_split))}): name "
        f"the files that are wanted, such as '{folder}/{re.sub(r'[0-9].*(?=[.])', '*', example)}'"
    )


def _split_of(path: Path) -> str:
    """Which part of a dataset a file holds, by its name or that of its folder; empty when they say nothing."""
    stem = path.name.partition(".")[0]
    words = [_SHARD.sub("", stem), stem, *reversed(path.parent.parts)]
    return next((word.lower() for word in words if word.lower() in _SPLITS), "")


def _by_suffix(files: Iterable[Path]) -> str:
    counts = Counter(format_of(path) or "without suffix" for path in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())


def _is_readable(path: Path) -> bool:
    return is_document(path.name) or format_of(path) in TABLES


def _belongs_to_corpus(path: Path, chosen: Sequence[Path]) -> bool:
    """Whether a file belongs to the files beside ``corpus.jsonl`` in the layout of BEIR."""
    corpus = chosen[0]
    beside = corpus.name in _CORPUS and (path.name in _BESIDE_A_CORPUS or path.parent.name == "qrels")
    return beside and corpus.parent in path.parents
