"""What computes a model is said by ``rag components``, ``rag --verbose`` and ``metrics.json``."""

from __future__ import annotations

import json

import pytest

from rag.models import ran
from tests import tiny_models
from tests.e2e.test_cli import rag, starter  # noqa: F401 - fixtures

WORDS = ["return", "something", "delivery", "days"]


@pytest.fixture
def models(tmp_path):
    """One tiny model of each family, by the component that reads it."""
    built = {}
    for name in ("encoder", "multi_vector", "splade", "cross_encoder"):
        (tmp_path / "models" / name).mkdir(parents=True)
        built[name] = getattr(tiny_models, name)(WORDS, tmp_path / "models" / name)
    return built


def test_a_run_says_what_computed_each_of_its_models(rag, starter, models):  # noqa: F811
    dense = {"type": "sentence_transformer", "model": models["encoder"], "precision": "float32", "device": "cpu"}
    late = {"type": "multi_vector", "model": models["multi_vector"], "precision": "float32", "device": "cpu"}
    sparse = {"type": "sparse", "model": models["splade"], "device": "cpu"}
    scorer = {"type": "cross_encoder", "model": models["cross_encoder"], "precision": "float32", "device": "cpu"}
    parts = [{"type": "dense", "embedder": dense}, {"type": "sparse", "embedder": sparse}]
    parts.append({"type": "late_interaction", "embedder": late})
    pipeline = {
        "type": "pipeline",
        "retriever": {"type": "hybrid", "retrievers": parts, "top_k": 5},
        "stages": [{"type": "rerank", "scorer": scorer, "budget": 2}],
    }
    (starter / "models.yaml").write_text(json.dumps(pipeline))
    done = rag("--verbose", "eval", "start/models.yaml", "--dataset", "start/data", "--store", "off", "--out", "run")
    assert done.code == 0, done.err
    expected = {
        models["encoder"]: ["torch (lean BERT), float32"],
        models["cross_encoder"]: ["torch (lean BERT), float32"],
        models["multi_vector"]: ["torch (sentence-transformers), float32"],
        models["splade"]: ["torch (sentence-transformers), float32"],
    }
    assert json.loads((starter.parent / "run" / "metrics.json").read_text())["models"] == expected
    said = "".join(done.err.split())
    assert [name for name in expected if f"model{name}:{expected[name][0]}".replace(" ", "") not in said] == []


def test_components_say_what_would_compute_a_model_here(rag, monkeypatch):  # noqa: F811
    for kind, name in (("embedder", "sentence_transformer"), ("scorer", "cross_encoder")):
        assert "computed on a CPU by torch (lean BERT)" in " ".join(rag("components", kind, name).out.split())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = " ".join(rag("components", "scorer", "cross_encoder").out.split())
    assert "ONNX Runtime is not installed (extra 'onnx'); OpenVINO is not installed (extra 'openvino')" in said


def test_local_language_models_are_among_them(tmp_path):
    from rag.summarizer import Source
    from rag.summarizers import TransformersSummarizer

    path = tiny_models.causal(WORDS, tmp_path)
    writer = TransformersSummarizer(path, max_input=20, max_tokens=2, device="cpu")
    list(writer.write([Source("1", "return something")]))
    assert ran()[path] == ("torch (transformers), float32",)
