"""Graphs for other engines: exported from a model's own weights, kept, and compared with torch before use."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag.candidates import Floats, Vectors
from rag.errors import ModelError, RagError, first_line
from rag.models.bert import BertForward
from rag.models.engines import Engine, ExportedForward
from rag.models.onnx_graph import GRAPH_VERSION, bert_graph
from rag.models.precision import has_vnni

__all__ = ["Agreement", "exported_forward", "keep_exports_in"]

_FILE, _WEIGHTS, _ABOUT = "model.onnx", "weights.bin", "about.json"

_EQUAL = 0.9999
"""Least cosine to torch's float32 vectors of an export in float32, and least mean cosine of one in bfloat16."""

_NEAR, _ALIKE = 0.95, 0.7
"""Of an export in int8, the least mean cosine, and the least share of texts with the same nearest one."""

_kept_in: dict[str, Any] = {}
"""The store that was fitted with last."""


@dataclass(frozen=True)
class Agreement:
    """How near an export is to torch, on sample texts.

    Args:
        cosine: Mean cosine of the texts' vectors.
        least: The least one.
        neighbors: Share of the texts whose nearest other one is the same.
    """

    cosine: float
    least: float
    neighbors: float

    def __str__(self) -> str:
        return (
            f"cosine to torch {self.cosine:.5f}, at least {self.least:.5f}, same nearest text for {self.neighbors:.0%}"
        )

    def suffices(self, precision: str) -> bool:
        """Whether vectors in a precision are near enough."""
        if precision == "int8":
            return self.cosine >= _NEAR and self.neighbors >= _ALIKE
        return (self.least if precision == "float32" else self.cosine) >= _EQUAL


def keep_exports_in(store: Any) -> None:
    """Have exports kept in a store from now on; None leaves it as it is. Without one, they are made in each process."""
    if store is not None:
        _kept_in["store"] = store


def exported_forward(lean: BertForward, content: str, engine: Engine, precision: str) -> ExportedForward:
    """The forward pass of a model by an engine; from the store, where it was exported before for the same version.

    Args:
        lean: The model, by torch.
        content: Identity of its weights.
        engine: What is to compute it.
        precision: One of the engine's.

    Raises:
        MissingExtraError: The engine is not installed.
        ModelError: The model has no such form, or what was exported does not agree with torch.
    """
    engine.check_installed()
    try:
        return _exported(lean, content, engine, precision)
    except (RagError, OSError):
        raise
    except Exception as error:  # ONNX and the engines raise many kinds
        raise ModelError(
            f"cannot be exported to {engine.title} in {precision}: {first_line(error)}: use backend torch"
        ) from error


def _exported(lean: BertForward, content: str, engine: Engine, precision: str) -> ExportedForward:
    reduced = precision == "int8" and not has_vnni()

    def make(folder: Path) -> dict[str, float]:
        import onnx

        model = bert_graph(lean.model, "int8" if precision == "int8" else "float32", reduced=reduced)
        if model is None:
            raise ModelError(f"the activation '{lean.model.config.hidden_act}' has no form in ONNX: use backend torch")
        path = folder / _FILE
        onnx.save(model, str(path), save_as_external_data=True, location=_WEIGHTS, size_threshold=1024)
        agreement = _agreement(lean, engine.forward(path, lean, precision, ""))
        if not agreement.suffices(precision):
            raise ModelError(
                f"the export to {engine.title} in {precision} does not agree with torch ({agreement}): use backend "
                "torch"
            )
        (folder / _ABOUT).write_text(json.dumps(asdict(agreement)), encoding="utf-8")
        return asdict(agreement)

    def load(folder: Path) -> ExportedForward:
        agreement = Agreement(**json.loads((folder / _ABOUT).read_text("utf-8")))
        return engine.forward(folder / _FILE, lean, precision, f"{engine.title}, {precision} ({agreement})")

    store = _kept_in.get("store")
    if store is not None and store.mode == "use" and store.writable:
        made_by = json.dumps([content, engine.name, precision, reduced, GRAPH_VERSION, engine.version, lean.shape])
        key = hashlib.sha256(made_by.encode()).hexdigest()[:32]
        description = f"{lean.shape['class']} in {precision} for {engine.title} {engine.version}"
        return load(store.artifact("onnx", key, make, description=description))
    with tempfile.TemporaryDirectory(prefix="rag-onnx-", ignore_cleanup_errors=True) as folder:
        make(Path(folder))
        return load(Path(folder))


def _agreement(lean: BertForward, other: ExportedForward) -> Agreement:
    """Compare two forward passes on texts of random tokens, of few and of many."""
    rng = np.random.default_rng(0)
    longest = min(lean.longest, 160)
    ids = [rng.integers(0, lean.vocabulary, max(2, longest // part)).tolist() for part in (80, 40, 20, 10, 6, 4, 2, 1)]
    # Parts of the same texts too: their nearest neighbors are known to be near.
    ids += [text[: max(2, len(text) * 3 // 4)] for text in ids]
    if lean.padding is not None:
        ids = [[token if token != lean.padding else token + 1 for token in text] for text in ids]
    first, second = (_means(body.hidden(ids, None, "float32").numpy(), ids) for body in (lean, other))
    cosines = (first * second).sum(axis=1)
    nearest = [np.argmax(unit @ unit.T - 2 * np.eye(len(ids)), axis=1) for unit in (first, second)]
    return Agreement(float(cosines.mean()), float(cosines.min()), float((nearest[0] == nearest[1]).mean()))


def _means(states: Vectors, ids: Sequence[Sequence[int]]) -> Floats:
    lengths = np.array([len(text) for text in ids])
    means = np.add.reduceat(states, np.cumsum(lengths) - lengths, axis=0) / lengths[:, None]
    unit: Floats = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return unit
