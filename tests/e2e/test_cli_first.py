"""The first minutes: ``rag init --corpus`` and ``rag doctor``."""

from __future__ import annotations

import csv
import json
import socket

from rag.eval import load_dataset
from tests.e2e.test_cli import rag  # noqa: F401 - a fixture


def write_documents(folder):
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nSend goods back within thirty days.\n")
    (folder / "delivery.md").write_text("# Delivery\n\nParcels take three days.\n")
    (folder / "twin.md").write_text("# Delivery\n\nAnother page of that title.\n")
    (folder / "photo.xyz").write_bytes(b"\x00\x01")


def test_a_project_on_ones_own_folder_can_be_measured_at_once(rag, tmp_path):  # noqa: F811
    write_documents(tmp_path / "docs")
    said = rag("init", "project", "--corpus", "docs")
    assert said.code == 0
    assert "1 of 4 files were not read" in said.err
    assert "3 documents; 1 titles stand in for questions" in said.out
    rows = list(csv.DictReader((tmp_path / "project" / "questions.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["question"], row["answer_in"]) for row in rows] == [("Returns", "returns.md")]
    assert rag("check", "project/pipeline.yaml").code == 0
    measured = rag("eval", "project/words.yaml", "--dataset", "project/dataset.yaml", "--json")
    assert measured.code == 0, measured.err
    assert json.loads(measured.out)["measures"]["nDCG@10"]["mean"] == 1.0
    indexed = "rag index project/words.yaml --corpus docs --out project/words-index"
    assert indexed in said.out
    rag(*indexed.split()[1:])
    assert "returns.md" in rag("search", "project/words-index", "send goods back").out


def test_a_project_on_a_table(rag, tmp_path):  # noqa: F811
    (tmp_path / "pages.csv").write_text("id,text\na,Cats sleep.\nb,Dogs bark.\n")
    said = rag("init", "project", "--corpus", "pages.csv")
    assert "2 documents without titles: write questions into project/questions.csv to measure" in said.out
    assert rag("check", "project/pipeline.yaml").code == 0
    rag("index", "project/words.yaml", "--corpus", "pages.csv", "--out", "index")
    assert rag("search", "index", "bark").out.startswith(" 1. b ")


def test_it_writes_over_nothing(rag, tmp_path):  # noqa: F811
    write_documents(tmp_path / "docs")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "mine.txt").write_text("mine")
    said = rag("init", "project", "--corpus", "docs")
    assert said.code == 2
    assert "error: project: exists and is not empty; nothing was written" in said.err


def test_the_gallery_comes_with_the_package(rag, tmp_path):  # noqa: F811
    said = rag("init", "configs", "--gallery")
    assert said.code == 0
    assert "RAG_EMBEDDER=package:" in said.out
    for file in ("rerank.yaml", "sweeps/quick.yaml", "judges/claims.yaml", "writers/questions.yaml"):
        assert rag("check", f"configs/{file}").code == 0
    assert "not both" in rag.refused("init", "other", "--gallery", "--corpus", "configs")


def test_doctor_says_what_there_is(rag, tmp_path, monkeypatch):  # noqa: F811
    findings = {finding["name"]: finding for finding in json.loads(rag("doctor", "--json").out)}
    assert findings["version"]["text"].startswith("rag-pipelines 0.1.0, Python 3.")
    assert findings["extra quickstart"]["state"] == "ok"
    assert findings["store"]["state"] == "ok"
    assert "models run on" in findings["processor"]["text"]
    assert "GiB free" in findings["store"]["text"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = rag("doctor").out.splitlines()
    assert said[-1] == "Ready: nothing that is needed is missing."
    assert any(line.startswith("ok") and "hub" in line and "HF_HUB_OFFLINE is set" in line for line in said)
    assert not any(line.startswith("missing") for line in said)  # extras are optional: they share a line


def test_doctor_looks_for_the_models_and_servers_of_a_pipeline(rag, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "rag").mkdir()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        monkeypatch.setenv("RAG_TEST_URL", f"postgresql://u:secret@127.0.0.1:{port}/x")
        (tmp_path / "p.yaml").write_text(
            "type: pipeline\n"
            "retriever:\n"
            "  type: dense\n"
            "  embedder: {type: sentence_transformer, model: nobody/nothing}\n"
            "  index: {type: pgvector, url: '${RAG_TEST_URL}', table: t}\n"
        )
        said = rag("doctor", "p.yaml", "--json")
    assert said.code == 1, said.err
    findings = {finding["name"]: finding for finding in json.loads(said.out)}
    assert findings["retriever.index.url"] == {
        "name": "retriever.index.url",
        "state": "ok",
        "text": f"127.0.0.1:{port} accepts connections",
    }
    assert findings["model nobody/nothing"]["state"] == "problem"
    assert "shadows the package" in findings["package"]["text"]
    assert "secret" not in said.out
    again = {finding["name"]: finding for finding in json.loads(rag("doctor", "p.yaml", "--json").out)}
    assert again["retriever.index.url"]["state"] == "problem"
    assert rag("doctor", "p.yaml").out.splitlines()[-1].endswith("to put right")


def test_a_row_of_a_project_may_name_several_documents(rag, tmp_path, monkeypatch):  # noqa: F811
    write_documents(tmp_path / "docs")
    rag("init", "project", "--corpus", "docs")
    questions = "id,question,answer_in\n1,when?,returns.md;delivery.md\n2,how?,twin.md\n2,how?,returns.md\n"
    (tmp_path / "project" / "questions.csv").write_text(questions)
    monkeypatch.chdir(tmp_path)
    qrels = load_dataset("project/dataset.yaml").split("test").qrels
    assert qrels == {"1": {"returns.md": 1, "delivery.md": 1}, "2": {"twin.md": 1, "returns.md": 1}}


def test_an_index_that_is_replaced_says_which_documents_it_has_no_more(rag, tmp_path):  # noqa: F811
    write_documents(tmp_path / "docs")
    rag("init", "project", "--corpus", "docs")
    command = ("index", "project/words.yaml", "--corpus", "docs", "--out", "index")
    assert "it replaces" not in rag(*command).out
    assert "it replaces an index of 3 documents, all of which are in it" in rag(*command).out
    (tmp_path / "docs" / "twin.md").unlink()
    said = rag(*command, "--json")
    assert (json.loads(said.out)["replaced"], json.loads(said.out)["gone"]) == (3, 1)
    (tmp_path / "docs" / "delivery.md").unlink()
    assert "it replaces an index of 2 documents, 1 of which are not in it: delivery.md (--keep N" in rag(*command).out
