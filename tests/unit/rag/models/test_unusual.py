"""Unusual texts, models and processors: the library's results, or one clear message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rag import ConfigError, ModelError, SentenceTransformerEmbedder, Store
from rag.models import (
    exports,
    forwards,
    linear,
    load_cross_encoder,
    load_pair_encoder,
    load_sentence_transformer,
    precision,
    ran,
    threads,
)
from rag.models.engines import Engine
from tests import tiny_models
from tests.unit.rag.models.test_encoding import TEXTS, WORDS, build, cross_encoder

BACKENDS = ["torch", "onnx", "openvino"]
UNUSUAL = ["w1", "", " ", "🙂", "👩‍👩‍👧 w2", "w1 " * 100_000, "w3 w4"]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """Exports are kept nowhere, unless a test says where."""
    monkeypatch.setattr(exports, "_kept_in", {})


def embedder(path, **arguments):
    return SentenceTransformerEmbedder(path, **{"device": "cpu", "precision": "float32"} | arguments)


def changed(file: Path, **settings: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_texts_of_any_length(kind, tmp_path):
    path = build(kind, tmp_path)  # of 70 positions
    expected = load_sentence_transformer(path, device="cpu").encode(UNUSUAL, normalize_embeddings=True)
    for backend in BACKENDS if kind != "distilbert" else BACKENDS[:1]:
        actual = embedder(path, backend=backend)
        np.testing.assert_allclose(actual.embed_documents(UNUSUAL), expected, atol=2e-6)
        np.testing.assert_allclose(actual.embed_queries(UNUSUAL), expected, atol=2e-6)
        assert actual.embed_documents([]).shape == (0, 32)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_pairs_of_any_length(kind, tmp_path):
    import torch

    path = cross_encoder(kind, tmp_path)
    pairs = [(query, text) for query in ("w1 w2", "", "🙂") for text in UNUSUAL]
    library = load_cross_encoder(path, device="cpu")
    expected = library.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    for backend in BACKENDS if kind == "bert" else BACKENDS[:1]:
        actual = load_pair_encoder(path, device="cpu").score(pairs, backend=backend)
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_a_table_of_tokens_is_an_encoder_too(tmp_path):
    """As model2vec writes them: no layers, no limit."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "w1": 1, "w2": 2, "w3": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    table = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8), Normalize()], device="cpu")
    table.save(str(tmp_path / "table"), create_model_card=False)
    (tmp_path / "table" / "config.json").write_text('{"model_type": "model2vec", "seq_length": 1000000}')
    actual = embedder(str(tmp_path / "table"))
    assert actual.window is None
    for texts in (UNUSUAL, []):
        expected = table.encode(texts, normalize_embeddings=True).reshape(-1, 8)
        np.testing.assert_allclose(actual.embed_documents(texts), expected, atol=2e-6)
        np.testing.assert_allclose(actual.embed_queries(texts), expected, atol=2e-6)
    with pytest.raises(ModelError, match="precision int8 is for models built like BERT"):
        embedder(str(tmp_path / "table"), precision="int8").embed_queries(["w1"])


def test_a_model_of_8192_tokens(tmp_path):
    path = build("bert", tmp_path, positions=8192)
    texts = ["w4 " * 9_000, "w1 " * 1_500, "w2 w3"]
    expected = load_sentence_transformer(path, device="cpu").encode(texts, normalize_embeddings=True, batch_size=1)
    assert embedder(path).window == 8192
    np.testing.assert_allclose(embedder(path, backend="torch").embed_documents(texts), expected, atol=2e-6)
    exported = embedder(path, backend="onnx")  # what is longer than 1,024 tokens goes through torch
    np.testing.assert_allclose(exported.embed_documents(texts[1:]), expected[1:], atol=2e-6)


def test_a_tokenizer_without_a_limit_is_cut_at_the_last_position(tmp_path):
    path = build("roberta", tmp_path)
    changed(Path(path) / "tokenizer_config.json", model_max_length=10**30)
    file = Path(path) / "sentence_bert_config.json"
    settings = json.loads(file.read_text())
    settings.pop("max_seq_length", None)
    file.write_text(json.dumps(settings))
    long = embedder(path).embed_documents(["w1 " * 200])
    assert load_sentence_transformer(path, device="cpu").max_seq_length == 68  # two positions are taken
    np.testing.assert_allclose(embedder(path, max_length=68).embed_documents(["w1 " * 200]), long, atol=2e-6)


def test_a_model_with_code_of_its_own_is_run_by_the_library(tmp_path):
    path = build("bert", tmp_path)
    Path(path, "modeling_own.py").write_text(
        "from transformers.models.bert.modeling_bert import BertModel as Plain\n\n\n"
        "class BertModel(Plain):\n"
        "    def forward(self, *given, **options):\n"
        "        output = super().forward(*given, **options)\n"
        "        output.last_hidden_state = output.last_hidden_state.flip(-1) ** 2\n"
        "        return output\n"
    )
    changed(Path(path, "config.json"), auto_map={"AutoModel": "modeling_own.BertModel"})
    own = embedder(path, trust_remote_code=True)
    vectors = own.embed_documents(TEXTS)
    np.testing.assert_allclose(vectors, own.encoder.encode(TEXTS, normalize_embeddings=True), atol=2e-6)
    assert (vectors >= 0).all()
    assert "torch (sentence-transformers), float32" in ran()[path]
    with pytest.raises(ModelError, match="backend onnx is for models built like BERT"):
        embedder(path, trust_remote_code=True, backend="onnx").embed_queries(["w1"])


def test_an_activation_that_no_graph_has(tmp_path, monkeypatch):
    path = build("bert", tmp_path)
    changed(Path(path, "config.json"), hidden_act="silu")
    with pytest.raises(ModelError, match="the activation 'silu' has no form in ONNX: use backend torch"):
        embedder(path, backend="onnx").embed_queries(["w1"])
    monkeypatch.setattr(forwards, "_WORTH_IT", 1)
    expected = load_sentence_transformer(path, device="cpu").encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(embedder(path).embed_documents(TEXTS), expected, atol=2e-6)


@pytest.mark.parametrize(
    ("make", "instead"),
    [
        (tiny_models.splade, "a sparse encoder: search with retriever 'sparse' and its embedder 'sparse'"),
        (tiny_models.multi_vector, "a late-interaction encoder: use embedder 'multi_vector'"),
    ],
)
def test_models_with_other_heads_are_named(make, instead, tmp_path):
    path = make(WORDS, tmp_path)
    with pytest.raises(ConfigError, match=f"the model '{path}' is {instead}"):
        embedder(path)._preflight()


def test_an_export_of_an_older_engine_is_not_used(tmp_path, monkeypatch):
    path = build("bert", tmp_path)
    store = Store(tmp_path / "store")
    exports.keep_exports_in(store)

    def vectors():
        fresh = embedder(path, backend="onnx")
        fresh._reader._forwards._exports.clear()  # as a new process would
        return fresh.embed_documents(TEXTS)

    with monkeypatch.context() as older:
        older.setattr(Engine, "version", property(lambda self: "1.0"))
        expected = vectors()
    np.testing.assert_array_equal(vectors(), expected)
    about = [store.remarks("onnx", folder.name) for folder in (tmp_path / "store/artifacts/onnx").iterdir()]
    assert [set(agreement) for agreement in about] == [{"cosine", "least", "neighbors"}] * 2
    store.close()


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_processor_without_vnni_leaves_a_bit_of_weights_unused(backend, tmp_path, monkeypatch):
    path = build("bert", tmp_path)
    exact = embedder(path).embed_documents(TEXTS)
    near = embedder(path, backend=backend, precision="int8")
    environment = near._environment()
    for module in (linear, exports, forwards):
        monkeypatch.setattr(module, "has_vnni", lambda: False)
    assert near._environment() == [*environment[:2], "7 bits"]
    near._reader._forwards._exports.clear()
    near._reader._forwards.lean._made.clear()
    vectors = near.embed_documents(TEXTS)
    assert ((vectors * exact).sum(axis=1) > 0.97).all()


def test_auto_is_float32_where_the_processor_has_no_bfloat16(tmp_path, monkeypatch):
    path = build("bert", tmp_path)
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device_type: False)
    own = embedder(path, precision="auto")
    assert own._environment() == "float32"
    np.testing.assert_array_equal(own.embed_documents(TEXTS), embedder(path).embed_documents(TEXTS))


def test_no_more_threads_than_the_container_may_use(tmp_path, monkeypatch):
    bound = threads.usable_cores(tmp_path)
    for version, files, expected in (
        ("2", {"cpu.max": "150000 100000"}, 1),
        ("2, no limit", {"cpu.max": "max 100000"}, bound),
        ("1", {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("1, no limit", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, bound),
    ):
        for name, text in files.items():
            (tmp_path / version / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / version / name).write_text(text + "\n")
        assert threads.usable_cores(tmp_path / version) == expected
    import torch

    told = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    threads.settle_threads.__wrapped__()
    assert told == []  # OMP_NUM_THREADS is set in tests
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.settle_threads.__wrapped__()
    assert told == [threads.usable_cores()]


@pytest.mark.parametrize(("given", "expected"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_threads_wait_without_spinning_from_python_too(given, expected):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    code = "import os, rag; print(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{expected}\n"
