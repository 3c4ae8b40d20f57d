"""Dataset files: a user's own tables, TREC topics, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag import Pipeline
from rag.errors import ConfigError, DataError
from rag.eval import evaluate
from rag.eval.datasets.file import DatasetFile, check_dataset, read_dataset_file
from rag.eval.datasets.load import load_dataset
from rag.eval.datasets.tables.corpus import CorpusTable
from rag.eval.datasets.tables.queries import QueriesTable
from rag.eval.datasets.topics import read_topics

DOCUMENTS = """sku,name,description,year
a1,Returns,"You can send anything back
within 30 days.",2020
a2,Delivery,Parcels take one to three days.,2021
a3,Warranty,Two years on every device.,2022
"""
QUESTIONS = """nr,question,answers,part,kind
1,how long may I return things?,a1,test,short
2,when does it come and is it covered?,a2; a3,test,long
3,is my phone insured,,train,short
4,guarantee,a3,train,short
"""
FILE = """type: dataset
corpus: {path: documents.csv, id: sku, text: description, title: name}
queries:
  path: questions.csv
  id: nr
  text: question
  relevant: answers
  separator: ";"
  split: part
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "documents.csv").write_text(DOCUMENTS, encoding="utf-8")
    (tmp_path / "questions.csv").write_text(QUESTIONS, encoding="utf-8")
    (tmp_path / "shop.yaml").write_text(FILE, encoding="utf-8")
    return tmp_path


def test_tables_with_columns_of_any_name(mine: Path) -> None:
    dataset = load_dataset(mine / "shop.yaml")
    assert dataset.name == "shop"
    assert dataset.corpus.ids() == ["a1", "a2", "a3"]
    assert dataset.corpus[0].text == "Returns\nYou can send anything back\nwithin 30 days."
    assert dict(dataset.corpus[0].metadata) == {"title": "Returns", "year": "2020"}
    assert set(dataset.splits) == {"test", "train"}
    assert dataset.split("test").qrels == {"1": {"a1": 1}, "2": {"a2": 1, "a3": 1}}
    assert dataset.split("train").qrels == {"4": {"a3": 1}}
    assert dataset.split("test").queries[1].metadata == {"kind": "long"}
    assert dataset.notes == ("1 of 4 queries have no judgment and are left out",)


def test_it_is_measured_like_any_other(mine: Path) -> None:
    pipeline = Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25"}})
    evaluation = evaluate(pipeline, load_dataset(str(mine / "shop.yaml")), measures=["R@1"], timed=False)
    assert evaluation.values["R@1"]["1"] == 1.0


def test_a_file_called_dataset_is_named_after_its_folder(mine: Path) -> None:
    (mine / "shop.yaml").rename(mine / "dataset.yaml")
    assert mine.name == load_dataset(mine / "dataset.yaml").name


def test_from_python(mine: Path) -> None:
    file = DatasetFile(
        corpus=CorpusTable(str(mine / "documents.csv"), id="sku", text="description"),
        queries=QueriesTable(str(mine / "questions.csv"), text="question", relevant="answers", separator=";"),
    )
    assert file.load().split("test").qrels == {"1": {"a1": 1}, "2": {"a2": 1, "a3": 1}, "4": {"a3": 1}}


def test_jsonl_with_lists_and_grades_and_parquet(mine: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"q": "back?", "docs": ["a1", "a2"]},
        {"q": "when?", "docs": {"a2": 2, "a3": 0}},
        {"q": "who?", "docs": "a3"},
    ]
    (mine / "q.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pq.write_table(pa.table({"id": [7, 8], "text": ["one", "two"]}), mine / "d.parquet")
    (mine / "shop.yaml").write_text(
        "corpus: {path: documents.csv, id: sku, text: description}\nqueries: {path: q.jsonl, text: q, relevant: docs}\n"
    )
    assert load_dataset(mine / "shop.yaml").split("test").qrels == (
        {"1": {"a1": 1, "a2": 1}, "2": {"a2": 2, "a3": 0}, "3": {"a3": 1}}
    )
    pq.write_table(pa.table({"text": ["back?"], "docs": [[7]]}), mine / "q.parquet")
    (mine / "shop.yaml").write_text("corpus: {path: d.parquet}\nqueries: {path: q.parquet, relevant: docs}\n")
    assert load_dataset(mine / "shop.yaml").split("test").qrels == {"1": {"7": 1}}


def test_a_row_for_each_pair(mine: Path) -> None:
    (mine / "q.tsv").write_text("4\tback?\ta1\n4\tback?\ta2\n5\twhen?\ta2\n")
    (mine / "d.tsv").write_text("a1\tReturns\ttext one\na2\t\ttext two\n")
    (mine / "shop.yaml").write_text(
        "corpus: {path: d.tsv, columns: [nr, head, body], id: nr, title: head}\n"
        "queries: {path: q.tsv, columns: [id, text, doc], relevant: doc}\n"
    )
    dataset = load_dataset(mine / "shop.yaml")
    assert dataset.split("test").qrels == {"4": {"a1": 1, "a2": 1}, "5": {"a2": 1}}
    assert dataset.corpus.texts() == ["Returns\ntext one", "text two"]
    (mine / "q.tsv").write_text("4\tback?\ta1\n4\tforth?\ta2\n")
    with pytest.raises(DataError, match=r"q\.tsv:2: two queries have the id '4'"):
        load_dataset(mine / "shop.yaml")


def test_tables_as_spreadsheets_write_them(mine: Path) -> None:
    (mine / "q.csv").write_text('Frage;Antwort\n"Wo, und wann?";a1\n', encoding="utf-8-sig")
    base = "corpus: {path: documents.csv, id: sku, text: description}\n"
    base += "queries: {path: q.csv, text: Frage, relevant: Antwort"
    (mine / "shop.yaml").write_text(base + "}\n")
    with pytest.raises(ConfigError, match=r":2:30: queries\.text: .* no column 'Frage' .*separated by ';'\?"):
        load_dataset(mine / "shop.yaml")
    (mine / "shop.yaml").write_text(base + ", delimiter: ;}\n")
    assert [query.text for query in load_dataset(mine / "shop.yaml").split("test").queries] == ["Wo, und wann?"]
    (mine / "shop.yaml").write_text(base.replace("q.csv", "q.jsonl") + ", delimiter: ;}\n")
    (mine / "q.csv").rename(mine / "q.jsonl")
    with pytest.raises(ConfigError, match=r"queries\.delimiter: is for CSV and TSV files"):
        load_dataset(mine / "shop.yaml")


def test_reference_answers(mine: Path) -> None:
    rows = [
        {"q": "back?", "docs": "a1", "said": "within 30 days"},
        {"q": "when?", "docs": "a2", "said": ["1 to 3 days", "three days"]},
        {"q": "who?", "docs": "a3", "said": None},
    ]
    (mine / "q.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (mine / "shop.yaml").write_text(
        "corpus: {path: documents.csv, id: sku, text: description}\n"
        "queries: {path: q.jsonl, text: q, relevant: docs, answer: said}\n"
    )
    queries = load_dataset(mine / "shop.yaml").split("test").queries
    wanted = [{"answers": ["within 30 days"]}, {"answers": ["1 to 3 days", "three days"]}, {}]
    assert [query.metadata for query in queries] == wanted
    (mine / "q.jsonl").write_text(json.dumps({"q": "x", "docs": "a1", "said": {"is": 7}}))
    with pytest.raises(DataError, match=r"q\.jsonl:1: the answer must be a text or a list of texts, got {'is': 7}"):
        load_dataset(mine / "shop.yaml")


def test_judgments_in_files_of_their_own(mine: Path) -> None:
    base = "corpus: {path: documents.csv, id: sku, text: description}\nqueries: {path: questions.csv, id: nr}\n"
    (mine / "a.txt").write_text("1 0 a1 2\n2 0 a2 -1\n")
    (mine / "b.txt").write_text("4 0 a3 1\n")
    (mine / "shop.yaml").write_text(base + "qrels: {path: {test: a.txt, train: b.txt}}\n")
    dataset = load_dataset(mine / "shop.yaml")
    assert dataset.split("test").qrels == {"1": {"a1": 2}, "2": {"a2": -1}}
    assert dataset.split("train").qrels == {"4": {"a3": 1}}
    (mine / "j.csv").write_text("frage,doc,note,set\n1,a1,3,dev\n4,a3,1,test\n")
    columns = "query: frage, document: doc, grade: note, split: set"
    (mine / "shop.yaml").write_text(base + f"qrels: {{path: j.csv, {columns}}}\n")
    dataset = load_dataset(mine / "shop.yaml")
    assert dataset.split("dev").qrels == {"1": {"a1": 3}}
    assert dataset.split("test").qrels == {"4": {"a3": 1}}
    other = mine / "other.qrels"
    other.write_text("3 0 a2 1\n")
    assert load_dataset(mine / "shop.yaml", qrels=other).split("test").qrels == {"3": {"a2": 1}}


def test_splits_of_the_queries_divide_the_judgments(mine: Path) -> None:
    (mine / "a.txt").write_text("1 0 a1 2\n4 0 a3 1\n")
    (mine / "shop.yaml").write_text(FILE.split("  relevant")[0] + "  split: part\nqrels: {path: a.txt}\n")
    dataset = load_dataset(mine / "shop.yaml")
    assert dataset.split("test").qrels == {"1": {"a1": 2}}
    assert dataset.split("train").qrels == {"4": {"a3": 1}}


TOPICS = """
<top>
<num> Number: 301
<title> International &amp; Organized Crime

<desc> Description:
Identify organizations that participate
in international criminal activity.

<narr> Narrative:
A relevant document names one.
</top>
<top>
<num>302</num><title>Polio</title>
</top>
"""


def test_trec_topics(mine: Path) -> None:
    (mine / "topics.301-302").write_text(TOPICS)
    (mine / "qrels.txt").write_text("301 0 a1 2\n302 0 a2 -2\n302 0 a3 1\n")
    text = (
        "corpus: {path: documents.csv, id: sku, text: description}\nqueries: {path: topics.301-302%s}\n"
        "qrels: {path: qrels.txt}\n"
    )
    (mine / "shop.yaml").write_text(text % "")
    split = load_dataset(mine / "shop.yaml").split("test")
    assert [query.text for query in split.queries] == ["International & Organized Crime", "Polio"]
    assert split.qrels == {"301": {"a1": 2}, "302": {"a2": -2, "a3": 1}}
    wanted = "Identify organizations that participate in international criminal activity."
    assert split.queries[0].metadata["desc"] == wanted
    (mine / "shop.yaml").write_text(text % ", text: desc")
    dataset = load_dataset(mine / "shop.yaml")
    assert [query.text for query in dataset.split("test").queries] == [wanted, ""]
    assert "test: 1 of 2 queries have no text (such as '302'): they find nothing and count 0" in dataset.notes


def test_topics_in_xml(tmp_path: Path) -> None:
    path = tmp_path / "topics.xml"
    path.write_text(
        '<topics>\n<topic number="1"><query>origin</query>\n<question>where from?</question></topic>\n'
        '<topic number="2" type="faceted"><query>weather</query></topic></topics>'
    )
    assert list(read_topics(path)) == [
        (f"{path}:2", {"id": "1", "query": "origin", "question": "where from?"}),
        (f"{path}:4", {"id": "2", "query": "weather"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no topics here", ": has no <top> or <topic>"),
        ("\n<top><title>x</title></top>", ":2: the topic has no number"),
        ("<top><num>1\n<top><num>2</top>", ":1: the topic is not closed before the next one begins"),
        ("<top><num>1</top>\n<top><num>2", ":2: the topic is not closed"),
    ],
)
def test_wrong_topics_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "topics.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        list(read_topics(path))
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("separator:", "sepparator:"), ":8:3: queries: unknown argument 'sepparator' of 'queries'; did you mean"),
        (
            ("text: descr", "text: desr"),
            ":2:46: corpus.text: '{}/documents.csv' has no column 'desription'; did you mean",
        ),
        (("text: quest", "text: qest"), ":6:9: queries.text: '{}/questions.csv' has no column 'qestion'; did you mean"),
        (("questions.csv", "none.csv"), ":4:9: queries.path: no such file: '{}/none.csv'"),
        (("documents.csv", "none.csv"), ":2:16: corpus.path: no such file or folder: '{}/none.csv'"),
        (
            ("  relevant: answers\n", ""),
            ":7:14: queries.separator: applies to the cells of 'relevant', which is not set",
        ),
        (
            ("  split: part\n", "  split: part\nqrels: {path: x.txt}\n"),
            ":10:8: qrels: the queries already have judgments",
        ),
        (("corpus: {path: documents.csv, ", "corpus: {"), ":2:9: corpus: missing argument 'path' of 'corpus'"),
        (
            ("  id: nr\n", "  id: nr\n  columns: [a, b, c, d, e]\n"),
            ":5:7: queries.id: '{}/questions.csv' has no column 'nr'",
        ),
        (("type: dataset", "type: pipeline"), ":1:7: unknown dataset 'pipeline' ('pipeline' is a pipeline)"),
        (("id: sku, ", ""), ":2:9: corpus.id: missing 'id', the column of '{}/documents.csv' with it (columns: sku"),
        (("  text: question\n", "  text: 7\n"), ":6:9: queries.text: must be a valid string"),
    ],
)
def test_mistakes_have_their_place(mine: Path, change: tuple[str, str], message: str) -> None:
    file = mine / "shop.yaml"
    assert change[0] in FILE
    file.write_text(FILE.replace(*change))
    with pytest.raises(ConfigError) as caught:
        check_dataset(file)
    assert f"{file}{message.format(mine)}" in str(caught.value)


@pytest.mark.parametrize(
    ("documents", "questions", "message"),
    [
        (None, QUESTIONS.replace("2,when", "1,when"), "questions.csv:3: two queries have the id '1'"),
        (None, QUESTIONS.replace("a1,test", "a1,"), "questions.csv:2: the split 'part' must be a name, got ''"),
        (None, QUESTIONS.replace("1,how", ",how"), "questions.csv:2: the id 'nr' must be a non-empty string"),
        (None, QUESTIONS + "5,x,a1,test,y,z\n", "questions.csv:6: more values than the first line has columns"),
        (None, "", "questions.csv: is empty"),
        (DOCUMENTS.replace("a2,", "a1,"), None, "two documents have the id 'a1'"),
        (
            DOCUMENTS.replace("a", "b"),
            None,
            "no document that is judged, such as 'a1' [",
        ),
    ],
)
def test_unusable_rows_are_refused(mine: Path, documents: str | None, questions: str | None, message: str) -> None:
    if documents is not None:
        (mine / "documents.csv").write_text(documents.replace("bnything", "anything").replace("nbme", "name"))
    if questions is not None:
        (mine / "questions.csv").write_text(questions)
    with pytest.raises((DataError, ConfigError)) as caught:
        load_dataset(mine / "shop.yaml")
    assert message in str(caught.value)


def test_a_forgotten_separator_is_named(mine: Path) -> None:
    (mine / "questions.csv").write_text("question,answers\nfirst,a1|a2\n")
    (mine / "shop.yaml").write_text(
        "corpus: {path: documents.csv, id: sku, text: description}\nqueries: {path: questions.csv, relevant: answers}\n"
    )
    with pytest.raises(DataError, match="several ids in one cell need 'separator'"):
        load_dataset(mine / "shop.yaml")


def test_grades_that_are_none(mine: Path) -> None:
    base = "corpus: {path: documents.csv, id: sku, text: description}\nqueries: {path: questions.csv, id: nr}\n"
    (mine / "shop.yaml").write_text(base + "qrels: {path: j.csv, query: q, document: d, grade: g}\n")
    (mine / "j.csv").write_text("q,d,g\n1,a1,1\n1,a2,high\n")
    with pytest.raises(DataError, match=r"j\.csv:3: the grade must be a whole number, got 'high'"):
        load_dataset(mine / "shop.yaml")
    (mine / "j.csv").write_text("q,d,g\n1,a1,20000\n")
    with pytest.raises(DataError, match=r"j\.csv:2: the grade 20000 is out of range"):
        load_dataset(mine / "shop.yaml")
    (mine / "j.csv").write_text("q,d,g\n1,a1,1\n1,a1,2\n")
    with pytest.raises(DataError, match=r"j\.csv:3: document 'a1' is judged 2 for query '1', before 1"):
        load_dataset(mine / "shop.yaml")


def test_what_check_says(mine: Path) -> None:
    file = mine / "shop.yaml"
    assert (check_dataset(file)) == (
        f"{file}: ok (3 documents; test 2 queries, train 1 queries)\n"
        "note: 1 of 4 queries have no judgment and are left out\n"
    )
    resolved = mine / "resolved.yaml"
    resolved.write_text(check_dataset(file, resolved=True))
    assert read_dataset_file(file).fingerprint == read_dataset_file(resolved).fingerprint
    set_other = read_dataset_file(file, overrides=["name=mine"])
    assert set_other.load().name == "mine"


def test_what_a_person_overlooks_is_noted(mine: Path) -> None:
    mine.joinpath("documents.csv").write_text(DOCUMENTS + "a4,Lone heading,,\na5,,,2023\n", encoding="utf-8")
    mine.joinpath("questions.csv").write_text(
        "nr,question,answers\n1,how long?,a1\n2,when?,a2;a3\n3,who?,A1\n", encoding="utf-8"
    )
    text = FILE.replace('  separator: ";"\n', "").replace("  split: part\n", "")
    mine.joinpath("shop.yaml").write_text(text, encoding="utf-8")
    assert load_dataset(mine / "shop.yaml").notes == (
        "1 of 5 documents have no text (such as a5); they are kept, but nothing in them can match",  # a4 has a title
        f"2 documents have no text in 'description' (such as {mine}/documents.csv:6)",
        "'a2;a3' is 2 documents: several ids in one cell need 'separator: \";\"'",
        "test: judgments name 2 documents, of 3, that are not in the corpus (such as "
        f"'A1' [{mine}/questions.csv:4; only case differs from 'a1'], 'a2;a3' [{mine}/questions.csv:3]); relevant ones "
        "count as missed; 2 queries have no other relevant document",
    )


def test_tables_that_are_none_and_files_that_are_no_dataset(mine: Path) -> None:
    mine.joinpath("shop.yaml").write_text("type: dataset\ncorpus: documents.csv\nqueries:\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_dataset(mine / "shop.yaml")
    assert [f"{mistake.path}: {mistake.message}" for mistake in caught.value.mistakes] == [
        "corpus: expected a table, a mapping such as {path: corpus.csv}, got 'documents.csv'",
        "queries: expected a table, a mapping such as {path: queries.csv}",
    ]
    with pytest.raises(DataError, match="is not a dataset file"):
        load_dataset(mine / "documents.csv")


def test_documents_that_cannot_be_read_are_skipped_where_that_is_asked_for(tmp_path: Path) -> None:
    for name in ("d.csv", "parts.csv"):
        (tmp_path / name).write_text("id,text\na,wing\nb\nc,heat\n", encoding="utf-8")
    (tmp_path / "q.csv").write_text("id,text,relevant\n1,wing?,a\n", encoding="utf-8")
    for path in ("d.csv", "part*.csv"):
        text = f"type: dataset\ncorpus: {{path: '{path}'%s}}\nqueries: {{path: q.csv, relevant: relevant}}\n"
        (tmp_path / "x.yaml").write_text(text % "", encoding="utf-8")
        with pytest.raises(DataError, match=r"\.csv:3: fewer values than the first line has columns"):
            load_dataset(tmp_path / "x.yaml")
        (tmp_path / "x.yaml").write_text(text % ", on_error: skip", encoding="utf-8")
        dataset = load_dataset(tmp_path / "x.yaml")
        assert dataset.corpus.ids() == ["a", "c"]
        assert [(remark.count, remark.total) for remark in dataset.remarks if remark.code == "rows_skipped"] == [(1, 3)]


def test_queries_and_judgments_that_cannot_be_read_are_skipped_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("id,text\na,wing\nb,heat\n", encoding="utf-8")
    (tmp_path / "q.csv").write_text("id,text\n1,wing?\n2\n3,heat?\n", encoding="utf-8")
    (tmp_path / "j.csv").write_text("q,d,g\n1,a,1\n1,b,much\n3,b,1\n", encoding="utf-8")
    (tmp_path / "j.tsv").write_text("query\tdocument\tscore\n1\ta\t1\n1\tb\tmuch\n3\tb\t1\n", encoding="utf-8")
    tables = "type: dataset\ncorpus: {path: d.csv}\nqueries: {path: q.csv%s}\nqrels: {path: %s%s}\n"
    for qrels in ("j.csv, query: q, document: d, grade: g", "j.tsv"):
        for skipped, expected in (("", "q.csv:3: fewer values"), (", on_error: skip", "j.[ct]sv:3: ")):
            (tmp_path / "x.yaml").write_text(tables % (skipped, qrels, ""), encoding="utf-8")
            with pytest.raises(DataError, match=expected):
                load_dataset(tmp_path / "x.yaml")
        (tmp_path / "x.yaml").write_text(tables % (", on_error: skip", qrels, ", on_error: skip"), encoding="utf-8")
        dataset = load_dataset(tmp_path / "x.yaml")
        assert dataset.splits["test"].qrels == {"1": {"a": 1}, "3": {"b": 1}}
        assert [(remark.count, remark.total) for remark in dataset.remarks if remark.code == "rows_skipped"] == [
            (1, 3),
            (1, 3),
        ]
