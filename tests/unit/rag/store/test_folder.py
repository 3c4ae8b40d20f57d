"""Folders that are complete or not there at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import ArtifactError
from rag.store.fingerprint import fingerprint, fingerprint_texts
from rag.store.folder import FORMAT, read_folder, write_folder
from rag.store.writing import replace_file, replaced_folder


def save(folder, **files):
    with write_folder(folder, "thing", {"note": "é"}) as data:
        for name, content in files.items():
            file = data / name.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")


def load(folder, **options):
    data, _ = read_folder(folder, "thing", **options)
    return {
        path.relative_to(data).as_posix(): path.read_text(encoding="utf-8")
        for path in data.rglob("*")
        if path.is_file()
    }


def message_of(action, *args, **options):
    with pytest.raises(ArtifactError) as caught:
        action(*args, **options)
    return str(caught.value)


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_what_is_written_is_read(tmp_path):
    folder = tmp_path / "new" / "deep"
    save(folder, a="1", sub__b="żółw", empty="")
    assert load(folder, verify=True) == {"a": "1", "sub/b": "żółw", "empty": ""}
    _, manifest = read_folder(folder, "thing")
    assert ("thing", FORMAT, "é", 3) == (manifest["kind"], manifest["format"], manifest["note"], len(manifest["files"]))


def test_a_new_generation_replaces_the_old_one_and_leaves_nothing(tmp_path):
    save(tmp_path / "f", a="1", b="2")
    save(tmp_path / "f", a="3")
    assert load(tmp_path / "f") == {"a": "3"}
    assert len(list((tmp_path / "f").glob("[!.]*"))) == 2


def test_who_has_the_old_generation_open_keeps_it(tmp_path):
    save(tmp_path, a="old")
    data, _ = read_folder(tmp_path, "thing")
    with (data / "a").open() as file:
        save(tmp_path, a="new")
        assert file.read() == "old"


class Interrupted(BaseException):
    """Such as KeyboardInterrupt."""


@pytest.mark.parametrize("error", [ValueError("x"), Interrupted()])
def test_a_failure_changes_nothing(tmp_path, error):
    save(tmp_path / "f", a="1")
    before = tree(tmp_path)
    for folder in ("f", "new"):
        with pytest.raises(type(error)), write_folder(tmp_path / folder, "thing", {}) as data:
            (data / "a").write_text("2")
            raise error
    assert before == tree(tmp_path)


def test_a_full_disk_is_told_in_our_words(tmp_path):
    full = pytest.raises(ArtifactError, match="cannot be written: No space left on device")
    with full, write_folder(tmp_path / "f", "thing", {}):
        Path("/dev/full").write_text("x")
    assert not (tmp_path / "f").exists()


# -- foreign folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["thesis.txt", "data-2024/measurements.csv", "data-abc.csv", "data-/x", ".hidden", "sub/x"]
)
def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = tree(tmp_path)
    first = name.partition("/")[0]
    expected = f"{tmp_path} holds other files than a thing ({first}): choose a new folder"
    assert message_of(save, tmp_path, a="1") == expected
    assert before == tree(tmp_path)


def test_a_folder_of_another_kind_is_refused(tmp_path):
    with write_folder(tmp_path, "other", {}) as data:
        (data / "a").write_text("1")
    before = tree(tmp_path)
    assert "holds other files than a thing" in message_of(save, tmp_path, a="2")
    assert message_of(load, tmp_path) == f"{tmp_path}: holds a other, not a thing"
    assert before == tree(tmp_path)


def test_things_that_others_put_beside_ours_are_left_alone(tmp_path):
    save(tmp_path, a="1")
    (tmp_path / "data-2024").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    save(tmp_path, a="2")
    assert load(tmp_path) == {"a": "2"}
    assert (tmp_path / "data-2024").is_dir()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "f").write_text("mine")
    assert message_of(save, tmp_path / "f", a="1") == f"{tmp_path / 'f'} is a file: name a folder to write the thing to"
    assert (
        message_of(save, tmp_path / "f" / "g", a="1") == f"{tmp_path / 'f' / 'g'}: cannot be written: Not a directory"
    )


def test_a_folder_above_the_saved_one_is_told_apart(tmp_path):
    save(tmp_path / "index", a="1")
    assert message_of(load, tmp_path).endswith(f"(no manifest.json); did you mean {tmp_path / 'index'}?")


def test_what_a_killed_writer_left_is_cleaned_up(tmp_path):
    (tmp_path / "data-0123456789ab").mkdir()
    (tmp_path / "data-0123456789ab" / "a").write_text("half")
    (tmp_path / ".manifest.json.01234567").write_text("{")
    assert message_of(load, tmp_path) == f"{tmp_path}: no saved thing there (no manifest.json)"
    for text in ("1", "2"):
        save(tmp_path, a=text)
        assert load(tmp_path) == {"a": text}
        assert len(list(tmp_path.glob("[!.]*"))) == 2
        (tmp_path / "data-ba9876543210").mkdir()
        (tmp_path / ".manifest.json.76543210").write_text("{")


# -- damage -------------------------------------------------------------------------------------------------------


def data_of(folder):
    return folder / json.loads((folder / "manifest.json").read_text())["data"]


def test_missing_and_shortened_files_are_found(tmp_path):
    save(tmp_path, a="12345", sub__b="1")
    file = data_of(tmp_path) / "a"
    file.write_text("1234")
    assert message_of(load, tmp_path) == f"{tmp_path}: damaged: a has 4 bytes, expected 5"
    file.unlink()
    assert message_of(load, tmp_path) == f"{tmp_path}: damaged: a is missing"
    file.write_text("12345")
    (data_of(tmp_path) / "sub" / "b").rename(data_of(tmp_path) / "b")
    assert message_of(load, tmp_path) == f"{tmp_path}: damaged: sub/b is missing"


def test_changed_files_are_found_by_their_time_or_when_asked_to_verify(tmp_path, monkeypatch):
    monkeypatch.setattr("rag.store.folder._SMALL", 0)
    save(tmp_path, a="12345")
    file = data_of(tmp_path) / "a"
    about = file.stat()
    file.write_text("12344")
    assert message_of(load, tmp_path) == f"{tmp_path}: damaged: the checksum of a is wrong"
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert load(tmp_path) == {"a": "12344"}
    assert message_of(load, tmp_path, verify=True) == f"{tmp_path}: damaged: the checksum of a is wrong"


def test_nothing_there(tmp_path):
    expected = f"{tmp_path / 'no'}: no saved thing there (no manifest.json)"
    assert message_of(load, tmp_path / "no") == expected


def test_a_newer_format_is_refused_whatever_it_looks_like(tmp_path):
    for manifest in ({"files": {}, "data": "x"}, {"blobs": [1]}, {"files": ["a"]}):
        (tmp_path / "manifest.json").write_text(json.dumps({"kind": "thing", "format": FORMAT + 1} | manifest))
        expected = f"{tmp_path}: written in format {FORMAT + 1} by a newer version; this one reads up to {FORMAT}"
        assert message_of(load, tmp_path) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "5", "{}", '{"kind": "thing"}', '{"kind": "thing", "format": "1", "files": {}, "data": "x"}',
        '{"kind": "thing", "format": 1, "data": "x"}', '{"kind": "thing", "format": 1, "files": {}}',
        '{"kind": "thing", "format": 1, "files": {"a": 5}, "data": "x"}',
        '{"kind": "thing", "format": 1, "files": {"a": {"bytes": 1}}, "data": "x"}',
        '{"kind": "thing", "format": 1, "files": {}, "data": 5}', "\udcff",
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be_read(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    said = "its manifest.json cannot be read: write it again into the same folder, or put a copy back"
    assert message_of(load, tmp_path) == f"{tmp_path}: {said}"


def test_replacing_a_file_leaves_no_other(tmp_path):
    for text in ("1", "żółw"):
        replace_file(tmp_path / "x", text)
        assert text == (tmp_path / "x").read_text(encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        replace_file(tmp_path / "x", "\ud800")
    assert ("żółw", ["x"]) == ((tmp_path / "x").read_text(encoding="utf-8"), os.listdir(tmp_path))


# -- fingerprints -------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), JSON, min_size=2, max_size=5))
def test_a_fingerprint_knows_no_order_of_keys(value):
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))
    assert len(fingerprint(value)) == 32


@given(JSON, JSON)
def test_fingerprints_are_equal_when_the_values_are(value, other):
    same = json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert same == (fingerprint(value) == fingerprint(other))


@given(st.lists(st.text()), st.lists(st.text()))
def test_texts_have_one_fingerprint_each(texts, other):
    assert (texts == other) == (fingerprint_texts(texts) == fingerprint_texts(other))


def test_the_fingerprint_of_what_json_cannot_hold_is_not_guessed():
    with pytest.raises(TypeError):
        fingerprint({"a": object()})
    assert fingerprint_texts(["ab"]) != fingerprint_texts(["a", "b"])
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e"  # never changes


def test_a_folder_takes_the_place_of_another_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "run"
    for text in ("one", "two"):
        with replaced_folder(folder) as new:
            (new / "a.txt").write_text(text)
    assert (folder / "a.txt").read_text() == "two"
    with pytest.raises(ValueError), replaced_folder(folder) as new:
        (new / "a.txt").write_text("three")
        raise ValueError
    rename = Path.rename

    def full(self, target):
        if ".old." not in target.name and ".old." not in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ArtifactError, match="cannot be written: No space left"), replaced_folder(folder) as new:
        (new / "a.txt").write_text("four")
    assert (folder / "a.txt").read_text() == "two"
    assert [path.name for path in folder.parent.iterdir()] == ["run"]
