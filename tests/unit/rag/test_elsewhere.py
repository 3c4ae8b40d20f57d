"""What a folder holds elsewhere is kept there, and given up when the folder does not hold it any more."""

from __future__ import annotations

import itertools
import json
from importlib.metadata import EntryPoint

import pytest

from rag import ArtifactError, Document, Pipeline, registry
from rag.component import HoldsElsewhere
from rag.retrievers import BM25
from rag.store import folder as folders

KEPT: set[int] = set()
NUMBERS = itertools.count(1)
DOCUMENTS = [Document("a", "red"), Document("b", "green")]


class OnServer(BM25, HoldsElsewhere):
    """Each fit makes a version on a server, which keeps those that it is told to keep."""

    type = "bm25_on_server"
    number = 0

    def fit(self, context):
        super().fit(context)
        self.number = next(NUMBERS)

    def update(self, context, kept):
        super().update(context, kept)
        self.number = next(NUMBERS)

    def save_state(self, folder):
        super().save_state(folder)
        (folder / "elsewhere.json").write_text(json.dumps({"number": self.number}))

    def load_state(self, folder, context):
        super().load_state(folder, context)
        self.number = json.loads((folder / "elsewhere.json").read_text())["number"]

    def keep_elsewhere(self):
        KEPT.add(self.number)

    def give_up_elsewhere(self, states):
        KEPT.difference_update(state["number"] for state in states)

    def verify_elsewhere(self):
        pass


@pytest.fixture
def saved(tmp_path, monkeypatch):
    KEPT.clear()
    entry = EntryPoint("retriever.bm25_on_server", f"{__name__}:OnServer", registry.GROUP)
    known = registry._entries()
    ours = {**known, "retriever": {**known["retriever"], OnServer.type: [entry]}}
    monkeypatch.setattr(registry, "_entries", lambda: ours)

    def save(**arguments) -> int:
        pipeline = Pipeline(retriever=OnServer()).fit(DOCUMENTS)
        pipeline.save(tmp_path / "a", **arguments)
        return pipeline.retriever.number

    return save


def test_what_the_manifest_names_is_kept(saved, tmp_path):
    first, second, third = saved(keep=1), saved(), saved()
    assert KEPT == {second, third}
    Pipeline.rollback(tmp_path / "a")
    assert KEPT == {second}
    assert first < second < third


def test_a_save_that_fails_keeps_what_was_there(saved, tmp_path, monkeypatch):
    first = saved()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folders, "replace_manifest", full)
        with pytest.raises(ArtifactError, match="No space left on device"):
            saved()
        assert KEPT == {first}
        with pytest.raises(ArtifactError, match="No space left on device"):
            Pipeline(retriever=OnServer()).fit(DOCUMENTS).save(tmp_path / "b")
        assert KEPT == {first}
        assert not (tmp_path / "b").exists()


def test_the_next_writer_gives_up_what_killed_ones_left(saved, tmp_path):
    first = saved()
    KEPT.add(77)
    for name, text in (("data-000000000000", '{"number": 77}'), ("data-111111111111", '{"numb')):
        state = tmp_path / "a" / name / "state" / "retriever"
        state.mkdir(parents=True)
        (state / "elsewhere.json").write_text(text)
    with Pipeline.editing(tmp_path / "a") as pipeline:
        assert KEPT == {first}
        pipeline.add([Document("c", "blue")])
    assert KEPT == {pipeline.retriever.number} != {first}
    assert len(list((tmp_path / "a").glob("data-*"))) == 1
