"""``rag datasets`` and what the other commands make of its folders and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chat_server import asked, chat_server
from tests.e2e.test_cli import Runner, rag  # noqa: F401 - a fixture

BM25 = "type: pipeline\nretriever: {type: bm25}\n"
TOPICS = [
    "harbour",
    "glacier",
    "volcano",
    "orchard",
    "library",
    "railway",
    "theatre",
    "monastery",
    "observatory",
    "quarry",
]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    rows = [f"d{i},All about the {name},words on the {name} and its keeper" for i, name in enumerate(TOPICS)]
    (tmp_path / "docs.csv").write_text("nr,head,body\n" + "\n".join(rows) + "\n")
    rows = [f"where is the {name} number {i} kept open in {name}s?\td{i}" for i, name in enumerate(TOPICS)]
    (tmp_path / "asked.tsv").write_text("question\tanswer\n" + "\n".join(rows) + "\n")
    (tmp_path / "shop.yaml").write_text(
        "type: dataset\ncorpus: {path: docs.csv, id: nr, title: head, text: body}\n"
        "queries: {path: asked.tsv, relevant: answer}\n"
    )
    (tmp_path / "bm25.yaml").write_text(BM25)
    return tmp_path


def test_listing(rag: Runner) -> None:  # noqa: F811
    assert rag("datasets").out == rag("datasets", "list").out
    assert "irds:ID" in rag("datasets").out
    assert list(json.loads(rag("datasets", "list", "--json").out)) == ["python-reference"]
    assert "make" in rag("datasets", "--help").out


def test_a_dataset_file_from_check_to_compare(rag: Runner, shop: Path) -> None:  # noqa: F811
    assert rag("check", "shop.yaml").out == "shop.yaml: ok (10 documents; test 10 queries)\n"
    evaluated = json.loads(rag("eval", "bm25.yaml", "--dataset", "shop.yaml", "--out", "a", "--json").out)
    assert ("shop", 10, 1.0) == (evaluated["dataset"], evaluated["n_queries"], evaluated["measures"]["R@100"]["mean"])
    assert rag("eval", "bm25.yaml", "--dataset", "shop.yaml", "--set", "retriever.k1=0.1", "--out", "b").code == 0
    compared = rag("compare", "a/run.trec", "other=b/run.trec", "--dataset", "shop.yaml")
    assert "nDCG@10" in compared.out
    about = json.loads(rag("datasets", "show", "shop.yaml", "--json").out)
    test = about["splits"]["test"]
    example, n = test.pop("example"), test.pop("with_references")
    assert test == {"queries": 10, "unanswerable": 0, "relevant_per_query": 1.0, "grades": {"1": 10}}
    assert n == 0
    assert set(example) == {"query", "text", "document", "title"}
    assert (rag("datasets", "show", "shop.yaml").out) == (
        "shop: 10 documents; their metadata: title\n"
        "test: 10 queries, 1.0 relevant documents each; judgments by grade: 1: 10\n"
        f"  such as {example['query']}: where is the harbour number 0 kept open in harbours?\n"
        "  answered by d0: All about the harbour\n"
    )


def test_split_convert_and_tune_on_them(rag: Runner, shop: Path) -> None:  # noqa: F811
    done = rag("datasets", "split", "shop.yaml", "--out", "divided", "--train", "0", "--dev", ".5", "--test", ".5")
    assert done.code == 0
    assert done.out.startswith("divided: 10 documents; queries: dev ")
    about = json.loads((shop / "divided" / "dataset.json").read_text())
    assert ("rag datasets split", "shop.yaml", 0) == (about["made_by"], about["from"], about["seed"])
    assert rag("datasets", "convert", "divided", "--out", "copy").code == 0
    known = rag("datasets", "convert", "python-reference", "--out", "reference").out
    assert known.startswith("reference: ")
    assert "test 150, test-with-nulls 165, " in known  # those that nothing answers too
    assert (shop / "divided" / "corpus.jsonl").read_text() == (shop / "copy" / "corpus.jsonl").read_text()
    (shop / "file.yaml").write_text(
        "type: dataset\ncorpus: {path: copy}\nqueries: {path: copy/queries.jsonl}\n"
        "qrels: {path: {dev: copy/qrels/dev.tsv, test: copy/qrels/test.tsv}}\n"
    )
    (shop / "sweep.yaml").write_text(
        "type: sweep\ndataset: file.yaml\nn_trials: 2\nsampler: random\n"
        "pipeline: {type: pipeline, retriever: {type: bm25, k1: {tune: float, low: 0.5, high: 2.0}}}\n"
    )
    tuned = rag("tune", "sweep.yaml", "--out", "tuned", "--json")
    assert tuned.code == 0, tuned.err


def test_questions_made_for_documents(rag: Runner, shop: Path) -> None:  # noqa: F811
    texts = [
        f"The {name} opens at nine. " + f"Its keeper {name}er lives there and sells {i} tickets a day. " * 5
        for i, name in enumerate(TOPICS)
    ]
    rows = [json.dumps({"nr": str(i), "body": text}) for i, text in enumerate(texts)]
    (shop / "long.jsonl").write_text("\n".join(rows))

    def answer(request: dict, number: int) -> dict:
        name = next(name for name in TOPICS if f"The {name} " in asked(request))
        return {"body": "Why?" if name == "quarry" else f"Who takes {name}s' money every {name} morning?"}

    with chat_server(answer) as server:
        (shop / "writer.yaml").write_text(f"type: chat_model\nmodel: tiny\nbase_url: {server.url}\ntask: questions\n")
        request = ("datasets", "make", "--corpus", "long.jsonl", "--id-field", "nr", "--text-field", "body")
        request += ("--writer", "writer.yaml", "--out", "made", "--n", "10", "--round-trip", "bm25.yaml")
        done = rag(*request)
        assert done.code == 0, done.err
        assert done.out.startswith(
            "made: 10 documents; queries: test 9\nnote: questions written by chat_model 'tiny', 9 of 10"
        )
        about = json.loads(rag(*request, "--json").out)
        assert about["dropped"] == {"too short": 1}
        assert len(server.requests) == 10  # the second run took all from the store
        assert about["made_by"] == "rag datasets make"
    report = json.loads(rag("eval", "bm25.yaml", "--dataset", "made", "--json", "--out", "run").out)
    assert report["n_queries"] == 9
    assert about["notes"] == report["notes"][:3]


def test_what_is_refused(rag: Runner, shop: Path) -> None:  # noqa: F811
    assert "error: no such folder, dataset file or built-in dataset: 'shp'" in rag.refused("datasets", "show", "shp")
    (shop / "mine").mkdir()
    (shop / "mine" / "precious.txt").write_text("x")
    for command in (("split", "shop.yaml"), ("convert", "shop.yaml")):
        assert "holds other files than a dataset written by `rag datasets`" in rag.refused(
            "datasets", *command, "--out", "mine"
        )
    assert "the shares must be 0 or more and sum to 1, got train 0.9" in rag.refused(
        "datasets", "split", "shop.yaml", "--out", "x", "--train", ".9"
    )
    with (shop / "asked.tsv").open("a") as file:
        file.writelines(f"WHERE is the {name} number {i} kept open in {name}s\td{i}\n" for i, name in enumerate(TOPICS))
    refused = rag.refused("datasets", "split", "shop.yaml", "--out", "x")
    assert "--group-duplicates keeps them together" in refused
    assert "' in dev (where is the " in refused
    (shop / "writer.yaml").write_text("type: bm25\n")
    make = ("datasets", "make", "--corpus", "docs.csv", "--id-field", "nr", "--text-field", "body", "--out", "x")
    assert "writer.yaml:1:7: unknown summarizer 'bm25'" in rag.refused(*make, "--writer", "writer.yaml")
    (shop / "writer.yaml").write_text("type: chat_model\nmodel: tiny\nbase_url: http://127.0.0.1:1/v1\n")
    assert "task: must be 'questions' of a summarizer that writes questions" in rag.refused(
        *make, "--writer", "writer.yaml"
    )
    assert "writer.yaml: cannot be read" in rag.refused(*make, "--writer", "no/writer.yaml")
    (shop / "shop.yaml").write_text(
        "type: dataset\ncorpus: {pth: docs.csv}\nqueries: {path: asked.tsv, relevant: answer}\n"
    )
    refused = rag.refused("eval", "bm25.yaml", "--dataset", "shop.yaml")
    assert "shop.yaml:2:10: corpus: unknown argument 'pth' of 'corpus'; did you mean 'path'?" in refused
    assert not (shop / "x").exists()


def test_judgments_with_odd_grades(rag: Runner, shop: Path) -> None:  # noqa: F811
    for name, k1 in (("a", "1.2"), ("b", "0.1")):
        assert (
            rag("eval", "bm25.yaml", "--dataset", "shop.yaml", "--set", f"retriever.k1={k1}", "--out", name).code == 0
        )
    runs = ("a=a/run.trec", "b=b/run.trec", "--qrels", "odd.qrels")
    odd = shop / "odd.qrels"
    odd.write_text("1 0 d0 -2\n2 0 d1 -2147483648\n3 0 d2 -1\n")
    for command in (("compare", *runs), ("eval", "bm25.yaml", "--dataset", "shop.yaml", "--qrels", "odd.qrels")):
        done = rag(*command, "--json")
        assert done.code == 0
    assert json.loads(done.out)["measures"]["nDCG@10"]["mean"] == 0.0
    odd.write_text("1 0 d0 1\n2 0 d1 2147483647\n")
    for command in (("compare", *runs), ("eval", "bm25.yaml", "--dataset", "shop.yaml", "--qrels", "odd.qrels")):
        assert "odd.qrels:2: the grade 2147483647 is out of range" in rag.refused(*command)
    odd.write_text("\n")
    for command in (("compare", *runs), ("eval", "bm25.yaml", "--dataset", "shop.yaml", "--qrels", "odd.qrels")):
        assert "odd.qrels: is empty: no judgments" in rag.refused(*command)
