"""Datasets: layouts, and what is wrong with files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag.errors import DataError
from rag.eval.datasets.load import BUILT_IN, load_dataset
from rag.eval.datasets.qrels import read_qrels


def write(folder: Path, qrels: str = "query-id\tcorpus-id\tscore\nq1\ta\t2\n", **files: str) -> Path:
    """A BEIR folder of two documents and two queries."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {
        "corpus.jsonl": [{"_id": "a", "title": "A", "text": "one"}, {"_id": "b", "title": "", "text": "two"}],
        "queries.jsonl": [{"_id": "q1", "text": "first", "metadata": {"kind": "x"}}, {"_id": "q2", "text": "second"}],
    }
    for name, lines in rows.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(qrels, encoding="utf-8")
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def test_a_beir_folder(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path / "mine"))
    assert dataset.name == "mine"
    assert dataset.corpus.texts() == ["A\none", "two"]
    split = dataset.split("test")
    assert [query.id for query in split.queries] == ["q1"]
    assert split.queries[0].metadata == {"kind": "x"}
    assert split.qrels == {"q1": {"a": 2}}
    assert dataset.notes == ("1 of 2 queries have no judgment and are left out",)
    assert dataset.training("test") is None


def test_train_is_for_learning_unless_it_is_reported(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "qrels" / "train.tsv").write_text("q2\tb\t1\n", encoding="utf-8")
    dataset = load_dataset(folder)
    training = dataset.training("test")
    assert training is not None
    assert training.qrels == {"q2": {"b": 1}}
    assert dataset.training("train") is None


@pytest.mark.parametrize(
    "text", ["q1 0 a 2\nq1 0 b 0\n", "q1\t0\ta\t2\r\nq1\t0\tb\t0\r\n", "query-id corpus-id score\nq1 a 2\nq1 b 0"]
)
def test_judgments_in_three_or_four_columns(tmp_path: Path, text: str) -> None:
    path = tmp_path / "qrels.txt"
    path.write_bytes(text.encode())
    assert read_qrels(path) == {"q1": {"a": 2, "b": 0}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 a 1\nq1 b x\n", ":2: the grade must be a whole number, got 'x'"),
        ("q1 a 1.5\n", ":1: the grade must be a whole number, got '1.5'"),
        ("", ": is empty: no judgments"),
        ("query-id\tcorpus-id\tscore\n", ": is empty: no judgments"),
        ("q1 a\n", ":1: expected 3 columns (query, document, grade) or TREC's 4, got 2"),
        ("q1 a 1\nq1 a 2\n", ":2: document 'a' is judged 2 for query 'q1', before 1"),
        (
            "q1 a 99999999999\n",
            ":1: the grade 99999999999 is out of range: trec_eval's measures take time and memory for every level up "
            "to the highest, which may be 10000",
        ),
    ],
)
def test_wrong_judgments_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "qrels.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_qrels(path)
    assert str(caught.value) == f"{path}{message}"


def test_what_does_not_fit_together_is_noted(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, qrels="q1\ta\t1\nq1\tgone\t1\nq9\ta\t1\n"))
    path = tmp_path / "qrels" / "test.tsv"
    assert dataset.notes == (
        f"test: 1 judged queries are not among the queries and are left out (such as 'q9' [{path}:3])",
        f"test: judgments name 1 documents, of 2, that are not in the corpus (such as 'gone' [{path}:2]); "
        "relevant ones count as missed",
        "1 of 2 queries have no judgment and are left out",
    )
    assert [(remark.code, remark.count, remark.total) for remark in dataset.remarks] == [
        ("queries_unknown", 1, 2),
        ("documents_absent", 1, 2),
        ("queries_unjudged", 1, 2),
    ]
    assert dataset.split("test").qrels == {"q1": {"a": 1, "gone": 1}}


def test_a_judgment_file_instead_of_the_folders(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("q2 0 b 1\n", encoding="utf-8")
    dataset = load_dataset(write(tmp_path / "d"), qrels=other)
    assert dataset.split("test").qrels == {"q2": {"b": 1}}
    with pytest.raises(DataError, match="needs a dataset folder"):
        load_dataset("python-reference", qrels=other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries__jsonl": ""}, "no queries"),
        ({"queries__jsonl": '{"_id": "q1", "query": "x"}'}, r"query 'q1' has no field 'text' \(its fields: _id, query"),
        ({"queries__jsonl": '{"_id": "q1", "text": 5}'}, "query 'q1': its 'text' must be a text, got 5"),
        ({"queries__jsonl": '{"_id": "q", "text": "a"}\n{"_id": "q", "text": "b"}'}, "two queries have the id 'q'"),
        ({"queries__jsonl": '{"text": "a"}'}, "the id 'id' is missing"),
        ({"corpus__jsonl": ""}, "the corpus is empty"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(write(tmp_path, **change))


def test_missing_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a dataset folder needs a corpus.jsonl"):
        load_dataset(tmp_path)
    with pytest.raises(DataError, match=r"did you mean 'python-reference'\?"):
        load_dataset("python-referense")
    folder = write(tmp_path)
    (folder / "qrels" / "test.tsv").unlink()
    with pytest.raises(DataError, match="no judgments"):
        load_dataset(folder)
    dataset = load_dataset(write(tmp_path, qrels="q9\ta\t1\n"))
    with pytest.raises(DataError, match="has no query with a judgment"):
        dataset.split("test")
    with pytest.raises(DataError, match=r"has no split 'tset'; did you mean 'test'\?"):
        dataset.split("tset")


def test_the_hub_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MTEB's layout, from a folder that ``datasets`` loads as it would a repository."""
    for config, rows in {
        "corpus": [{"_id": "a", "title": "A", "text": "one"}, {"_id": "b", "title": "", "text": "two"}],
        "queries": [{"_id": "q1", "text": "first"}],
        "qrels": [{"query-id": "q1", "corpus-id": "a", "score": 1}],
    }.items():
        (tmp_path / f"{config}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: default\n  data_files: [{split: test, path: qrels.jsonl}]\n"
        "- config_name: corpus\n  data_files: [{split: corpus, path: corpus.jsonl}]\n"
        "- config_name: queries\n  data_files: [{split: queries, path: queries.jsonl}]\n---\n",
        encoding="utf-8",
    )
    dataset = load_dataset(f"hf:{tmp_path}")
    assert dataset.corpus.texts() == ["A\none", "two"]
    assert dataset.split("test").qrels == {"q1": {"a": 1}}
    with pytest.raises(DataError, match="hf:nobody/nothing: cannot load 'corpus'"):
        load_dataset("hf:nobody/nothing")


def test_a_language_of_a_hub_dataset(tmp_path: Path) -> None:
    configs = {
        "corpus": [{"id": "a", "text": "eins"}, {"id": "b", "text": "zwei"}],
        "queries": [{"id": "q1", "text": "erste", "kind": "short"}],
        "qrels": [{"query-id": "q1", "corpus-id": "b", "score": 1.0}],
    }
    for config, rows in configs.items():
        (tmp_path / f"{config}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for before in ("de-", ""):
        listed = "".join(
            f"- config_name: {before}{config}\n  data_files: [{{split: test, path: {config}.jsonl}}]\n"
            for config in configs
        )
        (tmp_path / "README.md").write_text(f"---\nconfigs:\n{listed}---\n", encoding="utf-8")
        dataset = load_dataset(f"hf:{tmp_path}{'@de' if before else ''}")
        assert dataset.corpus.texts() == ["eins", "zwei"]
        assert dataset.split("test").qrels == {"q1": {"b": 1}}
        assert dataset.split("test").queries[0].metadata == {"kind": "short"}
    with pytest.raises(DataError, match="cannot load 'fr-corpus'"):
        load_dataset(f"hf:{tmp_path}@fr")


def test_every_built_in_dataset_loads() -> None:
    for name in BUILT_IN:
        dataset = load_dataset(name)
        assert {split for split in dataset.splits if not split.endswith("-with-nulls")} == {"train", "dev", "test"}
        known = set(dataset.corpus.ids())
        seen: set[str] = set()
        for name, split in dataset.splits.items():
            asked = {query.id for query in split.queries}
            if name.endswith("-with-nulls"):  # the same, and those that nothing answers
                answered = dataset.splits[name.removesuffix("-with-nulls")]
                assert answered.qrels == {query: judged for query, judged in split.qrels.items() if judged}
                assert len(answered.queries) < len(split.queries) == len(split.qrels)
                continue
            assert not asked & seen  # no query is in two splits
            seen |= asked
            for judged in split.qrels.values():
                assert set(judged) <= known
                assert max(judged.values()) > 0
        assert 150 <= len(seen)
