"""Dividing queries: reproducible, stable as they come and go, and never one question on both sides."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import Corpus, Document, Pipeline, Query, Turn
from rag.errors import ArtifactError, ConfigError, DataError
from rag.eval import evaluate
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.duplicates import leaks, normalized, shared_between, similar
from rag.eval.datasets.load import load_dataset
from rag.eval.datasets.split import split_dataset
from rag.eval.datasets.write import write_dataset
from rag.remarks import Remark

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
CORPUS = Corpus.from_documents([Document("a", "one"), Document("b", "two")])


def dataset(texts: dict[str, str], **metadata: dict[str, object]) -> Dataset:
    queries = [Query(id, text, metadata.get(id, {})) for id, text in texts.items()]
    return Dataset("d", CORPUS, {"test": Split(queries, {id: {"a": 1} for id in texts})})


def places(divided: Dataset) -> dict[str, str]:
    return {query.id: name for name, split in divided.splits.items() for query in split.queries}


def numbered(n: int) -> dict[str, str]:
    return {f"q{i}": f"question number {i} word{i} thing{i} more{i}" for i in range(n)}


def test_shares_are_met_about_and_judgments_go_along() -> None:
    divided = split_dataset(dataset(numbered(2000)), SHARES)
    sizes = {name: len(split.queries) for name, split in divided.splits.items()}
    assert sum(sizes.values()) == 2000
    for name, share in SHARES.items():  # within four standard deviations
        assert abs(sizes[name] - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5
        assert {query.id: {"a": 1} for query in divided.splits[name].queries} == divided.splits[name].qrels


def test_a_query_more_or_less_moves_no_other() -> None:
    before = places(split_dataset(dataset(numbered(300)), SHARES, seed=3))
    assert before == places(split_dataset(dataset(numbered(300)), SHARES, seed=3))
    more = places(split_dataset(dataset(numbered(301)), SHARES, seed=3))
    assert before == {id: split for id, split in more.items() if id != "q300"}
    assert before != places(split_dataset(dataset(numbered(300)), SHARES, seed=4))


def test_which_splits_name_documents_that_are_not_there_is_said_anew(tmp_path: Path) -> None:
    undivided = dataset(numbered(50))
    undivided.split("test").qrels["q7"]["gone"] = 1
    old = "test: judgments name 1 documents, of 2, that are not in the corpus (such as 'gone'); "
    old += "relevant ones count as missed"
    remarks = [Remark("note", "something else"), Remark("documents_absent", old)]
    divided = split_dataset(replace(undivided, remarks=remarks), SHARES)
    new = places(divided)["q7"]
    assert new != "test"
    assert divided.notes[0] == "something else"
    assert [note for note in divided.notes if "gone" in note] == [f"{new}{old[4:]}"]
    write_dataset(divided, tmp_path / "d")
    read = load_dataset(tmp_path / "d").remarks
    assert [remark.message for remark in divided.remarks if remark.code != "documents_absent"] == [
        remark.message for remark in read if remark.code not in ("documents_absent", "queries_unjudged")
    ]
    (absent,) = (remark for remark in read if remark.code == "documents_absent")
    assert absent.message.startswith(f"{new}: judgments name 1 documents, of ")
    assert f"'gone' [{tmp_path / 'd'}/qrels/{new}.tsv:" in absent.message


def test_two_splits() -> None:
    divided = split_dataset(dataset(numbered(50)), {"train": 0.5, "dev": 0.0, "test": 0.5})
    assert list(divided.splits) == ["train", "test"]


def test_duplicates_across_splits_are_refused_and_listed() -> None:
    texts = numbered(40) | {f"again{i}": f"  QUESTION number {i}, word{i} thing{i} more{i}?" for i in range(10)}
    with pytest.raises(DataError) as caught:
        split_dataset(dataset(texts), SHARES, near=1)
    assert "pairs of queries have the same words, or nearly, and would be in different splits" in str(caught.value)
    assert "'again" in str(caught.value)
    assert "1.00" in str(caught.value)
    divided = split_dataset(dataset(texts), SHARES, group_duplicates=True)
    where = places(divided)
    assert all(where[f"again{i}"] == where[f"q{i}"] for i in range(10))
    assert "10 pairs of duplicates together" in divided.notes[0]
    assert [line for name in divided.splits for line in leaks(divided, name)] == []
    assert shared_between(divided) == []


def test_near_duplicates_are_refused_too() -> None:
    texts = {f"q{i}": f"the size of animal{i} is larger in cold water{i} than in warm sea{i}" for i in range(12)}
    texts |= {f"not{i}": f"the size of animal{i} is not larger in cold water{i} than in warm sea{i}" for i in range(12)}
    split_dataset(dataset(texts), SHARES, near=1)
    with pytest.raises(DataError, match="--group-duplicates keeps them together"):
        split_dataset(dataset(texts), SHARES)


def test_queries_about_one_thing_stay_together() -> None:
    texts = numbered(60)
    fields = {f"q{i}": {"conversation": i % 15} for i in range(60)}
    where = places(split_dataset(dataset(texts, **fields), SHARES, together="conversation"))
    for i in range(15):
        assert len({where[f"q{j}"] for j in range(i, 60, 15)}) == 1
    with pytest.raises(DataError, match="query 'q0' has no value in its metadata field 'speaker'"):
        split_dataset(dataset(texts, **fields), SHARES, together="speaker")


def test_what_cannot_be_divided() -> None:
    with pytest.raises(ConfigError, match=r"must be 0 or more and sum to 1, got train 0.6, dev 0.2"):
        split_dataset(dataset(numbered(5)), {"train": 0.6, "dev": 0.2})
    with pytest.raises(DataError, match="would have none of the 2 queries"):
        split_dataset(dataset(numbered(2)), SHARES)
    with pytest.raises(ConfigError, match="near: must be above 0"):
        split_dataset(dataset(numbered(5)), SHARES, near=0)


words = st.lists(st.sampled_from(list("abcdefghij")), min_size=1, max_size=8).map(" ".join)


@given(st.lists(words, max_size=30), st.sampled_from([0.3, 0.5, 0.75, 0.8, 0.99]))
def test_near_pairs_are_all_found(texts: list[str], near: float) -> None:
    """Against comparing all pairs."""
    first = {text: position for position, text in reversed(list(enumerate(texts)))}
    expected = {(first[text], position) for position, text in enumerate(texts) if first[text] != position}
    for (first_row, a), (other, b) in combinations(sorted((position, text) for text, position in first.items()), 2):
        mine, theirs = set(a.split()), set(b.split())
        if len(mine & theirs) / len(mine | theirs) >= near - 1e-9:
            expected.add((first_row, other))
    assert {(pair.first, pair.second) for pair in similar(texts, near=near)} == expected


def test_equal_once_normalized() -> None:
    assert "what is a stra\u00dfe".replace("\u00df", "ss") == normalized("What is\ta  STRASSE?!")
    assert normalized(" ??? ") == "???"  # no words to compare: the text itself
    assert similar(["A b.", "a  B", "c", "a b"]) == [(0, 1, 1.0), (0, 3, 1.0)]
    assert normalized("\u6771\u4eacTower") == "\u6771 \u4eac tower"
    assert similar(["\u6771\u4eac\u306f\u3069\u3053\uff1f", "\u6771\u4eac\u306f\u3001\u3069\u3053"]) == [(0, 1, 1.0)]


def test_a_report_says_what_leaks() -> None:
    both = [Query("1", "Who goes there?"), Query("2", "when")]
    train = [Query("2", "when"), Query("9", "who goes there")]
    mixed = Dataset(
        "d",
        CORPUS,
        {
            "test": Split(both, {"1": {"a": 1}, "2": {"b": 1}}),
            "train": Split(train, {"2": {"b": 1}, "9": {"a": 1}}),
            "test-with-nulls": Split(both, {"1": {"a": 1}, "2": {"b": 1}}),
        },
    )
    lines = [
        "1 queries of 'test' are in 'train' too (such as '2')",
        "1 queries of 'train' have the text of one in 'test' (such as 'who goes there')",
    ]
    assert lines == leaks(mixed, "test")
    pipeline = Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25"}})
    assert lines == evaluate(pipeline, mixed, timed=False).metrics["notes"][:2]
    (line,) = shared_between(mixed)
    assert line.startswith("'test' and 'train' share questions: 2 pairs have the same words, 0 more")


# -- folders ----------------------------------------------------------------------------------------------------------


def rich() -> Dataset:
    corpus = Corpus.from_documents(
        [
            Document("a", "Title\nthe text", {"title": "Title", "year": 1999}),
            Document("b", "Only a title", {"title": "Only a title"}),
            Document("c", "", {}),
            Document("d", "line one\nline two \u2028 odd", {"tags": ["x", "y"]}),
        ]
    )
    queries = [Query("1", "first", {"kind": "x"}), Query("2", turns=[Turn("user", "hi"), Turn("bot", "there")])]
    qrels = {"1": {"a": 2, "b": 0, "c": -1}, "2": {"d": 1, "gone": 1}}
    return Dataset("rich", corpus, {"train": Split(queries[:1], {"1": qrels["1"]}), "test": Split(queries, qrels)})


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    wanted = rich()
    folder = write_dataset(wanted, tmp_path / "out", about={"made_by": "a test"})
    loaded = load_dataset(folder)
    assert list(wanted.corpus) == list(loaded.corpus)
    for name, split in wanted.splits.items():
        assert (list(split.queries), split.qrels) == (list(loaded.splits[name].queries), loaded.splits[name].qrels)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    again = write_dataset(loaded, folder)
    assert list(wanted.corpus) == list(load_dataset(again).corpus)


def test_notes_and_unanswerable_queries_come_along(tmp_path: Path) -> None:
    split = Split(
        [Query("1", "first"), Query("2", "second"), Query("3 ", "")], {"1": {"a": 1}, "2": {}, "3 ": {"a": 1}}
    )
    wanted = Dataset("d", CORPUS, {"test": split}, [Remark("note", "made up")])
    loaded = load_dataset(write_dataset(wanted, tmp_path / "out"))
    blank = "test: 1 of 3 queries have no text (such as '3 '): they find nothing and count 0"
    assert loaded.notes == ("made up", blank)
    assert split == loaded.split("test")
    assert "2\t\t0\n" in (tmp_path / "out" / "qrels" / "test.tsv").read_text()
    about = tmp_path / "out" / "dataset.json"
    about.write_text('{"made_by": "me", "notes": "some"}')
    with pytest.raises(DataError, match=r"dataset\.json: 'notes' must be a list of texts"):
        load_dataset(tmp_path / "out")
    for text in ("[]", '{"name": "somebody else\'s"}', "{"):
        about.write_text(text)
        assert load_dataset(tmp_path / "out").notes == (blank,)
        with pytest.raises(ArtifactError, match="than a dataset written by `rag datasets`"):
            write_dataset(Dataset("d", CORPUS, {"test": split}), tmp_path / "out")


def test_the_built_in_dataset_survives(tmp_path: Path) -> None:
    wanted = load_dataset("python-reference")
    loaded = load_dataset(write_dataset(wanted, tmp_path / "out"))
    assert wanted.corpus.texts() == loaded.corpus.texts()
    assert wanted.split("test").qrels == loaded.split("test").qrels


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="holds other files than a dataset written by `rag datasets`"):
        write_dataset(rich(), tmp_path)
    with pytest.raises(ArtifactError, match="is a file"):
        write_dataset(rich(), tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "precious"
    odd = Dataset("d", CORPUS, {"test": Split([Query("a\tb", "x")], {"a\tb": {"a": 1}})})
    with pytest.raises(DataError, match="has white space, which a judgment file cannot represent"):
        write_dataset(odd, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
