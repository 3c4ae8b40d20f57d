"""What only Linux has, taken away: there is another way each time."""

from __future__ import annotations

import errno
import importlib.util
import mmap
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rag
from rag import Corpus, Document, Store
from rag.eval.runs.provenance import machine
from rag.models.threads import usable_cores
from rag.retrievers.indexes.milvus.generations import _is_alive, _own_process, _process
from rag.serving.server import _allow_files
from rag.store.spill import released
from rag.store.writing import plain_name, replace_file, sync


def refused(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "no links here")


def test_files_are_copied_where_there_are_no_links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "link", refused)

    def make(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("a", encoding="utf-8")

    folder = Store(tmp_path).resumable("index", "key", make, description="made")
    assert (folder / "inner" / "a").read_text(encoding="utf-8") == "a"


def test_windows_syncs_files_open_for_writing_and_no_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[tuple[str, int]] = []
    plain = os.open

    def noted(path: Any, flags: int, *more: Any) -> int:
        opened.append((os.path.basename(path), flags & os.O_ACCMODE))
        return plain(path, flags, *more)

    file = tmp_path / "a"
    replace_file(file, "text")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", noted)
        patch.setattr(os, "name", "nt")
        sync(file)
        sync(tmp_path)
    assert opened == [("a", os.O_RDWR)]


@pytest.mark.parametrize("missing", [("/proc",), ("/proc", "/dev")])
def test_a_corpus_needs_no_proc(monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]) -> None:
    plain = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: not str(path).startswith(missing) and plain(path))
    corpus = Corpus.from_documents([Document("a", "some text"), Document("b", "more")])
    assert [document.text for document in corpus.documents(np.array([1, 0]))] == ["more", "some text"]


def test_cores_are_counted_without_affinity_and_control_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path / "none") == 6


def test_the_machine_has_a_name_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", refused)
    assert f"{os.cpu_count()} cores" in machine()


def test_the_server_starts_without_limits_of_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    _allow_files(100)


def test_vectors_in_a_file_need_no_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(mmap, "MADV_DONTNEED", raising=False)
    vectors = np.memmap(tmp_path / "v", dtype=np.float32, mode="w+", shape=(4, 2))
    released(vectors)
    assert vectors.shape == (4, 2)


def test_no_process_is_ended_by_asking_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows ``os.kill`` with signal 0 sends a console event."""
    own = _process(_own_process())
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "kill", refused)
    assert _is_alive(own, 1)
    assert not _is_alive((own[0], own[1], own[2] - 48), 1)


@pytest.mark.parametrize(
    ("name", "file"), [("irds:beir/scifact", "irds-beir-scifact"), ("a b.c", "a b.c"), ('x<>|?*\\"\n', "x--------")]
)
def test_names_are_names_of_files_everywhere(name: str, file: str) -> None:
    assert plain_name(name) == file


def test_a_checkout_without_links_says_so(tmp_path: Path) -> None:
    assert rag.__file__
    package = tmp_path / "rag"
    package.mkdir()
    shutil.copy(rag.__file__, package / "__init__.py")
    (package / "eval").write_text("../eval", encoding="utf-8")  # what git leaves in place of a link
    spec = importlib.util.spec_from_file_location("rag_without_links", package / "__init__.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.raises(ImportError, match=r"checkout was made without symbolic links.*core\.symlinks true"):
        spec.loader.exec_module(module)
