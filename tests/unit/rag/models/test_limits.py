"""The longest text that a model can read, known before it is loaded."""

from __future__ import annotations

import json

import pytest

from rag import ConfigError, Document, Pipeline, SentenceTransformerEmbedder
from rag.models.limits import model_limit
from rag.rerankers import CrossEncoderScorer, MaxSim, Rerank
from rag.retrievers import BM25, Dense
from rag.summarizers import TransformersSummarizer
from rag.summarizers.students.fine_tune import FineTune


@pytest.fixture
def model(tmp_path):
    def of(**config):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
        return str(tmp_path)

    return of


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max_position_embeddings": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "gemma3", "text_config": {"max_position_embeddings": 8192}}, 8192),
        ({}, None),
    ],
)
def test_the_limit_is_that_of_the_architecture(model, config, expected):
    assert model_limit(model(**config)) == expected


def test_a_model_that_is_not_here_or_not_to_be_read_has_no_limit(tmp_path):
    (tmp_path / "config.json").write_text("[")
    assert [model_limit(name) for name in (str(tmp_path), "no/such-model", "package:no_such/x")] == [None, None, None]


@pytest.mark.parametrize(
    ("make", "parameter", "got"),
    [
        (lambda name: Dense(embedder=SentenceTransformerEmbedder(name, max_length=4096)), "embedder.max_length", 4096),
        (lambda name: CrossEncoderScorer(name, max_length=513), "max_length", 513),
        (lambda name: MaxSim(embedder=SentenceTransformerEmbedder(name, max_length=513)), "embedder.max_length", 513),
        (lambda name: TransformersSummarizer(name, max_input=400, max_tokens=113), "max_input", 513),
        (lambda name: FineTune(name, budget=600), "budget", 600),
    ],
)
def test_a_length_beyond_it_is_refused_before_anything_runs(model, make, parameter, got):
    """A traceback came at the first long text (case A8)."""
    part = make(model(max_position_embeddings=512))
    pipeline = Pipeline(retriever=part if isinstance(part, Dense) else BM25())
    if isinstance(part, (CrossEncoderScorer, MaxSim)):
        pipeline = Pipeline(retriever=BM25(), stages=[Rerank(scorer=part)])
    if isinstance(part, (TransformersSummarizer, FineTune)):
        with pytest.raises(ConfigError, match=f"must be at most 512, the limit of the model .*, got {got}"):
            part._preflight()
        return
    with pytest.raises(ConfigError) as caught:
        pipeline.fit([Document("a", "text")])
    assert f"{parameter}: must be at most 512, the limit of the model " in str(caught.value)
    assert f"', got {got:,}" in str(caught.value)


def test_an_encoder_decoder_reads_and_writes_apart(model):
    name = model(max_position_embeddings=512, model_type="bart", is_encoder_decoder=True)
    TransformersSummarizer(name, max_input=512, max_tokens=512)._preflight()
    for lengths in ({"max_input": 513}, {"max_tokens": 513, "max_input": 8}):
        with pytest.raises(ConfigError, match="must be at most 512"):
            TransformersSummarizer(name, **lengths)._preflight()


def test_a_file_says_where(model, tmp_path):
    name = model(max_position_embeddings=512)
    file = tmp_path / "p.yaml"
    file.write_text(
        f"type: pipeline\nretriever:\n  type: dense\n  embedder: {{type: sentence_transformer, model: {name}, "
        "max_length: 4096}\n"
    )
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(file)
    column = 14 + len(f"{{type: sentence_transformer, model: {name}, max_length: ") - 1
    expected = f"{file}:4:{column}: retriever.embedder.max_length: must be at most 512, the limit of the model '{name}'"
    assert str(caught.value).startswith(expected)
