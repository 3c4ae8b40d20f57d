"""Exports to ONNX Runtime and OpenVINO: equal to torch or refused, kept under what made them."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest

from rag import ConfigError, Document, MissingExtraError, ModelError, Pipeline, SentenceTransformerEmbedder, Store
from rag.models import SentenceEncoder, exports, forwards, ran
from rag.models.engines import ENGINES, Engine, ExportedForward
from rag.rerankers import CrossEncoderScorer
from tests.unit.rag.models.test_encoding import TEXTS, build, cross_encoder

pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """Exports are kept nowhere, unless a test says where."""
    monkeypatch.setattr(exports, "_kept_in", {})


def embedder(path, **arguments):
    return SentenceTransformerEmbedder(path, **{"device": "cpu", "precision": "float32"} | arguments)


@pytest.mark.parametrize("backend", sorted(ENGINES))
@pytest.mark.parametrize("kind", ["bert", "relu", "roberta"])
def test_vectors_in_float32_are_those_of_torch(kind, backend, tmp_path):
    path = build(kind, tmp_path)
    torch, other = embedder(path, backend="torch"), embedder(path, backend=backend, batch_tokens=40)
    assert torch.fingerprint == other.fingerprint
    np.testing.assert_allclose(other.embed_documents(TEXTS), torch.embed_documents(TEXTS), atol=2e-6)
    assert ran()[path][0].startswith(f"{ENGINES[backend].title}, float32 (cosine to torch 1.0000")
    expected, actual = torch.embed_document_tokens(TEXTS)[0], other.embed_document_tokens(TEXTS)[0]
    np.testing.assert_allclose(actual.vectors, expected.vectors, atol=2e-3)
    for text in TEXTS:
        np.testing.assert_allclose(other.embed_queries([text]), torch.embed_queries([text]), atol=2e-6)


@pytest.mark.parametrize("backend", ["torch", "openvino", "auto"])
def test_bfloat16_is_near_whatever_computes_it(backend, tmp_path):
    path = build("bert", tmp_path)
    near = embedder(path, backend=backend, precision="bfloat16")
    cosines = (embedder(path).embed_documents(TEXTS) * near.embed_documents(TEXTS)).sum(axis=1)
    assert (cosines > 0.999).all()
    assert near.spec.cache_key == embedder(path, precision="bfloat16").spec.cache_key


@pytest.mark.parametrize("backend", ["torch", "onnx", "auto"])
def test_int8_is_near_and_another_embedder(backend, tmp_path):
    path = build("bert", tmp_path)
    exact, near = embedder(path), embedder(path, backend=backend, precision="int8")
    cosines = (exact.embed_documents(TEXTS) * near.embed_documents(TEXTS)).sum(axis=1)
    assert (cosines > 0.98).all()
    assert (cosines < 0.9999999).any()
    assert exact.fingerprint != near.fingerprint
    assert near.spec.cache_key == embedder(path, backend=backend, precision="int8").spec.cache_key


def test_a_declared_pair_has_documents_and_queries_of_its_own(tmp_path):
    path = build("bert", tmp_path)
    pair = embedder(path, query_precision="int8")
    exact, near = embedder(path), embedder(path, precision="int8")
    np.testing.assert_array_equal(pair.embed_documents(TEXTS[:3]), exact.embed_documents(TEXTS[:3]))
    np.testing.assert_array_equal(pair.embed_queries(TEXTS[:3]), near.embed_queries(TEXTS[:3]))
    assert len({encoder.fingerprint for encoder in (pair, exact, near)}) == 3


def test_a_declared_pair_shares_vectors_and_index_of_the_documents(tmp_path, monkeypatch):
    path, read = build("bert", tmp_path), []
    store = Store(tmp_path / "store")
    encode = SentenceEncoder.encode
    monkeypatch.setattr(
        SentenceEncoder, "encode", lambda self, *given, **options: read.append(given) or encode(self, *given, **options)
    )

    def documents_read(scorer=None, **arguments):
        config = {"type": "sentence_transformer", "model": path, "device": "cpu", "precision": "float32", **arguments}
        stages = [] if scorer is None else [{"type": "rerank", "scorer": {"type": scorer, "embedder": config}}]
        retriever = {"type": "dense", "embedder": config}
        pipeline = Pipeline.from_config({"type": "pipeline", "retriever": retriever, "stages": stages})
        pipeline.fit([Document(str(number), text) for number, text in enumerate(TEXTS[:5])], store=store)
        n_read = sum(len(texts) for texts, *_ in read)
        hits = pipeline.search(TEXTS[4]).hits
        read.clear()
        return n_read, [hit.score for hit in hits]

    n_read, exact = documents_read()
    assert n_read == 5
    n_read, near = documents_read(query_precision="int8")
    assert n_read == 0
    np.testing.assert_allclose(near, exact, atol=0.1)
    assert near != exact
    n_read, _ = documents_read("max_sim", query_precision="int8")
    assert n_read == 5  # for vectors of tokens, from one pass
    store.close()


def test_scores_of_pairs_are_those_of_torch(tmp_path):
    from rag.models import load_pair_encoder

    encoder = load_pair_encoder(cross_encoder("bert", tmp_path), device="cpu")
    pairs = [(query, text) for query in TEXTS[:3] for text in TEXTS]
    expected = encoder.score(pairs)
    for backend in ENGINES:
        np.testing.assert_allclose(encoder.score(pairs, backend=backend), expected, atol=1e-5)
    near = encoder.score(pairs, backend="onnx", precision="int8")
    assert not np.array_equal(near, expected)


def test_auto_exports_what_is_worth_it(tmp_path, monkeypatch, caplog):
    path = build("bert", tmp_path)
    auto = embedder(path)
    expected = auto.embed_documents(TEXTS)
    assert "torch (lean BERT), float32" in ran()[path]
    monkeypatch.setattr(forwards, "_WORTH_IT", 1)
    with caplog.at_level(logging.INFO, "rag.models"):
        np.testing.assert_allclose(auto.embed_documents(TEXTS), expected, atol=2e-6)
    assert ran()[path][-1].startswith("ONNX Runtime, float32")
    assert f"model {path}: ONNX Runtime, float32" in caplog.text


def test_an_export_that_does_not_agree_is_refused_with_its_figures(tmp_path, monkeypatch):
    path = build("bert", tmp_path)
    monkeypatch.setattr(ExportedForward, "hidden", lambda self, ids, *given, **options: wrong(ids))
    message = r"export to ONNX Runtime in float32 does not agree with torch \(cosine to torch .*, at least .*, same"
    with pytest.raises(ModelError, match=message):
        embedder(path, backend="onnx").embed_queries(["w1"])
    monkeypatch.setattr(forwards, "_WORTH_IT", 1)
    embedder(path).embed_queries(["w1"])  # auto does without
    assert "torch (lean BERT), float32" in ran()[path]


def wrong(ids):
    import torch

    torch.manual_seed(0)
    return torch.randn(sum(map(len, ids)), 32)


def test_exports_are_kept_and_a_damaged_or_older_one_is_made_again(tmp_path, monkeypatch, request):
    path = build("bert", tmp_path)
    store = Store(tmp_path / "store")
    exports.keep_exports_in(store)

    def vectors():
        forwards_of = embedder(path, backend="onnx")
        forwards_of._reader._forwards._exports.clear()  # as a new process would
        return forwards_of.embed_documents(TEXTS)

    made = []
    write = exports.bert_graph
    monkeypatch.setattr(exports, "bert_graph", lambda *given, **options: made.append(1) or write(*given, **options))
    expected = vectors()
    np.testing.assert_array_equal(vectors(), expected)
    assert len(made) == 1
    (folder,) = (tmp_path / "store/artifacts/onnx").iterdir()
    shutil.rmtree(next(entry for entry in folder.iterdir() if entry.is_dir()))
    np.testing.assert_array_equal(vectors(), expected)
    assert len(made) == 2
    monkeypatch.setattr(exports, "GRAPH_VERSION", 0)
    np.testing.assert_array_equal(vectors(), expected)
    assert len(made) == 3
    assert len(list((tmp_path / "store/artifacts/onnx").iterdir())) == 2
    store.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "onnx", "precision": "bfloat16"}, "must be float32 or int8 with backend onnx, got 'bfloat16'"),
        ({"backend": "openvino", "precision": "int8"}, "must be float32 or bfloat16 with backend openvino, got 'int8'"),
        ({"backend": "onnx", "device": "cuda"}, "must be cpu with backend onnx, got 'cuda'"),
        ({"backend": "openvino", "device": "cuda"}, "must be cpu with backend openvino, got 'cuda'"),
        ({"precision": "float16"}, "float16 is for GPUs; on a CPU use bfloat16 or int8"),
        ({"precision": "int8", "device": "cuda"}, "int8 is for CPUs, got device 'cuda'"),
        ({"query_precision": "float16"}, "float16 is for GPUs; on a CPU use bfloat16 or int8"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(arguments, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        embedder(str(tmp_path), **arguments)._preflight()
    if "query_precision" not in arguments:
        given = {"device": "cpu"} | arguments
        with pytest.raises(ConfigError, match=message):
            CrossEncoderScorer(str(tmp_path), **given)._preflight()


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Engine, "is_installed", property(lambda self: False))
    for name in ENGINES:
        with pytest.raises(
            MissingExtraError, match=rf"backend '{name}' needs .* pip install 'rag-pipelines\[{name}\]'"
        ):
            embedder(str(tmp_path), backend=name)._preflight()
    path = build("bert", tmp_path)
    assert embedder(path, precision="int8").embed_queries(["w1"]).shape == (1, 32)
    assert "torch (lean BERT), int8" in ran()[path]


@pytest.mark.parametrize("arguments", [{"backend": "onnx"}, {"backend": "openvino"}, {"precision": "int8"}])
def test_other_architectures_say_what_there_is_for_them(arguments, tmp_path):
    path = build("distilbert", tmp_path)
    with pytest.raises(
        ModelError, match="(backend onnx|backend openvino|precision int8) is for models built like BERT .*Distil"
    ):
        embedder(path, **arguments).embed_queries(["w1"])
