"""Addresses with passwords come from the environment and stay variables wherever a pipeline is written."""

from __future__ import annotations

import pickle

import pytest

from rag import ConfigError, Pipeline
from rag.config import dump, revealed
from rag.hpo.sweep import read_sweep

URL = "postgresql://u:s3cret@127.0.0.1:1/x"

PIPELINE = """
type: pipeline
retriever:
  type: dense
  embedder: {{type: lsa, dim: 4}}
  index: {{type: pgvector, url: {url}, table: "${{RAG_TEST_TABLE}}"}}
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("RAG_TEST_URL", URL)
    monkeypatch.setenv("RAG_TEST_TABLE", "papers")


@pytest.mark.parametrize("url", ["${RAG_TEST_URL}", '"${RAG_TEST_URL}"', "${RAG_NOT_SET:-${RAG_TEST_URL}}"])
def test_variables_stay_as_they_are_written(tmp_path, url):
    (tmp_path / "p.yaml").write_text(PIPELINE.format(url=url))
    pipe = Pipeline.from_yaml(tmp_path / "p.yaml")
    index, url = pipe.retriever.index, url.strip('"')
    assert index.url == url
    assert index.table == "papers"  # others are replaced
    assert revealed(index.url, "url") == URL
    text = pipe.to_yaml()
    assert f"url: {url}\n" in text
    (tmp_path / "again.yaml").write_text(text)
    again = Pipeline.from_yaml(tmp_path / "again.yaml")
    for other in (again, Pipeline.from_config(pipe.spec.to_config()), pickle.loads(pickle.dumps(pipe))):
        assert other.retriever.index.url == index.url
        assert other.to_yaml() == text
    assert "s3cret" not in text + repr(pipe)


def test_an_override_is_read_the_same(tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE.format(url="postgresql://localhost/x"))
    pipe = Pipeline.from_yaml(tmp_path / "p.yaml", overrides=["retriever.index.url=${RAG_TEST_URL}"])
    assert pipe.retriever.index.url == "${RAG_TEST_URL}"


def test_a_variable_that_is_not_set_is_said_where_it_stands(tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE.format(url="${RAG_NOT_SET}"))
    with pytest.raises(ConfigError, match=r"p\.yaml:6:\d+: .*RAG_NOT_SET is not set"):
        Pipeline.from_yaml(tmp_path / "p.yaml")
    with pytest.raises(ConfigError, match="url: the environment variable RAG_NOT_SET is not set"):
        revealed("${RAG_NOT_SET}", "url")


def test_a_sweep_keeps_them_too(tmp_path):
    body = PIPELINE.format(url="${RAG_TEST_URL}").strip().replace("dim: 4", "dim: {tune: int, low: 2, high: 8}")
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    (tmp_path / "sweep.yaml").write_text(f"type: sweep\nobjectives: [nDCG@10]\npipeline:\n{lines}\n")
    sweep = read_sweep(tmp_path / "sweep.yaml")
    assert sweep.space.pipeline({"retriever.embedder.dim": 4}).retriever.index.url == "${RAG_TEST_URL}"
    written = dump(sweep.spec.to_config())
    assert "url: ${RAG_TEST_URL}\n" in written
    assert "s3cret" not in written
